/** Whatever shares its passes, a request's answer is the one that it gets alone. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { choosePass } from "../../../src/engine/batching/policy.ts";
import { Scheduler } from "../../../src/engine/batching/scheduler.ts";
import { GpuMemoryError } from "../../../src/model/model.ts";
import { ToyCanvasModel } from "../../denoise/toy_model.ts";
import { answer, constrainedArb, lasting, requestArb } from "./requests.ts";
import { ToyBatchModel } from "./toy_batch_model.ts";

const DRAFT = { disagreement: 0.2, salt: 8 };

/** Numbers in [0, 1), the same for the same seed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Any choice that is allowed. */
function anyChoice(next: () => number, taken: number): typeof choosePass {
  return (pending) => {
    const { model } = pending[Math.floor(next() * pending.length)];
    const all = [...pending.keys()].filter((i) => pending[i].model === model);
    const some = all.filter(() => next() < taken);
    const jobs = (some.length > 0 ? some : all.slice(0, 1)).sort(() => next() - 0.5);
    return { model, jobs, passes: 1 + Math.floor(next() * 4) };
  };
}

const loadArb = fc.record({
  asked: fc.array(
    fc.record({
      request: fc.oneof({ weight: 4, arbitrary: requestArb }, constrainedArb),
      /** Turns of the event loop before it comes, and steps after which it is aborted. */
      comes: fc.constantFrom(0, 0, 0, 1, 5, 20),
      stays: fc.constantFrom(...Array(6).fill(undefined), 0, 1, 3, 8),
    }),
    { minLength: 2, maxLength: 9, size: "max" },
  ),
  seed: fc.nat(),
  /** Share of the jobs that wait which are taken into a run. */
  taken: fc.constantFrom(0.6, 1, 1),
  maxRunning: fc.constantFrom(1, 3, 8, 8, 8),
  /** Share of the runs that find too little memory. */
  scarce: fc.constantFrom(0, 0, 0.2),
  mostRows: fc.constantFrom(20, 60, 10_000),
});

Deno.test("each answer equals the one alone, bits of confidences included, whoever joins and leaves", async () => {
  const shared = new Set<string>();
  let [ended, aborted, most, split, passes, requests] = [0, 0, 0, 0, 0, 0];
  await fc.assert(
    fc.asyncProperty(loadArb, async ({ asked, seed, taken, maxRunning, scarce, mostRows }) => {
      const next = random(seed);
      const device = {};
      const fails = (jobs: readonly unknown[]) => {
        if (jobs.length < 2 || next() >= scarce) return undefined;
        split++;
        return new GpuMemoryError("out of memory: no room");
      };
      const lent = { pages: 60, mostRows, turns: () => Math.floor(next() * 3), fails };
      const target = new ToyBatchModel(lent, device);
      const draft = new ToyBatchModel({ ...lent, ...DRAFT }, device);
      const scheduler = new Scheduler({ target, draft }, {
        maxRunning,
        maxWaiting: 10,
        choose: anyChoice(next, taken),
      });
      await Promise.all(asked.map(async ({ request, comes, stays }) => {
        const { sequence, options } = request;
        const toy = new ToyCanvasModel();
        const alone = await answer(request, {
          target: toy,
          draft: new ToyCanvasModel(DRAFT),
          logits: toy,
        });
        for (let i = 0; i < comes; i++) await new Promise((resolve) => setImmediate(resolve));
        const abort = new AbortController();
        const reason = new Error("left");
        const leave = () => setImmediate(() => abort.abort(reason));
        if (stays === 0) leave();
        const pages = "cache" in options ? Math.ceil(sequence.ids.length / 4) : 0;
        const wish = { pages, draftPages: pages, signal: abort.signal };
        let lane;
        try {
          lane = await scheduler.enter(wish);
        } catch (error) {
          assertEquals(error, reason);
          aborted++;
          return;
        }
        let steps = 0;
        const found = await answer(request, lane, abort.signal, () => {
          if (++steps === stays) leave();
        });
        lane.close();
        if (!found.error) {
          ended++;
          shared.add(`${request.name} ${"cache" in options ? options.cache : "none"}`);
          return assertEquals(lasting(request, found), lasting(request, alone));
        }
        aborted++;
        assertEquals(found.error, alone.error ?? reason);
        const part = { steps: alone.steps.slice(0, found.steps.length) };
        assertEquals(lasting(request, { steps: found.steps }), lasting(request, part));
      }));
      // What is left belongs to a run under way.
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
      assertEquals([target.open.size, draft.open.size, scheduler.lanes], [0, 0, 0]);
      assertEquals([target.pages.free, draft.pages.free], [60, 60]);
      const { figures } = scheduler;
      assertEquals([figures.running, figures.waiting, figures.pages.used], [0, 0, 0]);
      most = Math.max(most, figures.mostRequests);
      passes += figures.passes;
      requests += figures.passRequests;
    }),
    { numRuns: 500 },
  );
  assert(ended > 500 && aborted > 100 && split > 30, `${ended}, ${aborted}, ${split}`);
  assert(most >= 5 && requests > passes + 500, `${most} at most, ${requests} in ${passes}`);
  // Each strategy without a cache, and each that takes one with both.
  for (const name of ["plain", "threshold", "factor", "lossless", "self", "commit_verify"]) {
    for (const cache of ["none", "prefix", "dual"]) assert(shared.has(`${name} ${cache}`), name);
  }
  for (const name of ["gate", "auto", "constrained"]) assert(shared.has(`${name} none`), name);
});
