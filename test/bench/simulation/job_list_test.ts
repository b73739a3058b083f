import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readJobs, type RecordedJob, writeJobs } from "../../../src/bench/simulation/job_list.ts";

const rows = fc.array(fc.constantFrom(8, 32, 146), { minLength: 1, maxLength: 6 });
const jobArb: fc.Arbitrary<RecordedJob> = fc.record(
  { rows, model: fc.constant("draft" as const), refreshes: fc.constant(true) },
  { requiredKeys: ["rows"], noNullPrototype: true },
);

Deno.test("jobs are read as they were written, whatever repeats", () => {
  const groupArb = fc.tuple(
    fc.array(jobArb, { minLength: 1, maxLength: 4 }),
    fc.integer({ min: 1, max: 5 }),
  ).map(([group, times]) => new Array<RecordedJob[]>(times).fill(group).flat());
  fc.assert(fc.property(fc.array(groupArb, { minLength: 1, maxLength: 5 }), (groups) => {
    assertEquals(readJobs(writeJobs(groups.flat())), groups.flat());
  }));
});

Deno.test("jobs that repeat are told once", () => {
  const step = { rows: [32, 32, 32] };
  const refresh = { rows: [146, 32], refreshes: true, model: "draft" as const };
  assertEquals(writeJobs([step, step, step]), "3 x 32*3");
  assertEquals(
    writeJobs([step, refresh, step, refresh, step]),
    "2 x (32*3, draft refresh 146 32), 32*3",
  );
});

Deno.test("text that is no list of jobs is refused", () => {
  for (const text of ["32,", "32, ", "a 32", "2 x", "2 x (32", "refresh draft 32", "32*"]) {
    assertThrows(() => readJobs(text), SyntaxError, "no job");
  }
});
