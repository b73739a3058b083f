/** Log-probabilities over HTTP, with the embedded model on a real adapter. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { createApp } from "../../src/server/app.ts";
import {
  chatLogprobs,
  completionLogprobs,
  type ContentLogprob,
} from "../../src/server/logprobs.ts";
import { chatInit } from "./malformed.ts";

const messages = [{ role: "user", content: "Hi! Do you know how you write text?" }];
const shape = { messages, max_tokens: 32, block_length: 16, temperature: 0.6, seed: 5 };

const engine = new WorkerEngine(EMBEDDED_TARGET);
await engine.ready;
const app = createApp(engine);

async function ask(fields: Record<string, unknown>) {
  const init = chatInit({ ...shape, ...fields });
  const response = await app.request("/v1/chat/completions", init);
  return { status: response.status, body: await response.json() };
}

/** The chunks' choices of a stream. */
async function stream(fields: Record<string, unknown>) {
  const init = chatInit({ ...shape, ...fields, stream: true });
  const text = await (await app.request("/v1/chat/completions", init)).text();
  return text.split("\n\n").filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)).choices[0]);
}

const bytesOf = (content: readonly ContentLogprob[]) =>
  new TextDecoder().decode(Uint8Array.from(content.flatMap(({ bytes }) => bytes)));

Deno.test("the tokens are those of the text, each with its likeliest, and change nothing", async () => {
  const bare = await ask({});
  assertEquals(bare.body.choices[0].logprobs, null);
  for (const fields of [{}, { strategy: "threshold", cache: "dual" }, { strategy: "self" }]) {
    const { body: plain } = await ask(fields);
    for (const top_logprobs of [0, 4]) {
      const { status, body } = await ask({ ...fields, logprobs: true, top_logprobs });
      assertEquals(status, 200, JSON.stringify(body));
      const [{ message, logprobs }] = body.choices;
      assertEquals(message.content, plain.choices[0].message.content);
      assertEquals(logprobs.refusal, null);
      assertEquals(bytesOf(logprobs.content), message.content);
      for (const { token, bytes, logprob, top_logprobs: top, step } of logprobs.content) {
        assertEquals(top.length, top_logprobs);
        assert(logprob <= 0 && Number.isInteger(step) && token.length > 0);
        const listed = top.find((one: ContentLogprob) => `${one.bytes}` === `${bytes}`);
        if (listed) assertAlmostEquals(listed.logprob, logprob, 1e-5);
        else if (top.length > 0) assert(logprob <= top.at(-1).logprob + 1e-4);
        for (let i = 1; i < top.length; i++) assert(top[i].logprob <= top[i - 1].logprob);
      }
    }
  }
});

Deno.test("in a stream they cover just the text of their chunk", async () => {
  const fields = { logprobs: true, top_logprobs: 2, temperature: 0 };
  const { body } = await ask(fields);
  const choices = await stream(fields);
  const content: ContentLogprob[] = [];
  for (const { delta, logprobs } of choices) {
    const own: ContentLogprob[] = logprobs?.content ?? [];
    assertEquals(bytesOf(own), delta.content ?? "");
    content.push(...own);
  }
  assertEquals(content, body.choices[0].logprobs.content);
  assertEquals(choices.map(({ delta }) => delta.content ?? "").join(""), bytesOf(content));
  const steps = content.map(({ step }) => step);
  // Not from left to right: a diffusion model's order.
  assert(steps.some((step, i) => i > 0 && step < steps[i - 1]), `steps ${steps}`);
  const bare = await stream({});
  assert(bare.every(({ logprobs }) => logprobs === null));
});

Deno.test("llama-server's answers have the ids of their tokens, whole where asked for, in every chunk", async () => {
  const fields = { prompt: "7 times 8 is", n_predict: 8, temperature: 0, ignore_eos: true };
  const complete = (more: object) =>
    app.request("/completion", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...fields, ...more }),
    });
  const whole = await (await complete({ return_tokens: true, n_probs: 2 })).json();
  assert(whole.tokens.length > 0);
  assertEquals((await engine.text({ type: "decode", ids: whole.tokens })).text, whole.content);
  const probabilities = whole.completion_probabilities as (ContentLogprob & { id: number })[];
  assertEquals(probabilities.map(({ id }) => id), whole.tokens);
  for (const { top_logprobs } of probabilities) {
    for (const { id, token } of top_logprobs) {
      const { text } = await engine.text({ type: "decode", ids: [id] });
      // A control token has a name, and no text.
      assertEquals(text === "" ? token.startsWith("<|") : text === token, true, token);
    }
  }
  const { tokens, completion_probabilities } = await (await complete({})).json();
  assertEquals([tokens, completion_probabilities], [[], undefined]);
  const chunks = (await (await complete({ stream: true })).text()).split("\n\n")
    .filter((line) => line !== "").map((line) => JSON.parse(line.slice(6)));
  assertEquals(chunks.flatMap(({ tokens }) => tokens), whole.tokens);
  assertEquals(chunks.map(({ content }) => content).join(""), whole.content);
  assert(chunks.every((chunk) => !("completion_probabilities" in chunk)));
});

Deno.test("an echo's tokens stand before the answer's, whole and streamed", async () => {
  const prompt = "7 times 8 is";
  const complete = (more: object) =>
    app.request("/v1/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ max_tokens: 8, ignore_eos: true, logprobs: 1, echo: true, ...more }),
    });
  const { pieces, ids } = await engine.text({ type: "encode", text: prompt, control: true });
  for (const asked of [prompt, ids]) {
    const { choices: [{ text, logprobs }] } =
      await (await complete({ prompt: asked, temperature: 0 })).json();
    assertEquals(logprobs.tokens.slice(0, pieces.length), pieces);
    assertEquals(logprobs.tokens.join(""), text);
    for (const [i, logprob] of logprobs.token_logprobs.entries()) {
      // The first has none, as clients know it; the others are each masked alone.
      assertEquals(logprob === null, i === 0);
      assertEquals(logprobs.top_logprobs[i] === null, i === 0);
      if (i > 0) assert(logprob <= 0 && logprobs.tokens[i] in logprobs.top_logprobs[i]);
      assert(text.startsWith(logprobs.tokens[i], logprobs.text_offset[i]));
    }
    const streamed = await complete({ prompt: asked, temperature: 0, stream: true });
    const choices = (await streamed.text()).split("\n\n")
      .filter((line) => line.startsWith("data: {"))
      .map((line) => JSON.parse(line.slice(6)).choices[0]);
    for (const field of ["tokens", "token_logprobs", "text_offset"]) {
      const all = choices.flatMap((choice) => choice.logprobs?.[field] ?? []);
      // A stream begins before the prompt's are known.
      const known = field === "token_logprobs" ? pieces.length : 0;
      assertEquals(all.slice(known), logprobs[field].slice(known), field);
      assertEquals(all.length, logprobs[field].length, field);
    }
  }
});

Deno.test("a stop string ends the tokens with the text", async () => {
  const { body: { choices: [{ message }] } } = await ask({ temperature: 0 });
  const word = message.content.split(" ")[2];
  const stop = word.slice(1);
  const { body } = await ask({ temperature: 0, stop, logprobs: true });
  const [choice] = body.choices;
  assertEquals(choice.message.content, message.content.split(stop)[0]);
  const text = bytesOf(choice.logprobs.content);
  assert(text.startsWith(choice.message.content), text);
  assert(text.length - choice.message.content.length < 12, text);
});

Deno.test("filters, penalties and biases change the text, and a seed gives it again", async () => {
  const story = [{ role: "user", content: "Tell me a story about a young cat." }];
  const hot = { messages: story, temperature: 1.2 };
  const texts = new Map<string, string>();
  const settings: Record<string, unknown>[] = [
    {},
    { top_p: 0.2 },
    { top_k: 1 },
    { min_p: 0.9 },
    { presence_penalty: 2 },
    { frequency_penalty: 2 },
    { repetition_penalty: 2 },
    { logit_bias: { " the": false, " young": -100 } },
    { ignore_eos: true },
  ];
  for (const fields of settings) {
    const name = JSON.stringify(fields);
    const { status, body } = await ask({ ...hot, ...fields });
    assertEquals(status, 200, JSON.stringify(body));
    texts.set(name, body.choices[0].message.content);
    const again = await ask({ ...hot, ...fields });
    assertEquals(again.body.choices[0].message.content, texts.get(name));
  }
  // A hot answer without filters is noise; with one token left it is some other text.
  const bare = texts.get("{}");
  for (const [name, text] of texts) if (name !== "{}") assert(text !== bare, name);
  const words = (name: string) => texts.get(name)!.split(/\W+/);
  const repeats = (name: string) => words(name).length - new Set(words(name)).size;
  assert(repeats('{"frequency_penalty":2}') < repeats("{}"), [...texts.values()].join("\n"));
  const { body } = await ask({ ignore_eos: true, temperature: 0 });
  assertEquals(body.choices[0].finish_reason, "length");
  assertEquals(body.usage.completion_tokens, 32);
});

Deno.test("at temperature 0 filters change nothing, and a bias is a ban or a must", async () => {
  const cold = { temperature: 0 };
  const text = async (fields: Record<string, unknown>) =>
    (await ask({ ...cold, ...fields })).body.choices[0].message.content;
  const plain = await text({});
  assertEquals(await text({ top_p: 0.1, top_k: 2, min_p: 0.5 }), plain);
  const letter = [...plain].find((char) => /[a-z]/.test(char))!;
  const { body } = await ask({ ...cold, logprobs: true });
  const { content } = body.choices[0].logprobs;
  const first = content[0].token;
  assert((await text({ logit_bias: { [first]: false } })).startsWith(first) === false, letter);
  const must = await ask({ ...cold, logit_bias: { "!": 100 }, logprobs: true });
  const tokens = must.body.choices[0].logprobs.content;
  assert(tokens.filter(({ token }: ContentLogprob) => token === "!").length > tokens.length / 2);
});

Deno.test("the mask token is refused among the token ids of every prompt", async () => {
  const { mask_token_id: mask } = JSON.parse(
    Deno.readTextFileSync(`${EMBEDDED_TARGET}/config.json`),
  );
  const bodies: readonly (readonly [string, unknown])[] = [
    ["/v1/completions", [5, mask]],
    ["/v1/completions", [[5, 6], [5, mask]]],
    ["/completion", [5, mask]],
    ["/completion", ["a", mask]],
    ["/completion", [["a", mask], "b"]],
  ];
  for (const [path, prompt] of bodies) {
    const response = await app.request(path, chatInit({ prompt, max_tokens: 4 }));
    const { error } = await response.json();
    assertEquals([response.status, error.param], [400, "prompt"], `${path}: ${error.message}`);
    assert(error.message.includes("prompt holds the mask token"), error.message);
  }
});

Deno.test("every strategy works with the fields, or says which do", async () => {
  const fields = { top_p: 0.9, frequency_penalty: 0.5, logprobs: true, top_logprobs: 1 };
  for (
    const more of [
      { strategy: "plain", cache: "prefix" },
      { strategy: "threshold" },
      { strategy: "factor", cache: "dual" },
      { strategy: "lossless", draft_depth: 2 },
      { strategy: "lossless", cache: "dual" },
      { strategy: "self", cache: "prefix" },
      { strategy: "gate" },
      { strategy: "plain", cfg_scale: 0.5 },
      { strategy: "plain", suffix_window: 8 },
      { strategy: "auto", quality: "fast" },
    ]
  ) {
    const { status, body } = await ask({ ...fields, ...more });
    assertEquals(status, 200, JSON.stringify([more, body]));
    assertEquals(bytesOf(body.choices[0].logprobs.content), body.choices[0].message.content);
    // The lossless ones give plain's text.
    if (!["lossless", "self"].includes(more.strategy)) continue;
    const plain = await ask({ ...fields, cache: more.cache, strategy: "plain" });
    assertEquals(body.choices[0].message.content, plain.body.choices[0].message.content);
  }
  const { status, body } = await ask({ ...fields, strategy: "commit_verify" });
  assertEquals([status, body.error.param], [400, "top_p"]);
  assert(/commit_verify does not use top_p.*choose plain or threshold/.test(body.error.message));
  const scores = await ask({ strategy: "commit_verify", logprobs: true, top_logprobs: 2 });
  assertEquals([scores.status, scores.body.error.param], [400, "top_logprobs"]);
  const own = await ask({ strategy: "commit_verify", logprobs: true });
  assertEquals(own.status, 200);
  const token = await ask({ logit_bias: { "99999999": 1 } });
  assertEquals([token.status, token.body.error.param], [400, "logit_bias"]);
  await engine.close();
});

Deno.test("a completion's shape: texts, offsets, and the chosen token beside the likeliest", () => {
  const likely = (text: string, logProbability: number) => ({
    token: 1,
    text,
    bytes: [...new TextEncoder().encode(text)],
    logProbability,
  });
  const tokens = ["a☕", "b"].map((text, i) => ({
    ...likely(text, -Infinity),
    position: i,
    step: 5 - i,
    likeliest: [likely("z", -0.5)],
  }));
  assertEquals(completionLogprobs(tokens, 3), {
    tokens: ["a☕", "b"],
    token_logprobs: [-9999, -9999],
    top_logprobs: [{ z: -0.5, "a☕": -9999 }, { z: -0.5, b: -9999 }],
    text_offset: [3, 5],
    steps: [5, 4],
  });
  assertEquals(completionLogprobs(undefined), null);
  assertEquals(chatLogprobs(undefined), null);
  assertEquals(chatLogprobs([]), { content: [], refusal: null });
});
