/** Jobs of several requests in shared passes: each has the bits that it has alone. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CONFIDENCE_MEASURES } from "../../../src/denoise/confidence.ts";
import type {
  CanvasSequence,
  CanvasStep,
  ForwardInput,
  TokenChoice,
} from "../../../src/denoise/predictor.ts";
import { pagesFor } from "../../../src/model/batch/page_book.ts";
import type { BatchCanvas, PageReservation, PassJob } from "../../../src/model/batch/pass_job.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import type { Model } from "../../../src/model/model.ts";
import type { RankChoice } from "../../../src/model/ranked_pass.ts";
import { anyGpu } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import { goldenPath } from "../../reference/golden.ts";
import { goldenModel } from "../models.ts";

/** What a request asks, one call after another. */
interface Request {
  /** Absent: it only predicts. */
  readonly canvas?: readonly CanvasSequence[];
  readonly calls: readonly Call[];
}

type Call =
  | { readonly kind: "predict"; readonly inputs: readonly ForwardInput[] }
  | {
    readonly kind: "rank";
    readonly asked: Pick<ForwardInput, "ids" | "positions">;
    readonly choice: RankChoice;
    readonly k: number;
  }
  | { readonly kind: "logits"; readonly asked: Pick<ForwardInput, "ids" | "positions"> }
  | { readonly kind: "steps"; readonly steps: readonly CanvasStep[] }
  | {
    readonly kind: "states";
    readonly asked: Parameters<BatchCanvas["statesJob"]>[0];
    readonly cache: NonNullable<CanvasStep["cache"]>;
  }
  | { readonly kind: "ids"; readonly ids: Uint32Array; readonly twin?: Uint32Array };

const requestArb = fc.record({
  seed: fc.nat(),
  kind: fc.constantFrom("predict", "rank", "none", "prefix", "dual", "states"),
  guided: fc.boolean(),
});

const SCALES = [0.5, 2];

/** Draws a request. */
function requestOf(
  model: Model,
  { seed, kind, guided }: Parameters<Parameters<typeof requestArb.map>[0]>[0],
): Request {
  const { embeddingSize, maskTokenId: mask } = model.config;
  const random = new Random(seed);
  const length = 8 + random.integer(40);
  const pads = random.next() < 0.3 ? 1 + random.integer(3) : 0;
  const promptLength = pads + 2 + random.integer(4);
  const attentionMask = pads > 0
    ? Uint8Array.from({ length }, (_, i) => i < pads ? 0 : 1)
    : undefined;
  const scale = SCALES[random.integer(2)];
  const state = (masked: number) =>
    random.integers(length, embeddingSize)
      .map((id, i) => i < pads ? 0 : i >= promptLength && random.next() < masked ? mask : id);
  const twinOf = (ids: Uint32Array) => ids.map((id, i) => i < promptLength ? mask : id);
  const guidanceOf = (ids: Uint32Array) =>
    guided ? { scale, unconditionalIds: twinOf(ids) } : undefined;
  const choice = (step: number, sampled = false): TokenChoice => ({
    temperature: random.next() < 0.5 ? 0 : 0.7,
    seed,
    step,
    bannedTokens: random.next() < 0.3 ? [random.integer(embeddingSize)] : [],
    unconfidentTokens: [],
    measure: CONFIDENCE_MEASURES[random.integer(CONFIDENCE_MEASURES.length)],
    ...sampled && {
      sampling: {
        topK: 1 + random.integer(9),
        changes: [{ token: random.integer(embeddingSize), repetition: 1.5, offset: -1 }],
        likeliest: 2,
      },
    },
  });
  const masksOf = (ids: Uint32Array, first: number, end: number) =>
    Uint32Array.from(ids.keys()).filter((at) => at >= first && at < end && ids[at] === mask);
  if (kind === "predict") {
    const calls = Array.from({ length: 2 }, (_, call): Call => ({
      kind: "predict",
      inputs: Array.from({ length: 1 + random.integer(2) }, (): ForwardInput => {
        const ids = state(0.5);
        const shadows = Uint32Array.from(ids.keys())
          .filter((at) => at >= promptLength && ids[at] !== mask && random.next() < 0.2);
        const positions = Uint32Array.from([...masksOf(ids, pads, length), ...shadows]).sort();
        return {
          ids,
          attentionMask,
          positions,
          shadows: random.next() < 0.5 ? shadows : undefined,
          judged: random.next() < 0.3
            ? positions.map(() => random.integer(embeddingSize))
            : undefined,
          guidance: guidanceOf(ids),
          choice: choice(call, random.next() < 0.3),
        };
      }),
    }));
    return { calls };
  }
  if (kind === "rank") {
    const calls = Array.from({ length: 3 }, (_, call): Call => {
      const ids = state(0.9);
      const positions = masksOf(ids, 0, length);
      if (call === 2) return { kind: "logits", asked: { ids, positions: positions.slice(0, 2) } };
      const asked = { ids, positions };
      return {
        kind: "rank",
        asked,
        choice: choice(call, random.next() < 0.5),
        k: 1 + random.integer(64),
      };
    });
    return { calls };
  }
  // Several sequences keep nothing.
  const sequences = kind === "none" ? 1 + random.integer(2) : 1;
  const canvas = Array.from({ length: sequences }, () => {
    const start = state(0.9);
    return {
      ids: start,
      attentionMask,
      promptLength,
      guidance: guidanceOf(start),
      endTokens: [model.config.eosTokenId],
      maskToken: mask,
    };
  });
  const horizon = sequences === 1 && random.next() < 0.3
    ? length - random.integer(length - promptLength)
    : undefined;
  const blockLength = 3 + random.integer(6);
  const refreshInterval = 1 + random.integer(4);
  const rule = ([
    undefined,
    { kind: "threshold", threshold: 0.03 },
    { kind: "factor", factor: 2 },
  ] as const)[random.integer(3)];
  const remasking = random.next() < 0.7 ? "low_confidence" as const : "random" as const;
  const stopAtEnd = random.next() < 0.5;
  const blockAt = (step: number) => {
    const first = promptLength + blockLength * Math.floor(step / 3);
    const most = horizon ?? length;
    return first < most ? { first, end: Math.min(most, first + blockLength) } : undefined;
  };
  const cacheAt = (step: number) => {
    if (kind === "none") return undefined;
    const block = blockAt(step)!;
    if (step % 3 === 0 || step % refreshInterval === 0) return "refresh" as const;
    return kind === "prefix" ? { first: block.first, end: length } : block;
  };
  const calls: Call[] = [];
  let step = 0;
  while (step < 12 && blockAt(step)) {
    if (kind === "states" && random.next() < 0.6) {
      const block = blockAt(step)!;
      const refresh = cacheAt(step) === "refresh";
      const shown = horizon ?? length;
      const asked = Array.from({ length: refresh ? 1 : 1 + random.integer(3) }, () => {
        const ids = state(0.6).subarray(0, shown);
        const part = refresh ? { first: pads, end: shown } : block;
        return {
          ids,
          positions: masksOf(ids, part.first, part.end),
          guidance: guidanceOf(ids),
          choice: choice(step, random.next() < 0.2),
        };
      });
      calls.push({ kind: "states", asked, cache: refresh ? "refresh" : block });
      step++;
      continue;
    }
    const steps: CanvasStep[] = [];
    const many = 1 + random.integer(4);
    for (; steps.length < many && step < 12 && blockAt(step); step++) {
      const block = blockAt(step)!;
      steps.push({
        blockStart: block.first,
        blockEnd: block.end,
        commits: random.integer(4),
        rule,
        cache: cacheAt(step),
        horizon,
        remasking,
        choices: canvas.map(() => choice(step)),
        stopAtEnd,
      });
    }
    calls.push({ kind: "steps", steps });
    if (random.next() < 0.2) {
      const ids = state(0.7);
      calls.push({ kind: "ids", ids, twin: guided ? twinOf(ids) : undefined });
    }
  }
  return { canvas, calls };
}

/** A request under way. */
class Running {
  readonly results: unknown[] = [];
  readonly #canvas: BatchCanvas | undefined;
  readonly #reserved: PageReservation | undefined;
  #call = 0;
  /** Steps of the present call that are done. */
  #done: unknown[] = [];

  constructor(readonly model: Model, readonly request: Request, reserved: boolean) {
    const length = request.canvas?.[0].ids.length ?? 0;
    this.#reserved = reserved ? model.reserve(2 * pagesFor(length)) : undefined;
    this.#canvas = request.canvas && model.canvas(request.canvas, this.#reserved);
  }

  /** The job of its next call, undefined when there is none. */
  next(): PassJob<unknown> | undefined {
    const call = this.request.calls[this.#call];
    switch (call?.kind) {
      case undefined:
        return undefined;
      case "ids":
        this.#canvas!.setIds(0, call.ids, call.twin);
        this.#call++;
        return this.next();
      case "predict":
        return this.model.predictJob(call.inputs);
      case "rank":
        return this.model.rankJob(call.asked, call.choice, call.k);
      case "logits":
        return this.model.logitsJob(call.asked);
      case "states":
        return this.#canvas!.statesJob(call.asked, call.cache);
      case "steps":
        return this.#canvas!.stepsJob(call.steps.slice(this.#done.length));
    }
  }

  take(result: unknown): void {
    const call = this.request.calls[this.#call];
    if (call.kind !== "steps") this.results.push(result);
    else {
      this.#done.push(...result as unknown[]);
      if (this.#done.length < call.steps.length) return;
      this.results.push(this.#done);
      this.#done = [];
    }
    this.#call++;
  }

  end(): void {
    this.#canvas?.destroy();
    this.#reserved?.release();
  }
}

async function alone(model: Model, request: Request): Promise<unknown[]> {
  const running = new Running(model, request, false);
  for (let job = running.next(); job; job = running.next()) {
    const [result] = await model.runTogether([job], job.passes);
    running.take(result);
  }
  running.end();
  return running.results;
}

/** Rows of a shared pass: few, so that what is asked together runs in groups. */
const PLANNED = { context: 64, rows: 150 };

for (
  const [name, element, planned, numRuns] of [
    ["gqa-bf16", "f16", undefined, 25],
    ["mha-f32", "f32", undefined, 25],
    ["mha-f32", "f32", PLANNED, 8],
  ] as const
) {
  const how = planned ? `, in passes of ${planned.rows} rows` : "";
  Deno.test(`${name}, kept in ${element}${how}: what requests ask together has the bits that it has alone`, async () => {
    const single = await goldenModel(anyGpu, name, element);
    using limited = planned && await loadModel(anyGpu, goldenPath(`checkpoints/${name}`), {
      context: planned.context,
      kvCache: element,
      shared: planned,
    });
    const model = limited ?? single;
    let together = 0;
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(requestArb, { minLength: 2, maxLength: 5 }),
        async (seed, draws) => {
          const random = new Random(seed);
          // Some ask the same: their keys and values may share pages.
          const requests = draws.map((draw) => requestOf(model, draw))
            .flatMap((request) => random.next() < 0.3 ? [request, request] : [request]);
          const expected: unknown[][] = [];
          for (const request of requests) expected.push(await alone(single, request));
          const { free } = model.pages;
          const waiting = requests.map((request, i) => ({ request, i }));
          const running: { readonly i: number; readonly run: Running }[] = [];
          while (waiting.length > 0 || running.length > 0) {
            // They join and leave at any time.
            while (waiting.length > 0 && (running.length === 0 || random.next() < 0.4)) {
              const { request, i } = waiting.shift()!;
              running.push({ i, run: new Running(model, request, random.next() < 0.5) });
            }
            const some = running.filter(() => random.next() < 0.7);
            const jobs = some.flatMap(({ i, run }) => {
              const job = run.next();
              return job ? [{ i, run, job }] : [];
            });
            for (const { i, run } of some) {
              if (jobs.some(({ run: other }) => other === run)) continue;
              assertEquals(run.results, expected[i]);
              run.end();
              running.splice(running.findIndex(({ run: other }) => other === run), 1);
            }
            const passes = 1 + random.integer(4);
            const results = await model.runTogether(jobs.map(({ job }) => job), passes);
            jobs.forEach(({ run }, i) => run.take(results[i]));
            if (jobs.length > 1) together++;
            shared += model.pages.shared;
          }
          assertEquals([model.pages.free, model.pages.shared], [free, 0]);
        },
      ),
      { numRuns, seed: 18, endOnFailure: true },
    );
    assert(together > 2 * numRuns, `${together} runs were shared`);
    assert(shared > 0.8 * numRuns, `${shared} pages were shared`);
    anyGpu.throwIfFaulty();
  });
}
