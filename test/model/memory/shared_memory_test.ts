/** No mix of requests takes more memory than is planned: on a device that counts bytes. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type CanvasStep, GREEDY, type TokenChoice } from "../../../src/denoise/predictor.ts";
import { pagesFor } from "../../../src/model/batch/page_book.ts";
import type { PassJob } from "../../../src/model/batch/pass_job.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import {
  CountedMemory,
  countingGpu,
  type DeviceLimits,
  UNLIMITED,
} from "../../../src/model/memory/counting_gpu.ts";
import { planMemory } from "../../../src/model/memory/memory_plan.ts";
import type { Model } from "../../../src/model/model.ts";
import { TRIES } from "../../../src/model/ranked_pass.ts";
import { Random } from "../../kernels/random.ts";
import { TINY_TARGET } from "../models.ts";

const CONTEXT = 160;
/** Pages that are planned, fewer than all of what is drawn may keep. */
const PAGES = 40;

/** Counts what a model takes that is loaded as it is planned. */
async function opened(device: DeviceLimits) {
  const request = {
    target: TINY_TARGET,
    answer: { maxTokens: 64, blockLength: 32 },
    cache: true,
    context: CONTEXT,
    cachePages: PAGES,
  };
  const { target, bytes, shared } = await planMemory(device, request);
  const memory = new CountedMemory();
  const gpu = countingGpu(memory, device);
  const model = await loadModel(gpu, TINY_TARGET, {
    context: CONTEXT,
    shared: { ...shared, rows: target.rows },
  });
  return { model, memory, planned: bytes + shared.bytes };
}

const KINDS = ["predict", "sample", "rank", "logits", "plain", "cached", "states"] as const;
type Kind = typeof KINDS[number];

/** What a request may ask: all of its positions, or some, with or without all that costs memory. */
const askArb = fc.record({
  kind: fc.constantFrom(...KINDS),
  length: fc.oneof(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 2, max: CONTEXT })),
  scale: fc.constantFrom(undefined, undefined, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5),
  seed: fc.nat(),
  copies: fc.constantFrom(1, 1, 1, 4, 40),
});
interface Ask {
  readonly kind: Kind;
  readonly length: number;
  readonly scale: number | undefined;
  readonly seed: number;
  /** How many ask the same. */
  readonly copies: number;
}

const SAMPLED: TokenChoice = {
  ...GREEDY,
  temperature: 1,
  sampling: {
    topK: 5,
    topP: 0.9,
    minP: 0.1,
    likeliest: 20,
    changes: Array.from({ length: 300 }, (_, token) => ({ token, repetition: 2, offset: 1 })),
  },
};

/** The jobs of a request, one after another, and what ends it. */
function jobsOf(model: Model, { kind, length, scale, seed }: Ask) {
  const { maskTokenId: mask } = model.config;
  const random = new Random(seed);
  const ids = new Uint32Array(length).fill(mask, 1);
  const positions = Uint32Array.from(ids.keys());
  const guidance = scale === undefined ? undefined : { scale, unconditionalIds: ids };
  const shadows = positions.filter(() => random.next() < 0.2);
  const one = (job: () => PassJob<unknown>) => ({ jobs: [job], end: () => {} });
  switch (kind) {
    case "predict":
      return one(() => model.predictJob([{ ids, positions, guidance, shadows, choice: GREEDY }]));
    case "sample":
      return one(() => model.predictJob([{ ids, positions, guidance, choice: SAMPLED }]));
    case "rank":
      return one(() => model.rankJob({ ids, positions }, SAMPLED, TRIES));
    case "logits":
      return one(() => model.logitsJob({ ids, positions }));
  }
  const pages = pagesFor(length) * (guidance ? 2 : 1);
  const reserved = kind === "plain" ? undefined : model.reserve(pages);
  if (kind !== "plain" && !reserved) return { jobs: [], end: () => {} };
  const canvas = model.canvas(
    [{ ids, promptLength: 1, guidance, endTokens: [], maskToken: mask }],
    reserved,
  );
  const first = 1 + random.integer(length - 1);
  const end = Math.min(length, first + 1 + random.integer(40));
  const stepsOf = (caches: CanvasStep["cache"][]) => () =>
    canvas.stepsJob(caches.map((cache, step): CanvasStep => ({
      blockStart: first,
      blockEnd: end,
      commits: end - first,
      cache,
      remasking: "low_confidence",
      choices: [{ ...GREEDY, step }],
      stopAtEnd: false,
    })));
  const part = { first, end };
  const state = { ids, positions: positions.slice(first, end), guidance, choice: GREEDY };
  const jobs = kind === "plain"
    ? [stepsOf(Array(10).fill(undefined))]
    : kind === "cached"
    ? [stepsOf(["refresh", part, part]), stepsOf(Array(10).fill(part))]
    : [stepsOf(["refresh"]), () => canvas.statesJob(Array(5).fill(state), part)];
  return {
    jobs,
    end() {
      canvas.destroy();
      reserved?.release();
    },
  };
}

/** Runs all jobs as a scheduler may: as many together as a pass has rows for, in some order. */
async function runMix(model: Model, asks: readonly Ask[], seed: number): Promise<void> {
  const random = new Random(seed);
  let live = asks.flatMap((ask) => Array(ask.copies).fill(ask)).map((ask) => jobsOf(model, ask));
  while (live.length > 0) {
    const order = live.map((one) => ({ one, at: random.next() })).sort((a, b) => a.at - b.at);
    const chosen: typeof live = [];
    const jobs: PassJob<unknown>[] = [];
    let rows = 0;
    for (const { one } of order) {
      const job = one.jobs[0]?.();
      if (!job || (jobs.length > 0 && rows + job.rows > model.mostRows)) continue;
      rows += job.rows;
      jobs.push(job);
      chosen.push(one);
    }
    await model.runTogether(jobs, 10);
    for (const one of chosen) one.jobs.shift();
    for (const one of live) if (one.jobs.length === 0) one.end();
    live = live.filter((one) => one.jobs.length > 0);
  }
}

/** Each kind by itself, where that takes most: all rows asked, by as many as there can be. */
const WORST: readonly (readonly Ask[])[] = [
  ...KINDS.flatMap((kind) =>
    [[2, 250], [8, 64], [40, 12], [CONTEXT, 3]].map(([length, copies]): Ask[] => [
      { kind, length, copies, scale: undefined, seed: 1 },
      { kind, length, copies: copies >> 1, scale: 1, seed: 2 },
    ])
  ),
  // Many scales of guidance, each with a call of the head for itself.
  Array.from({ length: 20 }, (_, i) => ({
    kind: "predict",
    length: 12,
    copies: 1,
    scale: 1 + i,
    seed: i,
  })),
];

for (const rowForm of ["uniform", "exchanged"] as const) {
  Deno.test(`no mix of requests takes more than is planned, nor much less: ${rowForm}`, async () => {
    const { model, memory, planned } = await opened({ ...UNLIMITED, rowForm });
    using _ = model;
    const check = async (asks: readonly Ask[], seed: number) => {
      await runMix(model, asks, seed);
      assert(memory.bytes <= planned, `${memory.bytes} bytes allotted, ${planned} planned`);
    };
    assertEquals(model.pages.total, PAGES);
    for (const [seed, asks] of WORST.entries()) await check(asks, seed);
    await fc.assert(
      fc.asyncProperty(fc.array(askArb, { minLength: 1, maxLength: 8 }), fc.nat(), check),
      { numRuns: 40, seed: 21 },
    );
    assert(memory.bytes >= 0.85 * planned, `${memory.bytes} bytes allotted, ${planned} planned`);
  });
}
