/** What requests share is planned: at least for one answer, and for more where there is memory. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { PAGE_POSITIONS, pagesFor } from "../../../src/model/batch/page_book.ts";
import type { PlanRequest } from "../../../src/model/memory/plan_request.ts";
import { sharedPlan, sharedRows } from "../../../src/model/memory/shared_plan.ts";

const REQUEST: PlanRequest = {
  target: "target",
  answer: { maxTokens: 64, blockLength: 32 },
  cache: true,
};
const EACH = { target: 1000, draft: 200 };

Deno.test("pages fill the memory that a plan leaves, from one answer to sixteen", () => {
  const plan = (free: number, more: Partial<PlanRequest> = {}) =>
    sharedPlan({ ...REQUEST, ...more }, 512, EACH, free);
  // Sixteen answers of 64 tokens behind as many: 4 pages each.
  assertEquals(plan(Infinity), {
    rows: 512,
    pages: 64,
    statePages: 16,
    bytes: 48 * 1200 + 15 * 1000,
  });
  assertEquals(plan(0), { rows: 512, pages: 16, statePages: 1, bytes: 0 });
  // The states of a round come first, those of several answers last.
  assertEquals(plan(3500), { rows: 512, pages: 16, statePages: 4, bytes: 3000 });
  assertEquals(plan(48 * 1200 + 4000 + 3500).statePages, 8);
  assertEquals(plan(10_000).pages, 16 + Math.floor((10_000 - 4000) / 1200));
  // Guidance keeps two sequences: of one answer at the context length there is room for both.
  assertEquals(sharedPlan(REQUEST, 4096, EACH, Infinity).pages, 2 * pagesFor(4096));
  assertEquals(plan(Infinity, { cachePages: 100 }).pages, 100);
  assertEquals(plan(Infinity, { cachePages: 3 }).pages, 16, "one answer at least");
  assertEquals(plan(Infinity, { cache: false }), {
    rows: 512,
    pages: 16,
    statePages: 1,
    bytes: 0,
  });
});

Deno.test("what is planned for pages fits what is free, unless it is one answer's or was named", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 1, max: 1000 }),
    fc.integer({ min: 1, max: 1000 }),
    fc.nat(1_000_000),
    (context, target, draft, free) => {
      const { pages, bytes } = sharedPlan(REQUEST, context, { target, draft }, free);
      const least = pagesFor(context);
      assert(pages >= least && pages * PAGE_POSITIONS >= context);
      assert(bytes <= free, `${bytes} of ${free}`);
    },
  ));
});

Deno.test("a shared pass has the rows of the longest answer, or more where that costs nothing", () => {
  assertEquals(sharedRows(4096, undefined), 4096);
  assertEquals(sharedRows(256, undefined), 512);
  // Five states of one answer are planned for in any case.
  assertEquals(sharedRows(64, undefined), 320);
  assertEquals(sharedRows(256, 2000), 2000);
  assertEquals(sharedRows(256, 100), 256);
});
