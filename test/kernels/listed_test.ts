/** Keys and values in listed rows: the same bits as in a row, on every form. */

import { assertEquals } from "@std/assert";
import { allForms, anyGpu, lacks } from "../gpu/device.ts";
import { skipIf } from "../skip.ts";
import { inRows as attentionInRows, kernelCase as attentionListed } from "./attention.ts";
import { APART } from "./attention_sizes.ts";
import { inRows as qkvInRows, kernelCase as qkvListed } from "./qkv.ts";
import { runCase } from "./run_case.ts";

const cases = [[attentionListed, attentionInRows], [qkvListed, qkvInRows]] as const;

for (const [{ kernel, runs }, inRows] of cases) {
  // splits_test.ts compares chunks in workgroups of their own with those in turn.
  for (const inRow of inRows.runs.filter(({ name }) => !name.endsWith(APART))) {
    const listed = runs.find(({ name }) => name === inRow.name)!;
    Deno.test({
      ...skipIf(lacks(anyGpu, inRow.feature), `${kernel}: ${inRow.name}: the bits of rows in turn`),
      async fn() {
        for (const [form, gpu] of allForms) {
          if (listed.ownFormOnly && gpu.software && gpu !== anyGpu) continue;
          const found = await runCase(gpu, listed);
          const expected = await runCase(gpu, inRow);
          for (const name of found.keys()) {
            // Keys and values lie in other rows; which, the kernel's case compares.
            const [bits, wanted] = [found.get(name)!, expected.get(name)!];
            const moved = name === "k" || name === "v";
            assertEquals(moved ? bits.sort() : bits, moved ? wanted.sort() : wanted, form);
          }
        }
      },
    });
  }
}
