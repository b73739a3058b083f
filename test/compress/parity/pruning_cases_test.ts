/** The pruning cases of `unmask parity` notice what differs. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { pruningCases } from "../../../src/compress/parity/pruning_cases.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { allForms, anyGpu } from "../../gpu/device.ts";
import { withFolder } from "../../model/random_checkpoint.ts";
import { goldenPath } from "../../reference/golden.ts";

interface Golden {
  removed_layers: number[];
  kept_neurons: { neurons: number[] }[];
}

/** Names and details of what fails in a copy that was changed. */
async function failures(
  change: (golden: Golden, dir: string) => void,
  gpu: Gpu = anyGpu,
): Promise<{ failed: Record<string, string>; count: number }> {
  const failed: Record<string, string> = {};
  let count = 0;
  await withFolder(async (dir) => {
    const files = [
      "pruning/pruning.json",
      "pruning/pruning.safetensors",
      ...["pair-target", "pair-draft"].flatMap((name) => [
        `checkpoints/${name}/config.json`,
        `checkpoints/${name}/model.safetensors`,
      ]),
    ];
    for (const file of files) {
      const to = join(dir, file);
      Deno.mkdirSync(join(to, ".."), { recursive: true });
      Deno.writeFileSync(to, Deno.readFileSync(goldenPath(file)));
    }
    const json = join(dir, "pruning", "pruning.json");
    const golden: Golden = JSON.parse(Deno.readTextFileSync(json));
    change(golden, dir);
    Deno.writeTextFileSync(json, JSON.stringify(golden));
    const load = (name: string) => loadModel(gpu, join(dir, "checkpoints", name));
    for await (const { name, passed, detail } of pruningCases(dir, load)) {
      count++;
      if (!passed) failed[name] = detail;
    }
  });
  return { failed, count };
}

/** Changes one byte, counted from the end. */
function flip(dir: string, file: string, fromEnd: number): void {
  const path = join(dir, file);
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - fromEnd] ^= 0x40;
  Deno.writeFileSync(path, bytes);
}

for (const [form, gpu] of allForms) {
  Deno.test(`the golden pruning passes, ${form}`, async () => {
    assertEquals(await failures(() => {}, gpu), { failed: {}, count: 3 });
  });
}

Deno.test("a changed neuron, layer, importance or weight fails, and is named", async () => {
  const neuron = await failures(({ kept_neurons: [, second] }) => second.neurons[3]++);
  assertEquals(Object.keys(neuron.failed), ["pruning/kept"]);
  assertStringIncludes(neuron.failed["pruning/kept"], "other neurons of layer 1");
  const layer = await failures((golden) => golden.removed_layers = [2, 4]);
  assertEquals(Object.keys(layer.failed), ["pruning/kept", "pruning/weights of pair-draft"]);
  const importance = await failures((_, dir) => flip(dir, "pruning/pruning.safetensors", 2));
  assertEquals(Object.keys(importance.failed), ["pruning/importance"]);
  assertStringIncludes(importance.failed["pruning/importance"], "layer 7, neuron 191");
  const weight = await failures((_, dir) =>
    flip(dir, "checkpoints/pair-draft/model.safetensors", 5)
  );
  assertEquals(Object.keys(weight.failed), ["pruning/weights of pair-draft"]);
  assertStringIncludes(weight.failed["pruning/weights of pair-draft"], "wte.weight differs");
});

Deno.test("a folder without pruning has no case", () =>
  withFolder(async (dir) => {
    const cases = pruningCases(dir, () => Promise.reject(new Error("nothing to load")));
    assertEquals(await Array.fromAsync(cases), []);
  }));
