/** Guidance with kept keys and values: strategies against their loop written out. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { canvasStep } from "../../../src/denoise/denoise.ts";
import type { Canvas, Commit } from "../../../src/denoise/predictor.ts";
import { planSteps } from "../../../src/denoise/schedule.ts";
import { COUNT, selectCommits, type SelectionRule } from "../../../src/denoise/selection.ts";
import {
  decidedUpToEnd,
  firstVisible,
  type Sequence,
  unconditionalIds,
} from "../../../src/denoise/sequence.ts";
import {
  type StrategyName,
  strategyOf,
  type StrategyOptions,
} from "../../../src/denoise/strategy.ts";
import { comparable, drawArb, gather } from "../draw.ts";
import { someTwins } from "../some_twins.ts";
import { MASK, ToyCanvasModel, ToyKeys, ToyModel } from "../toy_model.ts";

const RULES = {
  plain: COUNT,
  threshold: { kind: "threshold", threshold: 0.5 },
  factor: { kind: "factor", factor: 1 },
} as const satisfies Partial<Record<StrategyName, SelectionRule>>;

const caseArb = fc.record({
  draw: drawArb,
  rule: fc.constantFrom<keyof typeof RULES>("plain", "threshold", "factor"),
  cache: fc.constantFrom("prefix" as const, "dual" as const),
  refreshInterval: fc.constantFrom(undefined, undefined, 1, 2, 3),
  suffixWindow: fc.constantFrom(undefined, undefined, 0, 3),
  scale: fc.constantFrom(0.5, 1.5),
}).map(({ draw: { sequence, options }, rule, scale, ...passes }) => ({
  sequence,
  rule,
  options: {
    ...rule === "plain" ? options : comparable(options),
    ...passes,
    cfgScale: scale,
  } satisfies StrategyOptions,
}));

type Case = typeof caseArb extends fc.Arbitrary<infer T> ? T : never;

/**
 * Fast-dLLM's loop over two sequences, of which each keeps its own keys and values.
 * @param forgets the second sequence does not keep any: every pass runs the whole of it
 */
function written({ sequence, rule, options }: Case, forgets = false): Commit[][] {
  const { blockLength, cache, suffixWindow = Infinity, refreshInterval = Infinity } = options;
  const { promptLength, attentionMask } = sequence;
  const toy = new ToyModel();
  const genLength = sequence.ids.length - promptLength;
  const steps = rule === "plain" ? options.steps : genLength;
  const plan = planSteps({ genLength, blockLength, steps });
  const keys = new ToyKeys();
  const twinKeys = new ToyKeys();
  const ids = sequence.ids.slice();
  const twin = unconditionalIds(sequence);
  const commits: Commit[][] = [];
  const isOver = () => options.stopAtEnd && decidedUpToEnd({ ...sequence, ids }, options.endTokens);
  for (let first = promptLength; first < ids.length; first += blockLength) {
    const schedule = plan.filter(({ blockEnd }) => promptLength + blockEnd === first + blockLength);
    const end = Math.min(ids.length, first + blockLength + suffixWindow);
    for (let inBlock = 0; ids.subarray(first, first + blockLength).includes(MASK); inBlock++) {
      if (isOver()) return commits;
      const part = { first, end: cache === "dual" ? first + blockLength : end };
      const what = inBlock % refreshInterval === 0 ? "refresh" : part;
      const shown = twin.slice(0, end);
      const planned = schedule[inBlock] ?? { ...schedule[0], commits: 1 };
      const { choices: [choice] } = canvasStep(planned, commits.length, promptLength, options);
      const answers = toy.answer({
        ids: keys.seen(ids.slice(0, end), what),
        attentionMask: attentionMask?.subarray(0, end),
        positions: Uint32Array.from(ids.keys())
          .filter((at) => at >= first && at < first + blockLength && ids[at] === MASK),
        guidance: {
          scale: options.cfgScale,
          unconditionalIds: forgets ? shown : twinKeys.seen(shown, what),
        },
        choice,
      });
      const { remasking = "low_confidence" } = options;
      const origin = firstVisible(attentionMask);
      const ranking = { remasking, seed: options.seeds[0], step: commits.length, origin };
      const most = rule === "plain" ? planned.commits : blockLength;
      const own = selectCommits(answers, most, ranking, RULES[rule]);
      for (const { position, token } of own) ids[position] = twin[position] = token;
      commits.push(own);
    }
  }
  return commits;
}

/** Which steps run on the canvas: all; some between others; none, so that all are asked. */
const TWINS: readonly Canvas["hasTwin"][] = [
  () => true,
  ({ choices: [{ step }] }) => step % 3 > 0,
  () => false,
];

async function commitsOf(
  name: StrategyName,
  sequence: Sequence,
  options: StrategyOptions,
  hasTwin: Canvas["hasTwin"],
): Promise<(readonly Commit[])[]> {
  const target = someTwins(new ToyCanvasModel(), hasTwin).predictor;
  const draft = someTwins(new ToyCanvasModel({ disagreement: 0.2, salt: 5 }), hasTwin).predictor;
  const { steps } = await gather(strategyOf(name).run(sequence, { target, draft }, options));
  return steps.map(({ commits: [own] }) => own);
}

Deno.test("a rule with a cache and guidance is its loop written out, and so are proposals", async () => {
  let stale = 0;
  const runs = new Set<string>();
  await fc.assert(
    fc.asyncProperty(caseArb, async (drawn) => {
      const { sequence, rule, options } = drawn;
      const expected = written(drawn);
      if (JSON.stringify(written(drawn, true)) !== JSON.stringify(expected)) stale++;
      const found = { ...options, ...RULES[rule] };
      for (const hasTwin of TWINS) {
        assertEquals(await commitsOf(rule, sequence, found, hasTwin), expected);
        if (rule !== "plain") continue;
        for (const name of ["self", "lossless"] as const) {
          const proposing = { ...options, depth: 3 };
          assertEquals(await commitsOf(name, sequence, proposing, hasTwin), expected);
          runs.add(name);
        }
      }
      runs.add(`${rule} ${options.cache}`);
    }),
    { numRuns: 120 },
  );
  assert(stale > 10, `${stale} answers show that the second sequence keeps its own`);
  assertEquals(runs.size, 8);
});

Deno.test("commit_verify's draft keeps both sequences' keys and values", async () => {
  let stale = 0;
  await fc.assert(fc.asyncProperty(caseArb, async ({ sequence, options: drawn }) => {
    const { suffixWindow: _, ...options } = { ...drawn, confidence: undefined };
    // A chunk that ran past an unsure step may have refreshed; then its next guesses are others.
    const depth = options.refreshInterval === undefined ? 3 : 1;
    const cached = { ...options, remasking: undefined, draftThreshold: 0.4, depth };
    const run = (change: Partial<StrategyOptions>, hasTwin: Canvas["hasTwin"]) =>
      commitsOf("commit_verify", sequence, { ...cached, ...change }, hasTwin);
    const expected = await run({}, TWINS[0]);
    // On the canvas commits are made in the second sequence there, else by the runner here.
    for (const hasTwin of TWINS.slice(1)) assertEquals(await run({}, hasTwin), expected);
    const uncached = await run({ cache: "none", refreshInterval: undefined }, TWINS[0]);
    assertEquals(await run({ refreshInterval: 1 }, TWINS[0]), uncached);
    if (JSON.stringify(expected) !== JSON.stringify(uncached)) stale++;
  }));
  assert(stale > 0, "no draft's guess shows that it kept anything");
});
