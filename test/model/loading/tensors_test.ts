import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readConfig } from "../../../src/model/loading/config.ts";
import { expectedTensors } from "../../../src/model/loading/tensors.ts";
import { LLADA_8B } from "./llada_8b.ts";

const golden = fileURLToPath(new URL("../../golden/checkpoints/", import.meta.url));

const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

Deno.test("LLaDA-8B has 291 tensors, whose bytes are the published total_size", () => {
  const tensors = expectedTensors(LLADA_8B);
  assertEquals(tensors.length, 291);
  assertEquals(new Set(tensors.map(({ name }) => name)).size, 291);
  assertEquals(tensors.reduce((sum, { shape }) => sum + 2 * count(shape), 0), 16031162368);
});

Deno.test("fewer KV heads make k and v smaller; a tied head has no tensor", () => {
  const shapes = (name: string) =>
    new Map(
      expectedTensors(readConfig(join(golden, name))).map(({ name, shape }) => [name, shape]),
    );
  const gqa = shapes("gqa-bf16");
  assertEquals(gqa.get("model.transformer.blocks.1.q_proj.weight"), [128, 128]);
  assertEquals(gqa.get("model.transformer.blocks.1.v_proj.weight"), [32, 128]);
  assertEquals(gqa.get("model.transformer.ff_out.weight"), [512, 128]);
  assertEquals(shapes("tied-f16").has("model.transformer.ff_out.weight"), false);
});
