/** Fields of vLLM's, llama-server's and ollama's, with the embedded model on a real adapter. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { createApp } from "../../src/server/app.ts";

const QUESTION = [{ role: "user", content: "What is 7 times 8?" }];

const engine = new WorkerEngine(EMBEDDED_TARGET);
await engine.ready;
const app = createApp(engine);

async function post(path: string, body: object, status = 200) {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  const response = await app.request(path, init);
  const text = await response.text();
  assertEquals(response.status, status, text);
  return { text, response };
}
// deno-lint-ignore no-explicit-any
const whole = async (path: string, body: object, status = 200): Promise<any> =>
  JSON.parse((await post(path, body, status)).text);
// deno-lint-ignore no-explicit-any
async function chunks(path: string, body: object): Promise<any[]> {
  const { text } = await post(path, { ...body, stream: true });
  return text.split("\n\n").filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)));
}
const completion = (fields: object) => whole("/v1/completions", fields);
const chat = (fields: object, status = 200) =>
  whole("/v1/chat/completions", { messages: QUESTION, max_tokens: 32, ...fields }, status);

Deno.test("min_tokens: no block before them holds an end, with every strategy and cache", async () => {
  const { usage: { completion_tokens: usual } } = await chat({});
  assert(usual < 24);
  for (
    const how of [
      {},
      { strategy: "threshold", cache: "dual" },
      { strategy: "threshold", temperature: 0.7, top_p: 0.9 },
      { gen_length: 32, block_length: 16 },
    ]
  ) {
    const { usage } = await chat({ min_tokens: 26, max_tokens: 28, ...how });
    assert(usage.completion_tokens >= 26, JSON.stringify(how));
  }
  const { error } = await chat({ min_tokens: 33 }, 400);
  assertEquals(error.param, "min_tokens");
  const { error: short } = await chat({ min_tokens: 20, gen_length: 16 }, 400);
  assertEquals(short.message, "min_tokens is 20, more than gen_length 16");
  assertEquals((await chat({ min_tokens: 3, choice: ["yes"] }, 400)).error.param, "min_tokens");
  // The first canvas is long enough.
  const { usage } = await chat({ min_tokens: 70, max_tokens: 72, strategy: "threshold" });
  assert(usage.completion_tokens >= 70);
});

Deno.test("include_stop_str_in_output keeps the stop string, whole and streamed", async () => {
  const fields = { stop: ["56"], include_stop_str_in_output: true };
  const { choices: [choice] } = await chat(fields);
  assertEquals([choice.message.content, choice.stop_reason], ["7 * 8 = 56", "56"]);
  const body = { messages: QUESTION, max_tokens: 32, ...fields };
  const streamed = await chunks("/v1/chat/completions", body);
  const text = streamed.map(({ choices }) => choices[0].delta.content ?? "").join("");
  assertEquals(text, choice.message.content);
});

Deno.test("stop_token_ids end the text before them; prompts are cut to so many tokens", async () => {
  const { choices: [all] } = await chat({ return_token_ids: true });
  const at = all.token_ids[4];
  const { choices: [choice] } = await chat({ stop_token_ids: [at], return_token_ids: true });
  const kept = all.token_ids.slice(0, all.token_ids.indexOf(at));
  assertEquals([choice.token_ids, choice.finish_reason], [kept, "stop"]);
  assert(all.message.content.startsWith(choice.message.content));
  for (const wrong of [[-1], [2048]]) {
    const { error } = await chat({ stop_token_ids: wrong }, 400);
    assertEquals(error.param, "stop_token_ids");
    assertMatch(error.message, /2048/);
  }
  const ids = [5, 6, 7, 8, 9, 10];
  for (const [truncation_side, left] of [["left", [8, 9, 10]], ["right", [5, 6, 7]]]) {
    const asked = { prompt: ids, max_tokens: 1, truncate_prompt_tokens: 3, truncation_side };
    const cut = await completion({ ...asked, return_token_ids: true });
    assertEquals(cut.choices[0].prompt_token_ids, left);
  }
});

Deno.test("token ids: the prompt's once, the answer's with their text", async () => {
  const rendered = await engine.text({ type: "render", messages: QUESTION });
  const answer = await chat({ return_token_ids: true });
  assertEquals(answer.prompt_token_ids, rendered.ids);
  const [{ token_ids, logprobs, message }] = answer.choices;
  assertEquals(logprobs, null);
  assertEquals((await engine.text({ type: "decode", ids: token_ids })).text, message.content);
  const body = { messages: QUESTION, max_tokens: 32, return_token_ids: true };
  const [first, ...rest] = await chunks("/v1/chat/completions", body);
  assertEquals(first.prompt_token_ids, rendered.ids);
  assertEquals(first.choices[0].delta.role, "assistant");
  assert(rest.every((chunk) => !("prompt_token_ids" in chunk)));
  assertEquals(rest.flatMap(({ choices }) => choices[0].token_ids), token_ids);

  const several = { prompt: ["7 times", "8 times"], max_tokens: 6, return_token_ids: true };
  const both = await completion({ ...several, logprobs: 1 });
  for (const [i, { prompt_token_ids, token_ids: own, logprobs }] of both.choices.entries()) {
    const { ids } = await engine.text({
      type: "encode",
      text: several.prompt[i],
      control: true,
    });
    assertEquals(prompt_token_ids, ids);
    assertEquals(own.length, logprobs.tokens.length);
  }
  const named = await chunks("/v1/completions", {
    ...several,
    prompt: "7 times",
    logprobs: 1,
    return_tokens_as_token_ids: true,
  });
  assertEquals(
    named.flatMap(({ choices: [{ logprobs }] }) => logprobs.tokens),
    named.flatMap(({ choices: [{ token_ids }] }) => token_ids).map((id) => `token_id:${id}`),
  );
  assert(named[0].choices[0].prompt_token_ids.length > 0);
});

Deno.test("prompt_logprobs: each token of the prompt beside the likeliest, where it is masked", async () => {
  const { prompt_logprobs, prompt_token_ids } = await chat({
    prompt_logprobs: 2,
    return_token_ids: true,
  });
  assertEquals(prompt_logprobs.length, prompt_token_ids.length);
  assertEquals(prompt_logprobs[0], null);
  for (const [i, scores] of prompt_logprobs.entries()) {
    if (i === 0) continue;
    const own = scores[prompt_token_ids[i]];
    assert(own.logprob <= 0);
    // deno-lint-ignore no-explicit-any
    const ranked = Object.values<any>(scores).filter(({ rank }) => rank !== null);
    assertEquals(ranked.map(({ rank }) => rank).sort(), [1, 2]);
    const best = ranked.find(({ rank }) => rank === 1)!;
    assert(own.logprob <= best.logprob + 1e-4);
    if (own === best) assert(own.logprob > -0.7);
  }
  assertEquals((await chat({})).prompt_logprobs, undefined);
  for (const fields of [{ prompt_logprobs: -1 }, { prompt_logprobs: 1, stream: true }]) {
    assertEquals((await chat(fields, 400)).error.param, "prompt_logprobs");
  }
  const echoed = { prompt: "7 times 8 is", max_tokens: 0, echo: true, logprobs: 1 };
  const { choices: [choice], usage } = await completion(echoed);
  assertEquals([choice.text, choice.finish_reason], [echoed.prompt, "length"]);
  assertEquals(usage.completion_tokens, 0);
  assertEquals(choice.logprobs.tokens.join(""), echoed.prompt);
  assert(choice.logprobs.token_logprobs.slice(1).every((one: number) => one <= 0));
});

Deno.test("the answer's beginning: continued, echoed, or a turn of its own", async () => {
  const begun = [...QUESTION, { role: "assistant", content: "7 * 8" }];
  const plain = (await chat({ messages: begun })).choices[0].message.content;
  const fields = { messages: begun, continue_final_message: true, add_generation_prompt: false };
  const said = (await chat({ ...fields, echo: true })).choices[0].message.content;
  assertEquals(said, `7 * 8${plain}`);
  const streamed = await chunks("/v1/chat/completions", { ...fields, echo: true, max_tokens: 32 });
  assertEquals(streamed.map(({ choices }) => choices[0].delta.content ?? "").join(""), said);
  const own = await chat({
    messages: begun,
    continue_final_message: false,
    return_token_ids: true,
  });
  const rendered = await engine.text({ type: "render", messages: begun });
  assertEquals(own.prompt_token_ids, rendered.ids);
  for (
    const wrong of [
      { continue_final_message: true },
      { messages: begun, continue_final_message: true, add_generation_prompt: true },
    ]
  ) {
    assertEquals((await chat(wrong, 400)).error.param, "continue_final_message");
  }
});

Deno.test("timings and token counts come with each chunk that is asked for them", async () => {
  const body = { messages: QUESTION, max_tokens: 24, timings_per_token: true };
  const { timings, usage } = await whole("/v1/chat/completions", body);
  assertEquals(timings.predicted_n, usage.completion_tokens);
  assert(timings.prompt_ms > 0 && timings.prompt_ms <= timings.predicted_ms);
  for (
    const [path, asked] of [["chat/completions", body], ["completions", {
      prompt: "7 times 8 is",
      max_tokens: 24,
      ignore_eos: true,
      timings_per_token: true,
    }]] as const
  ) {
    const all = await chunks(`/v1/${path}`, {
      ...asked,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    const isChat = path === "chat/completions";
    assertEquals(all[0].timings === undefined, isChat);
    let before = 0;
    for (const { usage: counts } of all) {
      assert(counts.prompt_tokens > 0 && counts.completion_tokens >= before);
      assertEquals(counts.total_tokens, counts.prompt_tokens + counts.completion_tokens);
      before = counts.completion_tokens;
    }
    const last = all.at(-1);
    assertEquals(last.choices, []);
    assertEquals(last.timings.predicted_n, last.usage.completion_tokens);
  }
});

Deno.test("a prompt that is too long: the error says how long, and the context", async () => {
  const long = [{ role: "user", content: "word ".repeat(520) }];
  for (const messages of [long, [{ role: "user", content: "a".repeat(9000) }]]) {
    const { error } = await chat({ messages }, 400);
    assertEquals([error.code, error.n_ctx], ["context_length_exceeded", 512]);
    assert(error.n_prompt_tokens > 512 || error.n_prompt_tokens === 512, error.n_prompt_tokens);
  }
});

Deno.test("llama-server: no tokens, one token a chunk, probabilities after a greedy choice", async () => {
  const asked = { prompt: "7 times 8 is", temperature: 0, ignore_eos: true };
  const empty = await whole("/completion", { ...asked, n_predict: 0 });
  assertEquals([empty.content, empty.tokens_predicted, empty.stop_type], ["", 0, "limit"]);
  assert(empty.tokens_evaluated > 0);
  const body = { ...asked, n_predict: 6, n_probs: 3 };
  const { content, completion_probabilities: all } = await whole("/completion", {
    ...body,
    post_sampling_probs: true,
  });
  assertEquals(all.length, 6);
  for (const { prob, top_probs, id } of all) {
    assertEquals([prob, top_probs.length, top_probs[0].id], [1, 3, id]);
  }
  const parts = (await chunks("/completion", body)).filter(({ stop }) => !stop);
  assertEquals(parts.map((part) => part.completion_probabilities.length), [1, 1, 1, 1, 1, 1]);
  assertEquals(parts.map((part) => part.content).join(""), content);
  const { error } = await whole(
    "/completion",
    { ...body, post_sampling_probs: true, temperature: 1 },
    400,
  );
  assertEquals(error.param, "post_sampling_probs");
  const legacy = await whole("/v1/completions", { ...asked, n_predict: 3 });
  assertEquals(legacy.usage.completion_tokens, 3);
  const [bias] = (await whole("/completion", { ...asked, n_predict: 1 })).generation_settings
    .logit_bias;
  assertEquals(bias.bias, null);
  const bare = await whole("/completions", { ...asked, max_tokens: 3 });
  assertEquals(bare.content, bare.choices[0].text);
});

Deno.test("llama-server and vLLM: the template, adapters, and how conversations are tokenised", async () => {
  const get = async (path: string) => await (await app.request(path)).json();
  assertMatch((await get("/props")).chat_template, /messages/);
  assertEquals(await get("/lora-adapters"), []);
  assertEquals(await get("/ping"), { status: "ok" });
  assertEquals(await get("/load"), { server_load: 0 });
  const messages = [...QUESTION, { role: "assistant", content: "It is" }];
  const of = (more: object) => whole("/tokenize", { messages, ...more });
  const open = await of({});
  const closed = await of({ add_generation_prompt: false });
  const going = await of({ add_generation_prompt: false, continue_final_message: true });
  assertEquals(open.tokens.slice(0, closed.count), closed.tokens);
  assert(open.count > closed.count && closed.count > going.count);
  assertEquals(closed.tokens.slice(0, going.count), going.tokens);
  assertEquals((await of({ return_token_strs: true })).token_strs.length, open.count);
});

Deno.test("ollama: facts of the model, its context, and requests without a model", async () => {
  const { models: [model] } = await (await app.request("/api/tags")).json();
  const files = [...Deno.readDirSync(EMBEDDED_TARGET)]
    .map(({ name }) => Deno.statSync(`${EMBEDDED_TARGET}/${name}`).size);
  assertEquals(model.size, files.reduce((sum, size) => sum + size, 0));
  assertMatch(model.digest, /^[0-9a-f]{64}$/);
  assertEquals([model.details.parameter_size, model.details.quantization_level], ["2.6M", "BF16"]);
  const shown = await whole("/api/show", { model: model.name });
  assertMatch(shown.template, /messages/);

  const asked = { model: model.name, stream: false, options: { num_predict: 24, temperature: 0 } };
  const first = await whole("/api/generate", { ...asked, prompt: "What is 7 times 8?" });
  for (const name of ["load_duration", "prompt_eval_duration", "eval_duration"]) {
    assert(first[name] > 0, name);
  }
  const prompt = "What is 3 times 4?";
  const next = await whole("/api/generate", { ...asked, prompt, context: first.context });
  // It is what a conversation of the same turns would be.
  const turns = await engine.text({
    type: "render",
    messages: [
      ...QUESTION,
      { role: "assistant", content: first.response },
      { role: "user", content: prompt },
    ],
  });
  assertEquals(next.context.slice(0, turns.ids.length), turns.ids);
  const lines =
    (await post("/api/generate", { ...asked, prompt, context: first.context, stream: true }))
      .text.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.at(-1).context, next.context);
  assertMatch((await whole("/api/generate", { ...asked, prompt, context: [-1] }, 400)).error, /-1/);
  for (const path of ["chat", "generate", "show"]) {
    assertEquals((await whole(`/api/${path}`, {}, 400)).error, "model is required");
  }
});

Deno.test("the engine closes", async () => await engine.close());
