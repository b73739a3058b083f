/** The public API as a program that imports the package sees it. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { EMBEDDED_TARGET, GpuError, GREEDY, load, WorkerEngine } from "../mod.ts";

const messages = [{ role: "user", content: "Hi! How are you?" }];

Deno.test("load, generate, encode, decode, forward, predict, topTokens", async () => {
  using model = await load();
  assertEquals(model.summary.id, "tiny-target");

  let shown = "";
  let text = "";
  for await (const event of model.generate({ messages })) {
    if (event.type === "step") shown += event.delta;
    if (event.type === "end") text = event.text;
  }
  assert(text.length > 0);
  assertEquals(shown, text);

  assertEquals(model.decode(model.encode("naïve ☕ text <|eot_id|>")), "naïve ☕ text <|eot_id|>");

  const { maskTokenId, embeddingSize, hiddenSize, layers } = model.facts;
  const prompt = model.encodeChat(messages);
  const ids = Uint32Array.from([...prompt, ...new Array(8).fill(maskTokenId)]);
  const { logits, hidden } = await model.forward(ids);
  assertEquals(logits.length, ids.length * embeddingSize);
  const blocks = Array.from({ length: layers }, (_, i) => `block.${i}.out`);
  assertEquals([...hidden.keys()].sort(), ["embed", ...blocks, "final_norm"].sort());
  for (const [name, states] of hidden) {
    assertEquals(states.length, ids.length * hiddenSize, name);
  }

  const positions = Uint32Array.of(prompt.length, prompt.length + 3);
  const [predictions] = await model.predict([{ ids, positions, choice: GREEDY }]);
  const top = await model.topTokens({ ids, positions }, 3);
  for (const [i, { token, position, logSumExp, logProbability }] of predictions.entries()) {
    const row = logits.subarray(position * embeddingSize, (position + 1) * embeddingSize);
    assertEquals(row.indexOf(Math.max(...row)), token);
    assertEquals(top[i].map((ranked) => ranked.logit), [...row].sort((a, b) => b - a).slice(0, 3));
    assertEquals(top[i][0].token, token);
    assert(Math.abs(top[i][0].logit - logSumExp - logProbability) < 1e-4);
  }
});

Deno.test("the facts are those of the folder's config.json", async () => {
  using model = await load(EMBEDDED_TARGET, { draft: false, context: 256 });
  const json = JSON.parse(Deno.readTextFileSync(join(EMBEDDED_TARGET, "config.json")));
  const generation = JSON.parse(
    Deno.readTextFileSync(join(EMBEDDED_TARGET, "generation_config.json")),
  );
  assertEquals(model.facts, {
    modelType: json.model_type,
    maskTokenId: json.mask_token_id,
    endTokenIds: [json.eos_token_id, generation.eot_token_id],
    vocabSize: json.vocab_size,
    embeddingSize: json.embedding_size,
    contextLength: 256,
    hiddenSize: json.d_model,
    layers: json.n_layers,
    heads: json.n_heads,
    kvHeads: json.n_kv_heads,
    headDim: json.d_model / json.n_heads,
    ffnSize: json.mlp_hidden_size,
  });
  assertEquals(model.summary.contextLength, 256);
});

Deno.test("an answer is made on the GPU object that a program passes", async () => {
  let devices = 0;
  const provider = {
    async requestAdapter(options?: GPURequestAdapterOptions) {
      const adapter = await navigator.gpu.requestAdapter(options);
      devices++;
      return adapter;
    },
  } as GPU;
  using model = await load(undefined, { provider, draft: false });
  assert(devices > 0);
  let end = "";
  for await (const event of model.generate({ messages, strategy: "threshold" })) {
    if (event.type === "end") end = event.finishReason;
  }
  assertEquals(end, "stop");
});

Deno.test("a file of tile sizes that is named must be there", async () => {
  const options = { tuning: "none.json" };
  await assertRejects(() => load(undefined, options), Error, "none.json: it is missing");
  assertThrows(() => new WorkerEngine(undefined, options), Error, "none.json: it is missing");
});

Deno.test("a provider without an adapter is refused with what to do", async () => {
  const provider = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  await assertRejects(() => load(undefined, { provider }), GpuError, "No GPU adapter");
});

/** The examples in a file's documentation; what they name outside is this package and its model. */
function examplesOf(path: string): string[] {
  const text = Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));
  return [...text.matchAll(/^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm)].map(([, block]) =>
    block.replaceAll(/^ *\* ?/gm, "")
      .replaceAll("@unmask/unmask", new URL("../mod.ts", import.meta.url).href)
      .replaceAll('"models/LLaDA-8B-Instruct"', JSON.stringify(EMBEDDED_TARGET))
  );
}

Deno.test("the examples of the documentation pass the type check, run and print", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "unmask_examples_" });
  const { log } = console;
  try {
    const examples = [
      "mod.ts",
      "src/engine/load.ts",
      "src/engine/loaded_model.ts",
      "src/engine/worker_engine.ts",
    ].flatMap(examplesOf);
    assertEquals(examples.length, 7);
    const files = examples.map((_, i) => join(folder, `example_${i}.ts`));
    files.forEach((file, i) => Deno.writeTextFileSync(file, examples[i]));
    const config = fileURLToPath(new URL("../deno.json", import.meta.url));
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--config", config, ...files],
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    for (const [i, file] of files.entries()) {
      const lines: unknown[][] = [];
      console.log = (...line) => void lines.push(line);
      await import(pathToFileURL(file).href);
      console.log = log;
      assert(lines.length > 0, examples[i]);
    }
  } finally {
    console.log = log;
    Deno.removeSync(folder, { recursive: true });
  }
});
