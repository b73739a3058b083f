/**
 * Sequences kept on the GPU, where several denoising steps run in a row and are read back together.
 */

import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Prediction,
} from "../denoise/predictor.ts";
import { waiting } from "../gpu/mapping.ts";
import type { Readback } from "../gpu/readback.ts";
import { createTensor, type Tensor, upload } from "../gpu/tensor.ts";
import { commit, LOG_ENTRY_WORDS } from "../kernels/commit.ts";
import { listMasked } from "../kernels/list_masked.ts";
import { type CommitRule, PLACE_WORDS, RANKINGS, RULES, writePlace } from "../kernels/place.ts";
import { ASKED_WORDS, checkTokens, STEP_PLAN_WORDS, writeStepPlan } from "../kernels/step_plan.ts";
import { CanvasRows, visibleBefore } from "./canvas_rows.ts";
import { checkChoice, checkToken } from "./input.ts";
import { type PredictionContext, recordPredictions } from "./prediction_pass.ts";
import { packRows } from "./rows.ts";
import { answerQuestions } from "./sampled_pass.ts";

/**
 * A step that the commit kernel can take. Every ranking and rule of the kernel must exist in
 * src/denoise, or this type does not compile. A step with one that only src/denoise has runs there, and
 * so does one with sampling, whose changes follow from the ids.
 */
interface TwinStep extends CanvasStep {
  readonly remasking: keyof typeof RANKINGS;
  readonly rule?: CommitRule;
}

function isTwin(step: CanvasStep): step is TwinStep {
  const { remasking, rule } = step;
  if (step.choices.some(({ sampling }) => sampling)) return false;
  return Object.hasOwn(RANKINGS, remasking) && (!rule || Object.hasOwn(RULES, rule.kind));
}

/** Runs `body` and drops the commands it recorded if it throws. */
export type GuardedRun = (body: () => Promise<void>) => Promise<void>;

/** A batch whose ids are on the GPU, with a copy on the host that is updated at each readback. */
export class DeviceCanvas implements Canvas {
  readonly #context: PredictionContext;
  readonly #readback: Readback;
  readonly #guarded: GuardedRun;
  readonly #sequences: readonly CanvasSequence[];
  readonly #rows: CanvasRows;
  readonly #finished: Tensor;
  readonly #maskToken: number;
  readonly #guidance: number | undefined;
  /** Token of each row, as far as the host knows. */
  readonly #ids: Uint32Array;
  #destroyed = false;

  /** Uploads the sequences, which must agree on mask token and guidance scale. */
  constructor(
    context: PredictionContext,
    readback: Readback,
    sequences: readonly CanvasSequence[],
    guarded: GuardedRun,
  ) {
    const { gpu } = context;
    this.#context = context;
    this.#readback = readback;
    this.#guarded = guarded;
    this.#sequences = sequences;
    this.#maskToken = sequences[0].maskToken;
    this.#guidance = sequences[0].guidance && sequences[0].guidance.scale + 1;
    for (const { maskToken, guidance, endTokens } of sequences) {
      checkTokens(endTokens, "endTokens");
      if (maskToken === this.#maskToken && guidance?.scale === sequences[0].guidance?.scale) {
        continue;
      }
      throw new RangeError("the sequences of a canvas must share mask token and guidance scale");
    }
    const packed = packRows(sequences, this.#maskToken);
    this.#ids = packed.ids.slice();
    this.#rows = new CanvasRows(context, packed);
    this.#finished = createTensor(gpu, "canvas finished", sequences.length);
  }

  hasTwin(step: CanvasStep): boolean {
    return isTwin(step);
  }

  /** @throws {GpuError} when the device failed; the canvas is then unusable */
  async run(steps: readonly CanvasStep[], signal?: AbortSignal): Promise<Commit[][][]> {
    if (this.#destroyed) throw new Error("the canvas was destroyed");
    if (!steps.every(isTwin)) {
      throw new RangeError("a step's ranking or rule has no twin on the GPU: ask hasTwin first");
    }
    let results: Commit[][][] = [];
    await this.#guarded(async () => {
      const start = performance.now();
      results = await this.#run(steps, signal);
      const milliseconds = performance.now() - start;
      this.#context.pace.millisecondsPerRow = milliseconds / (steps.length * this.#rows.batch.rows);
    });
    return results;
  }

  async #run(steps: readonly TwinStep[], signal?: AbortSignal): Promise<Commit[][][]> {
    if (steps.length === 0) return [];
    const { gpu, recorder, scratch, family } = this.#context;
    const count = this.#sequences.length;
    const plans = scratch.get("canvas plans", STEP_PLAN_WORDS * count * steps.length);
    upload(gpu, plans, this.#planWords(steps));
    // The GPU sees a decided answer only in its own commits, but an answer may be decided at the
    // start.
    const stopped = this.#sequences.map((_, i) => steps[0].stopAtEnd && this.#decided(i) ? 1 : 0);
    upload(gpu, this.#finished, Uint32Array.from(stopped));

    // The log holds, per sequence, a header and as many commits as the step can make.
    const capacities = steps.map((step) => this.#capacity(step));
    const strides = steps.map((step, i) => 1 + Math.min(step.commits, capacities[i]));
    const offsets = strides.map((_, i) =>
      strides.slice(0, i).reduce((sum, stride) => sum + stride * count, 0)
    );
    const entries = strides.reduce((sum, stride) => sum + stride * count, 0);
    const log = scratch.get("canvas log", LOG_ENTRY_WORDS * entries);
    const places = scratch.get("canvas places", PLACE_WORDS * count * steps.length);

    const slow = this.#context.pace.isSlow(this.#rows.batch.rows);
    for (const [i, step] of steps.entries()) {
      if (i > 0 && signal && slow) {
        recorder.submit();
        {
          using _waiting = waiting(gpu);
          await gpu.device.queue.onSubmittedWorkDone();
        }
        signal.throwIfAborted();
      }
      const batch = this.#rows.batchOf(step);
      const hidden = family.forward(this.#context, batch);
      if (strides[i] === 1) continue; // nothing to commit: the pass itself is still spent
      this.#recordCommit(step, hidden, { log, plans, places }, {
        firstHiddenRow: batch.firstRow,
        capacity: capacities[i],
        planOffset: i * count,
        logOffset: offsets[i],
        logStride: strides[i],
      });
    }
    const bytes = await this.#readback.read(recorder, log, 4 * LOG_ENTRY_WORDS * entries);
    return steps.map((_, i) =>
      this.#sequences.map((_, sequence) =>
        strides[i] === 1 ? [] : this.#apply(bytes, offsets[i] + sequence * strides[i], sequence)
      )
    );
  }

  #recordCommit(
    step: TwinStep,
    hidden: Tensor,
    { log, plans, places }: Readonly<Record<"log" | "plans" | "places", Tensor>>,
    at: {
      readonly firstHiddenRow: number;
      readonly capacity: number;
      readonly planOffset: number;
      readonly logOffset: number;
      readonly logStride: number;
    },
  ): void {
    const { recorder, scratch } = this.#context;
    const count = this.#sequences.length;
    const { twinRows, sequences } = this.#rows.packed;
    const words = new Uint32Array(PLACE_WORDS * count);
    for (const [i, { firstRow, positions }] of sequences.entries()) {
      const { promptLength, endTokens } = this.#sequences[i];
      writePlace(words, PLACE_WORDS * i, {
        sequence: i,
        firstRow,
        hiddenShift: at.firstHiddenRow,
        twinShift: at.firstHiddenRow - twinRows,
        twinRows,
        askedFirst: i * at.capacity,
        capacity: at.capacity,
        logFirst: at.logOffset + i * at.logStride,
        ranking: step.remasking,
        rule: step.rule,
        stopAtEnd: step.stopAtEnd,
        answer: {
          firstRow: firstRow + visibleBefore(positions, promptLength),
          endRow: firstRow + positions.length,
          endTokens,
        },
      });
    }
    upload(this.#context.gpu, places, words, PLACE_WORDS * at.planOffset);
    const entries = count * at.capacity;
    const asked = scratch.get("asked", ASKED_WORDS * entries);
    const rows = scratch.get("asked_rows", entries * (twinRows > 0 ? 2 : 1));
    const counts = scratch.get("counts", count);
    const call = {
      count,
      placeOffset: at.planOffset,
      planOffset: at.planOffset,
      maskToken: this.#maskToken,
      guided: twinRows > 0,
    };
    listMasked(recorder, {
      ids: this.#rows.batch.ids,
      places,
      row_position: this.#rows.batch.rowPosition,
      plans,
      finished: this.#finished,
      asked,
      asked_rows: rows,
      counts,
    }, call);
    const predictions = recordPredictions(this.#context, hidden, {
      asked,
      rows,
      entries,
      guidance: this.#guidance,
      plans,
      planOffset: at.planOffset,
      choices: step.choices,
    });
    commit(recorder, {
      asked,
      counts,
      predictions,
      plans,
      places,
      ids: this.#rows.batch.ids,
      finished: this.#finished,
      commit_log: log,
    }, call);
  }

  /** @throws {GpuError} when the device failed; the canvas is then unusable */
  async predict(
    asked: readonly Pick<ForwardInput, "ids" | "positions" | "judged" | "choice">[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): Promise<Prediction[][]> {
    if (this.#destroyed) throw new Error("the canvas was destroyed");
    asked.forEach(({ choice }, i) => checkChoice(choice, `asked[${i}].choice`));
    const answers: Prediction[][] = [];
    while (answers.length < asked.length) {
      const first = answers.length;
      const most = cache === "refresh"
        ? asked.length
        : this.#rows.mostStates(cache, asked[first].ids.length);
      await this.#guarded(async () => {
        answers.push(...await this.#predict(asked.slice(first, first + most), cache));
      });
    }
    return answers;
  }

  async #predict(
    asked: readonly Pick<ForwardInput, "ids" | "positions" | "judged" | "choice">[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): Promise<Prediction[][]> {
    const { batch, rowAt, stride } = this.#rows.batchOfStates(asked.map(({ ids }) => ids), cache);
    const [{ positions: visible }] = this.#rows.packed.sequences;
    const questions = asked.map(({ positions, judged, choice }, state) => ({
      positions,
      judged,
      choice,
      rows: Array.from(positions, (position) => {
        const row = rowAt(position);
        if (row !== undefined) return state * stride + row;
        throw new RangeError(
          `position ${position} is asked for a prediction, but the pass does not run it`,
        );
      }),
      rowPositions: Array.from(positions, (position) => position - visible[0]),
    }));
    const hidden = this.#context.family.forward(this.#context, batch);
    return await answerQuestions(this.#context, this.#readback, hidden, questions);
  }

  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void {
    const { firstRow, positions } = this.#rows.packed.sequences[sequence];
    const write = (row: number, source: Uint32Array) => {
      const visible = Uint32Array.from(positions, (position) => source[position]);
      this.#ids.set(visible, row);
      upload(this.#context.gpu, this.#rows.batch.ids, visible, row);
    };
    write(firstRow, ids);
    if (unconditionalIds) write(firstRow + this.#rows.packed.twinRows, unconditionalIds);
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    const { recorder } = this.#context;
    for (const tensor of [...this.#rows.tensors, this.#finished]) {
      recorder.retire(tensor);
    }
    recorder.submit();
  }

  #planWords(steps: readonly CanvasStep[]): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(STEP_PLAN_WORDS * this.#sequences.length * steps.length);
    let at = 0;
    for (const step of steps) {
      for (const [i, { positions }] of this.#rows.packed.sequences.entries()) {
        const { bannedTokens, unconfidentTokens, ...choice } = step.choices[i];
        writeStepPlan(words, at, {
          ...choice,
          candidateFirst: visibleBefore(positions, step.blockStart ?? 0),
          candidateEnd: visibleBefore(positions, step.blockEnd),
          commits: step.commits,
          banned: bannedTokens,
          unconfident: unconfidentTokens,
        });
        at += STEP_PLAN_WORDS;
      }
    }
    return words;
  }

  /** Whether the host's copy of a generation is decided up to its first end token. */
  #decided(sequence: number): boolean {
    const { firstRow, positions } = this.#rows.packed.sequences[sequence];
    const { promptLength, endTokens } = this.#sequences[sequence];
    const answer = firstRow + visibleBefore(positions, promptLength);
    const first = this.#ids.subarray(answer, firstRow + positions.length)
      .find((token) => token === this.#maskToken || endTokens.includes(token));
    return first !== undefined && first !== this.#maskToken;
  }

  /**
   * Upper bound of a sequence's candidates at this step. Commits since the last readback are not
   * subtracted, because one of them may have been the mask token itself.
   */
  #capacity(step: CanvasStep): number {
    const masked = this.#rows.packed.sequences.map(({ firstRow, positions }) => {
      const first = visibleBefore(positions, step.blockStart ?? 0);
      const end = visibleBefore(positions, step.blockEnd);
      return this.#ids.subarray(firstRow + first, firstRow + end)
        .reduce((sum, id) => id === this.#maskToken ? sum + 1 : sum, 0);
    });
    return Math.max(...masked);
  }

  /** Reads one sequence's commits of one step and applies them to the host's copy. */
  #apply(bytes: ArrayBuffer, entry: number, sequence: number): Commit[] {
    const words = new Uint32Array(bytes);
    const numbers = new Float32Array(bytes);
    const { firstRow, positions } = this.#rows.packed.sequences[sequence];
    const committed = words[LOG_ENTRY_WORDS * entry];
    const commits: Commit[] = [];
    for (let i = 1; i <= committed; i++) {
      const at = LOG_ENTRY_WORDS * (entry + i);
      this.#ids[words[at]] = checkToken(words[at + 1], this.#context.config);
      commits.push({
        position: positions[words[at] - firstRow],
        token: words[at + 1],
        confidence: 1 / (1 + numbers[at + 2]),
        logProbability: numbers[at + 3],
      });
    }
    return commits.sort((a, b) => a.position - b.position);
  }
}
