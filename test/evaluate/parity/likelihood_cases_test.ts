/** That `unmask parity` notices what differs in losses/likelihood; parity_test.ts runs it unchanged. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  likelihoodCases,
  type LikelihoodFile,
} from "../../../src/evaluate/parity/likelihood_cases.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { anyGpu } from "../../gpu/device.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));

type Writable<T> = { -readonly [K in keyof T]: Writable<T[K]> };

/** Runs the cases of a copy that `change` has changed; says which failed, of how many. */
async function failures(change: (json: Writable<LikelihoodFile>) => void) {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(dir, "losses"));
    const path = join("losses", "likelihood.json");
    const json = JSON.parse(await Deno.readTextFile(join(golden, path)));
    change(json);
    await Deno.writeTextFile(join(dir, path), JSON.stringify(json));
    const failed: string[] = [];
    let count = 0;
    const load = (name: string) => loadModel(anyGpu, join(golden, "checkpoints", name));
    for await (const { name, passed } of likelihoodCases(dir, load)) {
      count++;
      if (!passed) failed.push(name);
    }
    return { failed, count };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("the golden bounds are those of the GPU, with guidance too", async () => {
  const { failed, count } = await failures(() => {});
  assertEquals(failed, []);
  assert(count >= 11, `${count} cases`);
});

const CHANGES: readonly [string, string, (json: Writable<LikelihoodFile>) => void][] = [
  ["a loss", "cfg 0", ({ results: [first] }) => first.batch_losses[1] *= 1 + 2e-5],
  ["a likelihood", "cfg 1.5", ({ results: [, second] }) => second.log_likelihood *= 1 - 2e-5],
  ["a missing batch", "cfg 0", ({ results: [first] }) => first.batch_losses.pop()],
  [
    "a number of masks",
    "masks of 10 in 4 from 1",
    ({ masked_counts_rule: [first] }) => first.masked_counts[3]++,
  ],
];
for (const [name, expected, change] of CHANGES) {
  Deno.test(`a changed likelihood case is noticed: ${name}`, async () => {
    assertEquals((await failures(change)).failed, [`losses/likelihood ${expected}`]);
  });
}

Deno.test("another mask changes the losses, with and without guidance", async () => {
  const { failed } = await failures(({ batches: [first], prompt, answer }) => {
    const ids = first.noisy_ids[0];
    const mask = ids.find((id, i) => i >= prompt.length && id !== answer[i - prompt.length])!;
    ids[ids.findIndex((id, i) => i >= prompt.length && id !== mask)] = mask;
  });
  assertEquals(failed, ["losses/likelihood cfg 0", "losses/likelihood cfg 1.5"]);
});
