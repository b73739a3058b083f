import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { ScheduleFile, ScheduleShape } from "../../src/evaluate/parity/golden_files.ts";
import {
  numTransferTokens,
  planSteps,
  SCHEDULE_LIMIT,
  ScheduleError,
} from "../../src/denoise/schedule.ts";
import { readGolden } from "../reference/golden.ts";

const golden = readGolden<ScheduleFile>("sampling/schedule.json");

function plan({ gen_length, block_length, steps }: ScheduleShape) {
  return planSteps({ genLength: gen_length, blockLength: block_length, steps });
}

Deno.test("golden num_transfer_tokens", () => {
  assert(golden.masked_and_steps.length > 0);
  for (const { masked, steps, num_transfer_tokens } of golden.masked_and_steps) {
    assertEquals(numTransferTokens(masked, steps), num_transfer_tokens);
  }
});

for (const run of golden.runs) {
  Deno.test(`golden run ${run.gen_length} / ${run.block_length} in ${run.steps}`, () => {
    const planned = plan(run);
    assertEquals(planned.length, run.blocks * run.steps_per_block);
    planned.forEach(({ block, blockEnd, commits }, step) => {
      assertEquals(block, Math.floor(step / run.steps_per_block));
      assertEquals(blockEnd, (block + 1) * run.block_length);
      assertEquals(commits, run.num_transfer_tokens_of_every_block[step % run.steps_per_block]);
    });
  });
}

Deno.test("golden rejected combinations name the field and what fits", () => {
  const errors = golden.rejected.map((run) => assertThrows(() => plan(run), ScheduleError));
  assertEquals(errors.map((error) => error.field), ["genLength", "steps"]);
  errors.forEach((error, i) => {
    assertEquals(
      golden.rejected[i].why.startsWith(error.field === "steps" ? "steps" : "gen"),
      true,
    );
  });
  assertStringIncludes(errors[0].message, "24 or 32");
  assertStringIncludes(errors[1].message, "8 or 12");
});

Deno.test("values that are not whole numbers in range are refused by name", () => {
  const good = { genLength: 32, blockLength: 8, steps: 8 };
  planSteps(good);
  for (const field of ["genLength", "blockLength", "steps"] as const) {
    for (const value of [0, -8, 1.5, NaN, Infinity, SCHEDULE_LIMIT + 1]) {
      const error = assertThrows(() => planSteps({ ...good, [field]: value }), ScheduleError);
      assertEquals(error.field, field);
      assertStringIncludes(error.message, `${field} is ${value}: expected`);
    }
  }
});

Deno.test("every plan unmasks each block whole, as evenly as can be, larger steps first", () => {
  const small = fc.integer({ min: 1, max: 12 });
  fc.assert(fc.property(small, small, small, (blocks, blockLength, stepsPerBlock) => {
    const planned = planSteps({
      genLength: blocks * blockLength,
      blockLength,
      steps: blocks * stepsPerBlock,
    });
    for (let block = 0; block < blocks; block++) {
      const commits = planned.filter((step) => step.block === block).map((step) => step.commits);
      assertEquals(commits.length, stepsPerBlock);
      assertEquals(commits.reduce((sum, n) => sum + n), blockLength);
      assertEquals(commits, commits.toSorted((a, b) => b - a));
      assert(commits[0] - commits[commits.length - 1] <= 1);
    }
  }));
});

Deno.test("the values a refusal suggests are accepted", () => {
  const size = fc.integer({ min: 1, max: 60 });
  fc.assert(fc.property(size, size, size, (genLength, blockLength, steps) => {
    const options = { genLength, blockLength, steps };
    try {
      planSteps(options);
    } catch (error) {
      assert(error instanceof ScheduleError);
      const suggested = error.message.split("such as ")[1].split(" or ").map(Number);
      for (const value of suggested) {
        try {
          planSteps({ ...options, [error.field]: value });
        } catch (next) {
          // A length that fits may leave steps that do not.
          assert(next instanceof ScheduleError);
          assertEquals([error.field, next.field], ["genLength", "steps"]);
        }
      }
    }
  }));
});
