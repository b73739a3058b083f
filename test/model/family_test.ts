/** The seam of model families: a second one is a file and a line. */

import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { loadEngine } from "../../src/engine/load.ts";
import { FAMILIES, type Family } from "../../src/model/family.ts";
import { ConfigError, parseConfig, readConfig } from "../../src/model/loading/config.ts";
import { quantisedFolder } from "../../src/model/loading/quantised_folder.ts";
import { expectedTensors } from "../../src/model/loading/tensors.ts";
import { quantised } from "../../src/quant/scheme.ts";
import { openCheckpoint } from "../../src/weights/checkpoint.ts";
import { planFolder, writeFolder } from "../../src/weights/folder_writer.ts";
import { writeSafetensors } from "../../src/weights/safetensors_writer.ts";
import { TINY_TARGET } from "./models.ts";
import * as other from "./other_family.ts";
import { withFolder } from "./random_checkpoint.ts";

const MODEL_TYPE = "other";
/** The families that there are, as errors list them. */
const KNOWN = Object.keys(FAMILIES).map((name) => `"${name}"`).join(" or ");

/** The line that a new family takes, for as long as `body` runs. */
async function withOtherFamily(body: () => Promise<void> | void): Promise<void> {
  const families = FAMILIES as Record<string, Family>;
  families[MODEL_TYPE] = other;
  try {
    await body();
  } finally {
    delete families[MODEL_TYPE];
  }
}

/** The embedded target as a folder of the other family: the same bytes under its names. */
async function writeRenamed(dir: string): Promise<void> {
  const config = readConfig(TINY_TARGET);
  const json = {
    model_type: MODEL_TYPE,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    intermediate_size: config.ffnSize,
    vocab_size: config.embeddingSize,
    max_position_embeddings: config.maxSequenceLength,
    rms_norm_eps: config.normEpsilon,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tiedHead,
    mask_token_id: config.maskTokenId,
    eos_token_id: config.eosTokenId,
  };
  Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify(json));
  for (const name of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
    Deno.copyFileSync(join(TINY_TARGET, name), join(dir, name));
  }
  using checkpoint = openCheckpoint(TINY_TARGET);
  const renamed = other.tensors(config);
  const tensors = expectedTensors(config).map(({ name, shape }, i) => {
    assertEquals(shape, renamed[i].shape, `${name}, ${renamed[i].name}`);
    const slice = checkpoint.tensor(name, { shape });
    const bytes = () => checkpoint.read(slice);
    return { name: renamed[i].name, dtype: slice.dtype, shape, bytes };
  });
  await writeSafetensors(join(dir, "model.safetensors"), tensors);
}

/** What a folder answers, and the logits of a prompt. */
async function answerOf(dir: string, options: { readonly weights?: "q8" } = {}) {
  using engine = await loadEngine(dir, { ...options, draft: false });
  const messages = [{ role: "user", content: "What is 7 times 8?" }];
  const { logits } = await engine.forward(engine.encodeChat(messages));
  let text = "";
  const request = { messages, maxTokens: 32, strategy: "threshold" as const, seed: 1 };
  for await (const event of engine.generate(request)) if (event.type === "end") text = event.text;
  return { logits, text };
}

Deno.test("a family of other names loads and answers as LLaDA does, also quantised", () =>
  withFolder(async (dir) => {
    await writeRenamed(dir);
    assertThrows(() => readConfig(dir), ConfigError, `model_type is "other", expected ${KNOWN}.`);
    await withOtherFamily(async () => {
      assertEquals(readConfig(dir).modelType, MODEL_TYPE);
      const expected = await answerOf(TINY_TARGET);
      assert(expected.text.includes("56"), expected.text);
      assertEquals(await answerOf(dir), expected);

      const inQ8 = await answerOf(TINY_TARGET, { weights: "q8" });
      assertNotEquals(inQ8.logits, expected.logits);
      assertEquals(await answerOf(dir, { weights: "q8" }), inQ8);
      const stored = join(dir, "stored");
      using folder = quantisedFolder(dir, {
        scheme: quantised("q8", 32),
        head: false,
        shardBytes: 5e9,
      });
      await writeFolder(planFolder(stored, folder));
      assertEquals(await answerOf(stored), inQ8);
    });
  }));

Deno.test("a model_type that is not in the table is refused with those that are", async () => {
  const refused = (expected: string) =>
    assertThrows(() => parseConfig({ model_type: "gpt2" }, "config.json"), ConfigError, expected);
  refused(`config.json: model_type is "gpt2", expected ${KNOWN}. `);
  await withOtherFamily(() => {
    refused(`config.json: model_type is "gpt2", expected ${KNOWN} or "other". `);
  });
});
