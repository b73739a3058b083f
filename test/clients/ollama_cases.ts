/** The `ollama` client. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Ollama } from "npm:ollama@0.6.4";
import type { ClientCase, ClientServer } from "./server.ts";

const client = ({ url }: ClientServer) => new Ollama({ host: url });

const question = ({ model, prompt, limit }: ClientServer) => ({
  model,
  messages: [{ role: "user", content: prompt }],
  options: { num_predict: limit },
});

/** The cases. */
export const OLLAMA_CASES: readonly ClientCase[] = [
  ["list, show, ps and version name the model", async (s) => {
    const { models } = await client(s).list();
    assertEquals(models.map(({ name }) => name), [`${s.model}:latest`]);
    const shown = await client(s).show({ model: models[0].name });
    assertEquals(shown.details.family, "llada");
    assertEquals((await client(s).ps()).models.length, 1);
    assertMatch((await client(s).version()).version, /^\d+\.\d+\.\d+$/);
    const root = await fetch(s.url);
    assertEquals(await root.text(), "Ollama is running");
  }],
  ["chat", async (s) => {
    const answer = await client(s).chat(question(s));
    assertEquals([answer.message.content, answer.done, answer.done_reason], [s.text, true, "stop"]);
    assert(answer.prompt_eval_count > 8 && answer.eval_count > 8);
    assert(answer.total_duration > 1e6, "nanoseconds");
  }],
  ["chat with stream, by the name that list gives", async (s) => {
    const stream = await client(s).chat({
      ...question(s),
      model: `${s.model}:latest`,
      stream: true,
    });
    let text = "";
    let ends = 0;
    for await (const { message, done } of stream) {
      text += message.content;
      if (done) ends++;
    }
    assertEquals([text, ends], [s.text, 1]);
  }],
  ["chat with a schema as its format", async (s) => {
    const format = {
      type: "object",
      properties: { answer: { type: "integer" } },
      required: ["answer"],
      additionalProperties: false,
    };
    const { message } = await client(s).chat({ ...question(s), format });
    const answer = JSON.parse(message.content);
    assert(Number.isInteger(answer.answer) && Object.keys(answer).length === 1);
  }],
  ["generate, whole, streamed and raw", async (s) => {
    const { options } = question(s);
    const request = { model: s.model, prompt: s.prompt, options };
    assertEquals((await client(s).generate(request)).response, s.text);
    let text = "";
    for await (const part of await client(s).generate({ ...request, stream: true })) {
      text += part.response;
    }
    assertEquals(text, s.text);
    const raw = await client(s).generate({ ...request, prompt: "Hello", raw: true });
    // The template's tokens are not there.
    assertEquals(raw.prompt_eval_count, 1);
  }],
  ["generate with a suffix fills what is between", async (s) => {
    const { options } = question(s);
    const { response = "" } = await client(s).generate({
      model: s.model,
      prompt: "The answer is",
      suffix: ".",
      options,
    });
    assert(response.length > 0);
  }],
  ["a request without a prompt finds the model loaded", async (s) => {
    const loaded = await client(s).generate({ model: s.model, prompt: "" });
    assertEquals([loaded.done, loaded.done_reason], [true, "load"]);
  }],
  ["errors are told in ollama's way", async (s) => {
    const messages = [{ role: "user", content: "Hi", images: ["AA=="] }];
    const asked = client(s).chat({ model: s.model, messages });
    const error = await asked.then(() => undefined, (error) => error);
    assertMatch(String(error.message), /no images/);
    assertEquals(error.status_code, 400);
  }],
];
