/** Strategy `auto` with quality `fast`: the result may differ from the plain schedule's. */

import type { AutoResult } from "./auto.ts";
import { denoiseBlocks } from "../strategies/blocks.ts";
import { type CachePolicy, NO_CACHE } from "../cache_plan.ts";
import { PROBABILITY } from "../confidence.ts";
import { Controller } from "./controller.ts";
import type { DenoiseOptions, DenoiseStep } from "../denoise_step.ts";
import type { FastWay, Pass, PassPrice } from "./fast_controller.ts";
import { priceOf, pricesOf } from "./prices.ts";
import { callTimer, timedPredictor } from "./timed_predictor.ts";
import { GREEDY, type Prediction, type Predictor } from "../predictor.ts";
import type { SelectionRule } from "../selection.ts";
import type { Models, Strategy } from "../strategy_options.ts";
import { withoutProposals } from "../strategies/proposal_run.ts";
import { forwardSteps } from "../forward_steps.ts";
import { generationLength, maskedPositions, type Sequence } from "../sequence.ts";

/** Options of quality `fast`. */
export interface AutoFastOptions extends DenoiseOptions {
  readonly controller?: Controller;
  /** Least confidence at which a token is committed. If given, only the threshold rule is tried. */
  readonly threshold?: number;
}

/** Lossy strategies that need a draft, by name. */
export type DraftStrategies = Readonly<
  Record<string, Pick<Strategy, "run"> & Partial<Pick<Strategy, "uses">>>
>;

/** A rule and a cache; another one may be chosen for each block. */
interface BlockWay extends FastWay {
  readonly of: { readonly rule: SelectionRule; readonly cache: CachePolicy };
}

/** A strategy with a draft, chosen for a whole answer. */
interface DraftWay extends FastWay {
  readonly run: Strategy["run"];
}

const BLOCK: Pass = { name: "block", contains: [] };
const FROM_BLOCK: Pass = { name: "from the block on", contains: ["block"] };
const PARTS = ["block", "from the block on"];
const ALL: Pass = { name: "all", contains: PARTS, like: "all, kept" };
const ALL_KEPT: Pass = { name: "all, kept", contains: PARTS, like: "all" };

/** The passes of a block for each cache, in the order in which they are tried. */
export const PASSES: Readonly<Record<CachePolicy, Pick<FastWay, "first" | "later">>> = {
  dual: { first: ALL_KEPT, later: BLOCK },
  prefix: { first: ALL_KEPT, later: FROM_BLOCK },
  none: { first: ALL, later: ALL },
};

/**
 * Commits several tokens per step, in the way that the controller expects to be fastest: a rule and
 * a cache for each block, or a strategy with the draft for the whole answer. It uses no draft with a
 * confidence other than the probability. With sampling it uses only strategies that know it.
 * @param drafting strategies with a draft, used if there is a draft
 * @throws as `denoiseBlocks` and the strategies
 */
export async function* autoFast(
  sequence: Sequence,
  models: Models,
  options: AutoFastOptions,
  drafting: DraftStrategies = {},
): AsyncGenerator<DenoiseStep, AutoResult, void> {
  const { controller = new Controller() } = options;
  const blockWays = blockWaysOf(models.target, options);
  const drafts = models.draft && (options.confidence ?? PROBABILITY) === PROBABILITY;
  const sampled = options.sampling !== undefined;
  const ways = [...blockWays, ...drafts ? draftWaysOf(drafting, sampled) : []];
  const passPrice = passPriceOf(sequence, models, options);
  const choose = () => {
    const { draftStep } = controller.priced(pricesOf(rowsOf(sequence, options), models));
    return controller.fast.choose<BlockWay | DraftWay>(ways, draftStep, passPrice);
  };
  let way = choose();
  let probes = 0;
  while (way.drafts && controller.draftStep === undefined) {
    await probe(models.draft!, sequence, controller);
    way = choose();
    probes++;
  }
  const run = "run" in way
    ? withDraft(sequence, models, { ...options, controller, passPrice }, way)
    : byBlocks(sequence, models.target, { ...options, controller, passPrice }, way, blockWays);
  const result = yield* run;
  const { draftForwards, readbacks } = result;
  return { ...result, draftForwards: draftForwards + probes, readbacks: readbacks + probes };
}

/** Measures a forward pass of the draft, so that no answer is spent on a slow draft. */
async function probe(draft: Predictor, sequence: Sequence, controller: Controller): Promise<void> {
  const { ids, attentionMask } = sequence;
  const positions = maskedPositions(sequence, ids.length);
  const { time } = await callTimer(draft)(() =>
    draft.predict([{ ids, attentionMask, positions, choice: GREEDY }])
  );
  controller.learnDraft(time.milliseconds / priceOf(draft, ids.length, ids.length));
}

function blockWaysOf(target: Predictor, options: AutoFastOptions): BlockWay[] {
  const { threshold = 0.9, confidence = PROBABILITY } = options;
  const measure = confidence === PROBABILITY ? "" : ` by ${confidence}`;
  const rules: Record<string, SelectionRule> = {
    ...options.threshold === undefined
      ? { [`factor 1${measure}`]: { kind: "factor", factor: 1 } }
      : {},
    [`threshold ${threshold}${measure}`]: { kind: "threshold", threshold },
  };
  const caches = target.openCanvas ? Object.keys(PASSES) as CachePolicy[] : [NO_CACHE];
  return Object.entries(rules).flatMap(([name, rule]) =>
    caches.map((cache) => ({
      name: `${name}, cache ${cache}`,
      rule: name,
      ...PASSES[cache],
      drafts: false,
      of: { rule, cache },
    }))
  );
}

function draftWaysOf(drafting: DraftStrategies, sampled: boolean): DraftWay[] {
  const able = Object.entries(drafting).filter(([, { uses }]) =>
    !sampled || uses?.includes("sampling")
  );
  return able.map(([name, { run }]) => {
    const pass: Pass = { name, contains: [...PARTS, "all", "all, kept"] };
    return { name, rule: name, first: pass, later: pass, drafts: true, run };
  });
}

/** Number of rows in a forward pass over the whole sequence. */
function rowsOf(sequence: Sequence, { cfgScale = 0 }: DenoiseOptions): number {
  return sequence.ids.length * (cfgScale > 0 ? 2 : 1);
}

/** The prices of an answer's passes. */
function passPriceOf(
  sequence: Sequence,
  { target, draft }: Models,
  options: DenoiseOptions,
): PassPrice {
  if (target.price === undefined) return () => 1;
  const rows = rowsOf(sequence, options);
  const { blockLength } = options;
  const sequences = rows / sequence.ids.length;
  // Half of the blocks have more behind them, half less.
  const rest = (generationLength(sequence) + blockLength) / 2;
  const parts: Record<string, number> = {
    [BLOCK.name]: sequences * blockLength,
    [FROM_BLOCK.name]: sequences * rest,
    [ALL.name]: rows,
    [ALL_KEPT.name]: rows,
  };
  return ({ name }) => {
    const own = parts[name];
    if (own !== undefined) return target.price!(own) / rows;
    // A round of a strategy with a draft: passes of both models over the whole sequence.
    return (target.price!(rows) + (draft ? priceOf(draft, rows, 0) : 0)) / rows;
  };
}

/** A confidence that both rules commit: the factor's bound for one more token than a block has. */
function surely(blockLength: number): number {
  return 1 - 1 / (blockLength + 2);
}

/** Options of an answer whose ways are chosen by a controller. */
interface ChosenOptions extends AutoFastOptions {
  readonly controller: Controller;
  readonly passPrice: PassPrice;
}

async function* byBlocks(
  sequence: Sequence,
  predictor: Predictor,
  options: ChosenOptions,
  chosen: BlockWay,
  ways: readonly BlockWay[],
): AsyncGenerator<DenoiseStep, AutoResult, void> {
  const { controller: { fast }, passPrice } = options;
  const rows = rowsOf(sequence, options);
  const choices: Record<string, number> = {};
  const sure = surely(options.blockLength);
  let way = chosen;
  let steps = 0;
  let tokens = 0;
  let open: number | undefined;
  const learn = (count: number, milliseconds: number) => {
    const passes = Array.from({ length: count }, (_, i) => steps + i === 0 ? way.first : way.later);
    fast.learnSteps(passes, milliseconds / rows, passPrice);
    steps += count;
  };
  const target = timedPredictor(predictor, {
    predicted: (_answers, { milliseconds }) => learn(1, milliseconds),
    ran: (chunk, { milliseconds }) => learn(chunk.length, milliseconds),
  });
  const run = denoiseBlocks(sequence, target, {
    ...options,
    ...way.of,
    ofBlock(block) {
      if (block > 0) {
        fast.learnBlock(way, { steps, tokens, open });
        way = fast.choose(ways, undefined, passPrice);
        steps = tokens = 0;
        open = undefined;
      }
      return way.of;
    },
  });
  const result = yield* forwardSteps(run, (step) => {
    const [commits] = step.commits;
    tokens += commits.length;
    open ??= options.blockLength - commits.filter(({ confidence }) => confidence >= sure).length;
    choices[way.name] = (choices[way.name] ?? 0) + 1;
    return step;
  });
  fast.learnBlock(way, { steps, tokens, open });
  return { ...withoutProposals(result), choices };
}

/**
 * Runs a strategy with a draft. A round, which ends in a pass of the target, counts as one step.
 */
async function* withDraft(
  sequence: Sequence,
  models: Models,
  options: ChosenOptions,
  way: DraftWay,
): AsyncGenerator<DenoiseStep, AutoResult, void> {
  const { controller, blockLength, passPrice } = options;
  const rows = rowsOf(sequence, options);
  const sure = surely(blockLength);
  let spent = 0;
  let asked: readonly Prediction[] = [];
  const drafted = (forwards: number, milliseconds: number) => {
    spent += milliseconds;
    controller.learnDraft(milliseconds / forwards / priceOf(models.draft!, rows, rows));
  };
  const target = timedPredictor(models.target, {
    predicted(answers, { milliseconds }) {
      spent += milliseconds;
      asked = answers[0];
    },
    ran: (_steps, { milliseconds }) => spent += milliseconds,
  });
  const draft = timedPredictor(models.draft!, {
    predicted: (_answers, { milliseconds }) => drafted(1, milliseconds),
    ran: (steps, { milliseconds }) => drafted(steps.length, milliseconds),
  });
  let block = 0;
  let nfe = 0;
  let steps = 0;
  let rounds = 0;
  let tokens = 0;
  let open: number | undefined;
  const result = yield* forwardSteps(way.run(sequence, { target, draft }, options), (step) => {
    if (step.block !== block) {
      controller.fast.learnBlock(way, { steps: rounds, tokens, open });
      block = step.block;
      rounds = tokens = 0;
      open = undefined;
    }
    if (step.nfe !== nfe) {
      controller.fast.learnSteps([way.later], spent / rows, passPrice);
      nfe = step.nfe;
      rounds++;
      spent = 0;
    }
    const first = sequence.promptLength + block * blockLength;
    open ??= asked.filter(({ position, confidence }) =>
      position >= first && position < first + blockLength && confidence < sure
    ).length;
    tokens += step.commits[0].length;
    steps++;
    return step;
  });
  controller.fast.learnBlock(way, { steps: rounds, tokens, open });
  return { ...result, choices: { [way.name]: steps } };
}
