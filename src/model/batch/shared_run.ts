/** One run on the GPU: passes in a row over the rows of several jobs, read back once. */

import { waiting } from "../../gpu/mapping.ts";
import { type Tensor, upload } from "../../gpu/tensor.ts";
import { commit, LOG_ENTRY_WORDS } from "../../kernels/commit.ts";
import { listMasked } from "../../kernels/list_masked.ts";
import { PREDICTION_WORDS } from "../../kernels/predict.ts";
import type { RowBatch, RowGroup } from "../forward_pass.ts";
import { addLogits } from "../logits.ts";
import { predictionsOf, recordPredictions } from "../prediction_pass.ts";
import { type RankedPlaces, rankedWords, rankingOf, recordRanking } from "../ranked_pass.ts";
import { Results } from "../results.ts";
import { answerSampled } from "../sampled_pass.ts";
import { CanvasKeys } from "./canvas_keys.ts";
import { commitsOf, type HeadCall, type RunCalls, runCalls } from "./commit_calls.ts";
import type { Unit, UnitResult } from "./jobs.ts";
import { inParts } from "./regions.ts";
import { askedOf, commitLog, countsOf, finishedOf, runIds, type RunSpace } from "./run_memory.ts";
import { applyRun } from "./run_effects.ts";
import { type LayoutLists, layRun, type RunLayout } from "./run_layout.ts";

/** What a run gave. */
export interface RunResult {
  readonly units: readonly UnitResult[];
  /** Passes that ran. */
  readonly passes: number;
  /** Whether it was to end before all of them had. */
  readonly ended: boolean;
  /** Rows of all of them. */
  readonly rows: number;
  /** Makes canvases what the run made of them. */
  apply(): void;
}

/**
 * Runs units in shared passes: `passes` of them at most. Canvases stay as they are until the result is
 * applied. What a pass of a failed run wrote to their keys and values, a run of the same work writes
 * anew before it reads it.
 * @param until if given, each pass is waited for, and the run ends behind one once this is aborted
 */
export async function sharedRun(
  space: RunSpace,
  units: readonly Unit[],
  passes: number,
  until?: AbortSignal,
): Promise<RunResult> {
  const keys = await CanvasKeys.prepare(space.pool, units, passes);
  try {
    const layout = layRun(units, passes, keys);
    const recording = new Recording(space, units, layout);
    const ran = await recording.run(until);
    return {
      units: units.map((_, unit) => recording.resultOf(unit)),
      passes: ran,
      ended: ran < layout.passes.length,
      rows: layout.passes.slice(0, ran).reduce((sum, { layout }) => sum + layout.rows, 0),
      apply: () => applyRun(units, ran, (unit) => recording.resultOf(unit)),
    };
  } finally {
    keys.giveBack();
  }
}

/** The passes of a run: recorded, submitted, read back. */
class Recording {
  readonly #space: RunSpace;
  readonly #units: readonly Unit[];
  readonly #layout: RunLayout;
  readonly #calls: RunCalls;
  readonly #region: (name: string) => Tensor;
  /** Words of a part of the ranges. */
  readonly #rangesSize: number;
  readonly #ids: Tensor;
  readonly #finished: Tensor;
  readonly #log: Tensor;
  readonly #results: (UnitResult | undefined)[];

  /** Uploads what the passes need. */
  constructor(space: RunSpace, units: readonly Unit[], layout: RunLayout) {
    const { gpu, scratch } = space.context;
    this.#space = space;
    this.#units = units;
    this.#layout = layout;
    this.#calls = runCalls(units, layout);
    this.#results = units.map(() => undefined);
    const { plans, places, finished, logEntries } = this.#calls;
    const { regions } = space;
    regions.put("lists", layout.lists);
    const layouts = layout.layouts.map(({ layout }) => layout);
    // Shadows are of the first pass, and so of the first layout.
    const shadows = layouts[0]?.shadows;
    if (shadows) regions.put("shadow keys", shadows.keys);
    const ranges = inParts([
      shadows?.ranges,
      ...layouts.flatMap(({ loose, kept }) => [loose?.ranges, kept?.ranges]),
    ]);
    this.#rangesSize = ranges.size;
    regions.put("ranges", ranges.words);
    regions.put("plans", plans);
    regions.put("places", places);
    this.#region = regions.upload(space.context);
    this.#ids = runIds(scratch, layout.ids.length);
    upload(gpu, this.#ids, layout.ids);
    this.#finished = finishedOf(scratch, finished.length);
    upload(gpu, this.#finished, finished);
    this.#log = commitLog(scratch, logEntries);
    this.#uploadQuestions();
  }

  /** What is asked of the first pass lies where later calls list the rows that they ask. */
  #uploadQuestions(): void {
    const { gpu } = this.#space.context;
    const most = new Map<number, number>();
    for (const { scaleNumber, entries } of this.#calls.calls.flat()) {
      most.set(scaleNumber, Math.max(entries, most.get(scaleNumber) ?? 0));
    }
    const { scratch } = this.#space.context;
    for (const [scaleNumber, entries] of most) askedOf(scratch, scaleNumber, entries);
    for (const { scaleNumber, words } of this.#calls.calls[0] ?? []) {
      const { asked, rows } = askedOf(scratch, scaleNumber, words.entries);
      upload(gpu, asked, words.asked);
      upload(gpu, rows, words.rows);
    }
  }

  /** Runs the passes and reads the results. @returns the number of passes that ran */
  async run(until: AbortSignal | undefined): Promise<number> {
    const { context, readback } = this.#space;
    const { recorder, config, family } = context;
    const { calls, sampled, logits, rankings, logEntries } = this.#calls;
    const questions = (calls[0] ?? []).filter(({ words }) => words.entries > 0);
    const follow = sampled.length + logits.length + rankings.length;
    const logWords = LOG_ENTRY_WORDS * logEntries;
    const alone = questions.length === 1 && logWords === 0 && follow === 0;
    const { embeddingSize } = config;
    const words = questions.reduce((sum, call) => sum + PREDICTION_WORDS * call.words.entries, 0) +
      rankings.reduce((sum, { question }) => sum + rankedWords(question, config), 0) +
      logits.reduce((sum, { rows }) => sum + embeddingSize * rows.length, 0);
    // Several results are copied into one tensor, to be read back at once.
    const together = words > 0 && !alone
      ? new Results(context, readback, words + logWords)
      : undefined;
    let from: Tensor | undefined = logWords > 0 ? this.#log : undefined;
    const ends: number[] = [];
    const logitsFrom: number[] = [];
    const rankedFrom: RankedPlaces[] = [];
    let ran = 0;
    for (const pass of this.#layout.passes.keys()) {
      if (pass > 0 && until) {
        await this.#wait();
        if (until.aborted) break;
      }
      ran++;
      const batch = this.#batchOf(pass);
      if (batch.rows === 0) continue;
      const hidden = family.forward(context, batch);
      for (const call of calls[pass]) {
        const predictions = this.#record(call, hidden);
        const entries = call.words.entries;
        if (entries === 0) continue;
        if (together) ends.push(await together.add(predictions, PREDICTION_WORDS * entries));
        else from = predictions;
      }
      if (pass === 0) {
        if (sampled.length > 0) recorder.submit();
        for (const { unit, question } of sampled) {
          this.#results[unit] = await answerSampled(context, readback, hidden, question);
        }
        // What is asked next is uploaded to the same places: after what is recorded.
        for (const [i, { rows }] of logits.entries()) {
          if (i > 0) recorder.submit();
          logitsFrom.push(await addLogits(context, hidden, rows, together!));
        }
        for (const [i, { question }] of rankings.entries()) {
          if (i > 0 || logits.length > 0) recorder.submit();
          rankedFrom.push(await recordRanking(context, hidden, question, together!));
        }
      }
      if (pass > 0 || sampled.length === 0) from ??= hidden;
    }
    const logFrom = together ? await together.add(this.#log, logWords) : 0;
    const size = Math.max(4, 4 * (logWords + words));
    // Nothing may be left to read: where each question was answered by itself, or no row ran.
    const bytes = together
      ? await together.end()
      : from
      ? await readback.read(recorder, from, size)
      : new ArrayBuffer(size);
    for (const [i, { questions: asked }] of questions.entries()) {
      const all = asked.map(({ question }) => question);
      const found = predictionsOf(bytes, all, config, 4 * (ends[i] ?? 0));
      asked.forEach(({ unit }, j) => this.#results[unit] = found[j]);
    }
    logits.forEach(({ unit, rows }, i) => {
      const count = embeddingSize * rows.length;
      this.#results[unit] = new Float32Array(bytes, 4 * logitsFrom[i], count);
    });
    rankings.forEach(({ unit, question }, i) => {
      this.#results[unit] = rankingOf(bytes, question, config, rankedFrom[i]);
    });
    this.#readCommits(new Uint32Array(bytes, 4 * logFrom, logWords), ran);
    return ran;
  }

  /** Submits what is recorded, and waits until it is done. */
  async #wait(): Promise<void> {
    const { gpu, recorder } = this.#space.context;
    recorder.submit();
    using _waiting = waiting(gpu);
    await gpu.device.queue.onSubmittedWorkDone();
  }

  #readCommits(log: Uint32Array, passes: number): void {
    for (const [i, unit] of this.#units.entries()) {
      if (unit.kind !== "steps") continue;
      const { places, firstSequences } = this.#layout;
      const each = unit.canvas.twins.length > 0 ? 2 : 1;
      const firstRows = unit.canvas.sequences.map((_, sequence) =>
        places.ids[firstSequences[i] + each * sequence]
      );
      const steps = Math.min(passes, unit.steps.length);
      const { config } = this.#space.context;
      this.#results[i] = commitsOf(log, unit, i, this.#calls.calls, steps, firstRows, config);
    }
  }

  /** What a unit's part of the run gave. */
  resultOf(unit: number): UnitResult {
    return this.#results[unit] ?? [];
  }

  /** Records what is asked behind a pass, and the commits. @returns the predictions of all entries */
  #record(call: HeadCall, hidden: Tensor): Tensor {
    const { context } = this.#space;
    const { recorder, scratch } = context;
    const { asked, rows } = askedOf(scratch, call.scaleNumber, call.entries);
    const plans = this.#region("plans");
    const places = this.#region("places");
    const count = call.committing.length;
    const counts = countsOf(scratch, count);
    const shared = {
      count,
      placeOffset: call.placeOffset,
      planOffset: call.planOffset,
      maskToken: call.maskToken,
      guided: call.scale !== undefined,
    };
    const state = { ids: this.#ids, finished: this.#finished, plans, places, asked, counts };
    if (count > 0) {
      listMasked(
        recorder,
        { ...state, row_position: this.#region("lists"), asked_rows: rows },
        shared,
      );
    }
    const predictions = recordPredictions(context, hidden, {
      asked,
      rows,
      entries: call.entries,
      guidance: call.scale === undefined ? undefined : call.scale + 1,
      plans,
      planOffset: call.planOffset,
      choices: call.choices,
    });
    if (count > 0) {
      commit(recorder, { ...state, predictions, commit_log: this.#log }, shared);
    }
    return predictions;
  }

  #batchOf(pass: number): RowBatch {
    const { number } = this.#layout.passes[pass];
    const laid = this.#layout.layouts[number];
    const lists = this.#region("lists");
    const { layout: { rows }, first } = laid;
    return {
      rows,
      ids: this.#ids,
      rowIndex: first === undefined ? undefined : first + rows,
      lists,
      groups: this.#groupsOf(laid, number, lists),
    };
  }

  /** A part of the ranges: those of shadows, then of each layout the rows that keep nothing, and the others. */
  #ranges(part: number): Tensor {
    return this.#region("ranges").part(this.#rangesSize * part, this.#rangesSize);
  }

  #groupsOf({ layout, first }: LayoutLists, number: number, lists: Tensor): RowGroup[] {
    const { loose, kept, shadows, rows } = layout;
    const groups: RowGroup[] = [];
    if (loose) {
      groups.push({
        first: loose.first,
        rows: loose.rows,
        positions: (first ?? 0) + loose.first,
        writeRows: first === undefined ? undefined : first + 2 * rows + loose.first,
        ranges: this.#ranges(1 + 2 * number),
        work: loose.work,
        shadows: shadows && {
          ranges: this.#ranges(0),
          work: shadows.work,
          keys: this.#region("shadow keys"),
        },
      });
    }
    if (kept) {
      groups.push({
        first: kept.first,
        rows: kept.rows,
        positions: first! + kept.first,
        writeRows: first! + 2 * rows + kept.first,
        ranges: this.#ranges(2 + 2 * number),
        work: kept.work,
        kept: this.#space.pool.cache,
        keyRows: kept.listed ? lists : undefined,
      });
    }
    return groups;
  }
}
