/** On the device too, an answer has the bits of the one alone, whatever shares its passes. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Scheduler } from "../../../src/engine/batching/scheduler.ts";
import { STRATEGY_NAMES, strategyOf } from "../../../src/denoise/strategy.ts";
import type { Model } from "../../../src/model/model.ts";
import { MASK } from "../../denoise/toy_model.ts";
import { anyGpu } from "../../gpu/device.ts";
import { modelOf } from "../../model/models.ts";
import { goldenPath } from "../../reference/golden.ts";
import {
  answer,
  constrainedArb,
  type ConstrainedToy,
  lasting,
  requestArb,
  type ToyRequest,
} from "./requests.ts";

/** A request to the toy, in the tokens of a model. */
function inTokensOf(
  { config: { maskTokenId: maskToken, eosTokenId: eosToken } }: Model,
  request: ToyRequest | ConstrainedToy,
): ToyRequest | ConstrainedToy {
  const ids = request.sequence.ids.map((id) => id === MASK ? maskToken : id);
  if (request.name === "constrained") {
    const { options } = request;
    return { ...request, sequence: { ids, maskToken }, options: { ...options, eosToken } };
  }
  const { sequence, options } = request;
  return {
    ...request,
    sequence: { ...sequence, ids, maskToken },
    options: { ...options, eosToken, endTokens: [eosToken], eotToken: undefined },
  };
}

const passesOf = ({ figures }: Scheduler) => figures.passes + figures.draftPasses;

const loadArb = fc.record({
  asked: fc.array(
    fc.record({
      request: fc.oneof({ weight: 4, arbitrary: requestArb }, constrainedArb),
      /** Passes after which it comes, and steps after which it is aborted. */
      comes: fc.constantFrom(0, 0, 0, 1, 4),
      stays: fc.constantFrom(...Array(8).fill(undefined), 0, 2),
    }),
    { minLength: 2, maxLength: 5, size: "max" },
  ),
  maxRunning: fc.constantFrom(2, 8, 8),
});

Deno.test("golden pair: each answer under load has the bits of the one alone, confidences included", async () => {
  const pair = (name: string) => modelOf(anyGpu, goldenPath(`checkpoints/${name}`));
  const [target, draft] = await Promise.all([pair("pair-target"), pair("pair-draft")]);
  const shared = new Set<string>();
  let [passes, requests, aborted] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(loadArb, async ({ asked, maxRunning }) => {
      const loads = [];
      for (const { request: toy, ...rest } of asked) {
        const request = inTokensOf(target, toy);
        const alone = await answer(request, { target, draft, logits: target });
        loads.push({ ...rest, request, alone });
      }
      const free = [target.pages.free, draft.pages.free];
      const scheduler = new Scheduler({ target, draft }, { maxRunning, maxWaiting: 10 });
      await Promise.all(loads.map(async ({ request, comes, stays, alone }) => {
        for (let i = 0; passesOf(scheduler) < comes && i < 100; i++) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        const abort = new AbortController();
        const { length } = request.sequence.ids;
        const { options } = request;
        const kept = "cache" in options;
        const pages = kept ? Math.ceil(length / target.pages.positions) * 2 : 0;
        const draftPages = kept ? Math.ceil(length / draft.pages.positions) * 2 : 0;
        using lane = await scheduler.enter({ pages, draftPages, signal: abort.signal });
        let steps = 0;
        if (stays === 0) abort.abort(new Error("left"));
        const found = await answer(request, lane, abort.signal, () => {
          if (++steps === stays) abort.abort(new Error("left"));
        });
        if (found.error && !alone.error) {
          assertEquals((found.error as Error).message, "left");
          aborted++;
        } else {
          assertEquals(lasting(request, found), lasting(request, alone));
          shared.add(`${request.name} ${"cache" in options ? options.cache : "none"}`);
        }
        const part = { steps: alone.steps.slice(0, found.steps.length) };
        assertEquals(lasting(request, { steps: found.steps }), lasting(request, part));
      }));
      // One stays until the pass under way has ended.
      for (let i = 0; scheduler.lanes > 0; i++) {
        assert(i < 20_000, "a lane stays open");
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assertEquals([target.pages.free, draft.pages.free], free);
      passes += passesOf(scheduler);
      requests += scheduler.figures.passRequests + scheduler.figures.draftRequests;
    }),
    { numRuns: 50, seed: 18 },
  );
  assert(requests > 1.2 * passes, `${requests} requests in ${passes} passes`);
  assert(aborted > 5, `${aborted} aborted`);
  const seen = [...shared];
  assert(seen.includes("constrained none"));
  for (const name of STRATEGY_NAMES) {
    assert(seen.includes(`${name} none`), name);
    const keeps = strategyOf(name).uses.includes("cache");
    assert(!keeps || seen.some((one) => /prefix|dual/.test(one) && one.startsWith(name)), name);
  }
});
