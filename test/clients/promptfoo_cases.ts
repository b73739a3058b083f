/**
 * The requests that promptfoo 0.123.1 sent for promptfooconfig.yaml, recorded by a proxy. The package
 * itself is run by hand: it is 379 packages and 274 MB without its optional ones, 761 and 1.9 GB with.
 */
import { assertEquals } from "@std/assert";
import type { ClientCase, ClientServer } from "./server.ts";

async function post({ url }: ClientServer, path: string, body: unknown) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: {
      "Authorization": "Bearer none",
      "Content-Type": "application/json",
      "X-Promptfoo-Version": "0.123.1",
    },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  assertEquals(response.status, 200, JSON.stringify(answer));
  assertEquals(response.headers.get("x-unmask-ignored"), null);
  return answer;
}

const SCHEMA = {
  type: "object",
  properties: { answer: { type: "number" } },
  required: ["answer"],
  additionalProperties: false,
};

/** The cases. */
export const PROMPTFOO_CASES: readonly ClientCase[] = [
  ["openai:chat", async (s) => {
    const { choices, usage } = await post(s, "/v1/chat/completions", {
      model: s.model,
      messages: [{ role: "user", content: s.prompt }],
      max_tokens: 1024,
      temperature: 0,
    });
    assertEquals(choices[0].message.content, s.text);
    assertEquals(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  }],
  ["openai:chat with a schema", async (s) => {
    const { choices } = await post(s, "/v1/chat/completions", {
      model: s.model,
      messages: [{ role: "user", content: s.prompt }],
      max_tokens: 1024,
      temperature: 0,
      response_format: {
        type: "json_schema",
        json_schema: { name: "answer", strict: true, schema: SCHEMA },
      },
    });
    assertEquals(typeof JSON.parse(choices[0].message.content).answer, "number");
  }],
  ["openai:responses", async (s) => {
    const { output, status } = await post(s, "/v1/responses", {
      model: s.model,
      input: s.prompt,
      max_output_tokens: 1024,
      temperature: 0,
      text: { format: { type: "text" } },
    });
    assertEquals([status, output[0].content[0].text], ["completed", s.text]);
  }],
  ["openai:completion", async (s) => {
    const { choices } = await post(s, "/v1/completions", {
      model: s.model,
      prompt: s.prompt,
      max_tokens: 1024,
      temperature: 0,
      top_p: 1,
      presence_penalty: 0,
      frequency_penalty: 0,
      best_of: 1,
      stop: ["<|im_end|>", "<|endoftext|>"],
    });
    assertEquals([typeof choices[0].text, choices[0].finish_reason], ["string", "stop"]);
  }],
];
