/** The `@langchain/openai` client. */
import { assertEquals } from "@std/assert";
import { ChatOpenAI, OpenAI } from "npm:@langchain/openai@1.6.0";
import type { ClientCase, ClientServer } from "./server.ts";

const options = ({ url, model, limit }: ClientServer) => ({
  model,
  maxTokens: limit,
  maxRetries: 0,
  apiKey: "none",
  configuration: { baseURL: `${url}/v1` },
});

/** The cases. */
export const LANGCHAIN_CASES: readonly ClientCase[] = [
  ["ChatOpenAI.invoke", async (s) => {
    const answer = await new ChatOpenAI(options(s)).invoke(s.prompt);
    assertEquals(answer.text, s.text);
  }],
  ["ChatOpenAI.stream", async (s) => {
    let text = "";
    for await (const chunk of await new ChatOpenAI(options(s)).stream(s.prompt)) text += chunk.text;
    assertEquals(text, s.text);
  }],
  ["ChatOpenAI over responses", async (s) => {
    const model = new ChatOpenAI({ ...options(s), useResponsesApi: true });
    assertEquals((await model.invoke(s.prompt)).text, s.text);
    let text = "";
    for await (const chunk of await model.stream(s.prompt)) text += chunk.text;
    assertEquals(text, s.text);
  }],
  ["OpenAI, the completions client", async (s) => {
    const answer = await new OpenAI({ ...options(s), maxTokens: 4 }).invoke("Hello");
    assertEquals(typeof answer, "string");
  }],
];
