/** The `openai` client: completions and responses; chats are in test/server/client_cases.ts. */
import { assert, assertEquals } from "@std/assert";
import OpenAI, { BadRequestError } from "openai";
import type { ClientCase, ClientServer } from "./server.ts";

const client = ({ url }: ClientServer) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });

/** The prompt as the chat template writes it. */
async function rendered({ url, prompt }: ClientServer): Promise<string> {
  const response = await fetch(`${url}/apply-template`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: prompt }] }),
  });
  return (await response.json()).prompt;
}

/** The cases. */
export const OPENAI_CASES: readonly ClientCase[] = [
  [
    "completions.create goes on from the raw text: a rendered chat gets the chat's answer",
    async (s) => {
      const prompt = await rendered(s);
      const answer = await client(s).completions.create({
        model: s.model,
        prompt,
        max_tokens: s.limit,
      });
      assertEquals([answer.object, answer.choices.length], ["text_completion", 1]);
      assertEquals(answer.choices[0].text, s.text);
      assertEquals(answer.choices[0].finish_reason, "stop");
      assert(answer.usage!.prompt_tokens > 8 && answer.usage!.completion_tokens > 8);
    },
  ],
  ["completions: echo, token ids, several prompts", async (s) => {
    const prompt = await rendered(s);
    const { tokens } = await (await fetch(`${s.url}/tokenize`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ content: prompt }),
    })).json();
    const shared = { model: s.model, max_tokens: s.limit };
    const [texts, ids] = await Promise.all([
      client(s).completions.create({ ...shared, prompt: [prompt, "Hello"], echo: true }),
      client(s).completions.create({ ...shared, prompt: tokens }),
    ]);
    assertEquals(texts.choices.map(({ index }) => index), [0, 1]);
    assertEquals(texts.choices[0].text, prompt + s.text);
    assert(texts.choices[1].text.startsWith("Hello"));
    assertEquals(ids.choices[0].text, s.text);
  }],
  ["completions with stream", async (s) => {
    const stream = await client(s).completions.create({
      model: s.model,
      prompt: await rendered(s),
      max_tokens: s.limit,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    const reasons: string[] = [];
    let usage;
    for await (const { choices, usage: counted } of stream) {
      text += choices[0]?.text ?? "";
      if (choices[0]?.finish_reason) reasons.push(choices[0].finish_reason);
      usage = counted ?? usage;
    }
    assertEquals([text, reasons], [s.text, ["stop"]]);
    assert(usage!.completion_tokens > 8);
  }],
  [
    "completions with a suffix: the text between, whole and streamed, and what ends it",
    async (s) => {
      const request = {
        model: s.model,
        prompt: `${await rendered(s)}7 * 8 = 56.`,
        suffix: " 56.",
        max_tokens: 8,
      };
      const whole = await client(s).completions.create(request);
      assertEquals([whole.choices[0].text, whole.choices[0].finish_reason], [
        " The answer is",
        "stop",
      ]);
      let streamed = "";
      const told = { ...request, logprobs: 1 };
      const stream = await client(s).completions.create({ ...told, stream: true });
      for await (const { choices: [{ text, logprobs }] } of stream) {
        streamed += text;
        assertEquals(logprobs?.tokens?.join("") ?? "", text);
      }
      assertEquals(streamed, " The answer is");
      const { logprobs } = (await client(s).completions.create(told)).choices[0];
      assertEquals(logprobs!.tokens!.join(""), streamed);
      assert(logprobs!.token_logprobs!.every((value) => value <= 0));
      const cut = await client(s).completions.create({ ...told, stop: ["answer"] });
      assertEquals(cut.choices[0].text, " The ");
      assert(cut.choices[0].logprobs!.tokens!.join("").startsWith(" The"));
    },
  ],
  ["completions with logprobs: the tokens are the text, whole and streamed", async (s) => {
    const request = { model: s.model, prompt: await rendered(s), max_tokens: s.limit, logprobs: 2 };
    const { choices: [{ text, logprobs }] } = await client(s).completions.create(request);
    assertEquals([text, logprobs!.tokens!.join("")], [s.text, s.text]);
    assertEquals(
      logprobs!.text_offset,
      logprobs!.tokens!.map((_, i) => logprobs!.tokens!.slice(0, i).join("").length),
    );
    for (const [i, top] of logprobs!.top_logprobs!.entries()) {
      assertEquals(top[logprobs!.tokens![i]], logprobs!.token_logprobs![i]);
      assert(Object.keys(top).length >= 2 && logprobs!.token_logprobs![i] <= 0);
    }
    const tokens: string[] = [];
    const offsets: number[] = [];
    for await (
      const { choices: [choice] } of await client(s).completions.create({
        ...request,
        stream: true,
      })
    ) {
      tokens.push(...choice.logprobs?.tokens ?? []);
      offsets.push(...choice.logprobs?.text_offset ?? []);
      assertEquals(choice.logprobs?.tokens?.join("") ?? "", choice.text);
    }
    assertEquals([tokens, offsets], [logprobs!.tokens, logprobs!.text_offset]);
  }],
  ["responses.create with text", async (s) => {
    const response = await client(s).responses.create({
      model: s.model,
      input: s.prompt,
      max_output_tokens: s.limit,
    });
    assertEquals([response.status, response.output_text], ["completed", s.text]);
    assert(response.usage!.input_tokens > 8 && response.usage!.output_tokens > 8);
  }],
  ["responses.create with messages and parts; a cut answer is incomplete", async (s) => {
    const response = await client(s).responses.create({
      model: s.model,
      input: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Hello!" },
        { role: "user", content: [{ type: "input_text", text: s.prompt }] },
      ],
      instructions: "Answer.",
      max_output_tokens: 4,
      store: true,
      metadata: { for: "a test" },
    });
    assertEquals(response.status, "incomplete");
    assertEquals(response.incomplete_details, { reason: "max_output_tokens" });
    assertEquals([response.instructions, response.metadata], ["Answer.", { for: "a test" }]);
  }],
  [
    "responses.stream: the helper takes every event, and its end is the whole response",
    async (s) => {
      const stream = client(s).responses.stream({
        model: s.model,
        input: s.prompt,
        max_output_tokens: s.limit,
      });
      let text = "";
      const types: string[] = [];
      const numbers: number[] = [];
      for await (const event of stream) {
        types.push(event.type);
        numbers.push(event.sequence_number);
        if (event.type === "response.output_text.delta") text += event.delta;
      }
      const final = await stream.finalResponse();
      assertEquals([text, final.output_text, final.status], [s.text, s.text, "completed"]);
      assertEquals(numbers, numbers.map((_, i) => i));
      assertEquals(types.filter((type) => type !== "response.output_text.delta"), [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
      ]);
    },
  ],
  ["responses refuse what needs a memory, and images, by name", async (s) => {
    const refused = async (fields: object) => {
      const body = { model: s.model, input: "Hi", ...fields };
      const error = await client(s).responses.create(body).then(() => undefined, (error) => error);
      assert(error instanceof BadRequestError, JSON.stringify(fields));
      return error.param;
    };
    assertEquals(await refused({ previous_response_id: "resp_1" }), "previous_response_id");
    assertEquals(await refused({ background: true }), "background");
    const image = { type: "input_image", image_url: "data:image/png;base64,AA==" };
    assertEquals(
      await refused({ input: [{ role: "user", content: [image] }] }),
      "input[0].content[0].type",
    );
  }],
];
