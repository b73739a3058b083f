import { assertEquals } from "@std/assert";
import { modelId } from "../../src/engine/load.ts";

Deno.test("a model has its folder's name, and in the hub's cache the hub's", () => {
  const commit = "08b83a6feb34df1a6011b80c3c00c7563e963b07";
  const cache = "/home/me/.cache/huggingface/hub";
  assertEquals(modelId("models/tiny-target"), "tiny-target");
  assertEquals(modelId("models/tiny-target/"), "tiny-target");
  assertEquals(modelId(`${cache}/models--org--LLaDA/snapshots/${commit}`), "org/LLaDA");
  assertEquals(modelId(`${cache}/models--gpt2/snapshots/${commit}/`), "gpt2");
  assertEquals(modelId("/data/models--org--LLaDA"), "models--org--LLaDA");
});
