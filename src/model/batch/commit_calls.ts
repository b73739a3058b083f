/** What is asked behind each pass of a run, and where the answers come to lie. */

import type { Commit, TokenChoice } from "../../denoise/predictor.ts";
import { PLACE_WORDS, writePlace } from "../../kernels/place.ts";
import { STEP_PLAN_WORDS, writeStepPlan } from "../../kernels/step_plan.ts";
import type { ModelConfig } from "../model_config.ts";
import { checkToken } from "../input.ts";
import { LOG_ENTRY_WORDS } from "../../kernels/commit.ts";
import { type QuestionWords, questionWords, type RowQuestion } from "../prediction_pass.ts";
import type { RankQuestion } from "../ranked_pass.ts";
import { isSampled } from "../sampled_pass.ts";
import { type TwinStep, visibleBefore } from "./host_canvas.ts";
import type { Asked, CanvasRun, Unit } from "./jobs.ts";
import type { RunLayout } from "./run_layout.ts";

/** A question of a unit. */
export interface UnitQuestion {
  readonly unit: number;
  readonly question: RowQuestion;
}

/** A unit that asks for rankings. */
export interface UnitRanking {
  readonly unit: number;
  readonly question: RankQuestion;
}

/** A unit that asks for all logits at some rows. */
export interface UnitLogits {
  readonly unit: number;
  readonly rows: readonly number[];
}

/** A sequence whose masks a pass may commit. */
export interface Committing {
  readonly unit: number;
  readonly pass: number;
  /** Its index on the canvas. */
  readonly sequence: number;
  /** Most candidates. */
  readonly capacity: number;
  /** Entry of the log at which it begins. */
  readonly logFirst: number;
}

/** One call of the head: all that is asked behind a pass with one scale of guidance. */
export interface HeadCall {
  /** Numbers the scale of guidance among those of the run. */
  readonly scaleNumber: number;
  /** Scale of the guidance, undefined without. */
  readonly scale: number | undefined;
  readonly maskToken: number;
  readonly questions: readonly UnitQuestion[];
  readonly words: QuestionWords;
  readonly committing: readonly Committing[];
  /** Asked rows: of questions, then of all sequences. */
  readonly entries: number;
  readonly planOffset: number;
  readonly placeOffset: number;
  readonly choices: readonly TokenChoice[];
}

/** All calls of a run. */
export interface RunCalls {
  /** By pass. */
  readonly calls: readonly (readonly HeadCall[])[];
  /** Answered one by one behind the first pass, as are all logits, and then the rankings. */
  readonly sampled: readonly UnitQuestion[];
  readonly logits: readonly UnitLogits[];
  readonly rankings: readonly UnitRanking[];
  readonly plans: Uint32Array<ArrayBuffer>;
  readonly places: Uint32Array<ArrayBuffer>;
  /** `[sequences that steps run]`, 1 for one that is decided when the run begins */
  readonly finished: Uint32Array<ArrayBuffer>;
  readonly logEntries: number;
}

/** Finds all calls of a run. */
export function runCalls(units: readonly Unit[], run: RunLayout): RunCalls {
  const found = new Found(units, run);
  const calls = run.passes.map((_, pass) => found.callsOf(pass));
  return {
    calls,
    sampled: found.sampled,
    logits: found.logits,
    rankings: found.rankings,
    plans: Uint32Array.from(found.plans),
    places: Uint32Array.from(found.places),
    finished: Uint32Array.from(found.finished),
    logEntries: found.logEntries,
  };
}

/** A call that is being put together. */
interface OpenCall {
  readonly scale: number | undefined;
  maskToken: number | undefined;
  readonly questions: UnitQuestion[];
  readonly committing: Committing[];
}

class Found {
  readonly sampled: UnitQuestion[] = [];
  readonly logits: UnitLogits[] = [];
  readonly rankings: UnitRanking[] = [];
  readonly plans: number[] = [];
  readonly places: number[] = [];
  readonly finished: number[] = [];
  logEntries = 0;
  readonly #units: readonly Unit[];
  readonly #run: RunLayout;
  readonly #scales: (number | undefined)[] = [];
  /** Entry of `finished` of the first sequence of a unit of steps. */
  readonly #firstFinished = new Map<number, number>();

  constructor(units: readonly Unit[], run: RunLayout) {
    this.#units = units;
    this.#run = run;
    for (const [i, unit] of units.entries()) {
      if (unit.kind !== "steps") continue;
      this.#firstFinished.set(i, this.finished.length);
      // The GPU sees a decided answer only in its own commits, but one may be decided at the start.
      const stops = unit.steps[0].stopAtEnd;
      for (const sequence of unit.canvas.sequences.keys()) {
        this.finished.push(stops && unit.canvas.isDecided(sequence) ? 1 : 0);
      }
    }
  }

  callsOf(pass: number): HeadCall[] {
    const open: OpenCall[] = [];
    const callFor = (scale: number | undefined, maskToken?: number) => {
      const fits = (call: OpenCall) =>
        call.scale === scale && (maskToken ?? call.maskToken) === (call.maskToken ?? maskToken);
      let call = open.find(fits);
      if (!call) open.push(call = { scale, maskToken, questions: [], committing: [] });
      call.maskToken ??= maskToken;
      return call;
    };
    for (const [i, unit] of this.#units.entries()) {
      if (this.#run.passes[pass].parts[i] === undefined) continue;
      if (unit.kind === "question") {
        const { asked } = unit;
        const rows = this.#rowsOf(i, asked);
        if (asked.kind === "logits") this.logits.push({ unit: i, rows });
        else if (asked.kind === "ranking") {
          this.rankings.push({ unit: i, question: { ...asked, rows } });
        } else if (rows.length > 0) {
          const guidance = unit.scale === undefined
            ? undefined
            : { scale: unit.scale, twins: this.#rowsOf(i, asked, 1) };
          const question = { ...asked, rows, guidance };
          if (isSampled(question)) this.sampled.push({ unit: i, question });
          else callFor(unit.scale).questions.push({ unit: i, question });
        }
      } else {
        const { canvas } = unit;
        const call = () => callFor(canvas.scale, canvas.maskToken);
        for (const entry of this.#committing(unit, i, pass)) call().committing.push(entry);
      }
    }
    return open.map((call) => this.#close(call, pass));
  }

  /** Rows of the first pass at which a unit asks of its sequence, or with `twin` 1 of its twin. */
  #rowsOf(unit: number, { rows }: Asked, twin = 0): number[] {
    const { parts, layout: { firstRows } } = this.#run.passes[0];
    const first = firstRows[parts[unit]! + twin];
    return rows.map((row) => first + row);
  }

  /** The sequences that may commit something, each with its range of the log. */
  #committing({ canvas, steps }: CanvasRun, unit: number, pass: number): Committing[] {
    const step = steps[pass];
    const found: Committing[] = [];
    for (const sequence of canvas.sequences.keys()) {
      const capacity = canvas.candidates(sequence, step);
      const runs = canvas.span(sequence, step.cache, step.horizon).rows > 0;
      const commits = runs ? Math.min(step.commits, capacity) : 0;
      // Nothing to commit: the pass itself is still spent.
      if (commits <= 0) continue;
      found.push({ unit, pass, sequence, capacity, logFirst: this.logEntries });
      this.logEntries += 1 + commits;
    }
    return found;
  }

  #close({ scale, maskToken, questions, committing }: OpenCall, pass: number): HeadCall {
    if (!this.#scales.includes(scale)) this.#scales.push(scale);
    const words = questionWords(questions.map(({ question }) => question), committing.length);
    const planOffset = this.plans.length / STEP_PLAN_WORDS;
    const placeOffset = this.places.length / PLACE_WORDS;
    const choices: TokenChoice[] = [];
    let entries = words.entries;
    for (const entry of committing) {
      this.#write(entry, entries, pass);
      entries += entry.capacity;
      choices.push(this.#stepOf(entry).choices[entry.sequence]);
    }
    this.plans.push(...words.plans);
    choices.push(...questions.map(({ question }) => question.choice));
    return {
      scaleNumber: this.#scales.indexOf(scale),
      scale,
      maskToken: maskToken ?? 0,
      questions,
      words,
      committing,
      entries,
      planOffset,
      placeOffset,
      choices,
    };
  }

  #stepOf({ unit, pass }: Committing): TwinStep {
    return (this.#units[unit] as CanvasRun).steps[pass];
  }

  /** Writes the plan and the place of a sequence in a pass. */
  #write(entry: Committing, askedFirst: number, pass: number): void {
    const { canvas } = this.#units[entry.unit] as CanvasRun;
    const step = this.#stepOf(entry);
    const { sequence, capacity, logFirst, unit } = entry;
    const positions = canvas.positions[sequence];
    const { bannedTokens, unconfidentTokens, ...choice } = step.choices[sequence];
    const plan = new Uint32Array(STEP_PLAN_WORDS);
    writeStepPlan(plan, 0, {
      ...choice,
      candidateFirst: visibleBefore(positions, step.blockStart ?? 0),
      candidateEnd: visibleBefore(positions, step.blockEnd),
      commits: step.commits,
      banned: bannedTokens,
      unconfident: unconfidentTokens,
    });
    this.plans.push(...plan);
    const { places, firstSequences, passes } = this.#run;
    const { parts, layout: { firstRows } } = passes[pass];
    const each = canvas.twins.length > 0 ? 2 : 1;
    const own = each * sequence;
    const firstRow = places.ids[firstSequences[unit] + own];
    const twinRow = places.ids[firstSequences[unit] + own + each - 1];
    // Row of ids that the first row of the part is.
    const firstRun = firstRow + canvas.span(sequence, step.cache, step.horizon).first;
    const { promptLength, endTokens } = canvas.sequences[sequence];
    const place = new Uint32Array(PLACE_WORDS);
    writePlace(place, 0, {
      sequence: this.#firstFinished.get(unit)! + sequence,
      firstRow,
      hiddenShift: firstRun - firstRows[parts[unit]! + own],
      twinShift: firstRun - firstRows[parts[unit]! + own + each - 1],
      twinRows: twinRow - firstRow,
      askedFirst,
      capacity,
      logFirst,
      ranking: step.remasking,
      rule: step.rule,
      stopAtEnd: step.stopAtEnd,
      answer: {
        firstRow: firstRow + visibleBefore(positions, promptLength),
        endRow: firstRow + positions.length,
        endTokens,
      },
    });
    this.places.push(...place);
  }
}

/**
 * The commits of the steps of a unit, from the log.
 * @returns `[steps run][sequence][]`, positions ascending
 */
export function commitsOf(
  log: Uint32Array,
  { canvas }: CanvasRun,
  unit: number,
  calls: RunCalls["calls"],
  steps: number,
  firstRows: readonly number[],
  config: ModelConfig,
): Commit[][][] {
  const numbers = new Float32Array(log.buffer, log.byteOffset, log.length);
  const found: Commit[][][] = Array.from(
    { length: steps },
    () => canvas.sequences.map(() => []),
  );
  for (const call of calls.slice(0, steps).flat()) {
    for (const { unit: of, pass, sequence, logFirst } of call.committing) {
      if (of !== unit) continue;
      const positions = canvas.positions[sequence];
      const committed = log[LOG_ENTRY_WORDS * logFirst];
      const commits = Array.from({ length: committed }, (_, i): Commit => {
        const at = LOG_ENTRY_WORDS * (logFirst + 1 + i);
        return {
          position: positions[log[at] - firstRows[sequence]],
          token: checkToken(log[at + 1], config),
          confidence: 1 / (1 + numbers[at + 2]),
          logProbability: numbers[at + 3],
        };
      });
      found[pass][sequence] = commits.sort((a, b) => a.position - b.position);
    }
  }
  return found;
}
