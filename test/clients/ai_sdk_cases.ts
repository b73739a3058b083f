/** The `ai` package with `@ai-sdk/openai` (its default, responses, and chats) and -compatible. */
import { assert, assertEquals } from "@std/assert";
import { generateText, type LanguageModel, streamText } from "npm:ai@7.0.173";
import { createOpenAI } from "npm:@ai-sdk/openai@4.0.118";
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import type { ClientCase, ClientServer } from "./server.ts";

type ModelOf = (server: ClientServer) => LanguageModel;

const openai = ({ url }: ClientServer) => createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const compatible = ({ url }: ClientServer) =>
  createOpenAICompatible({ name: "unmask", baseURL: `${url}/v1` });

const MODELS: readonly (readonly [string, ModelOf])[] = [
  ["@ai-sdk/openai, its default: responses", (s) => openai(s)(s.model)],
  ["@ai-sdk/openai, chat", (s) => openai(s).chat(s.model)],
  ["@ai-sdk/openai-compatible, chat", (s) => compatible(s)(s.model)],
];

/** The cases. */
export const AI_SDK_CASES: readonly ClientCase[] = MODELS.flatMap(
  ([name, modelOf]): ClientCase[] => [
    [`generateText with ${name}`, async (s) => {
      const { text, finishReason, usage } = await generateText({
        model: modelOf(s),
        prompt: s.prompt,
        maxOutputTokens: s.limit,
        maxRetries: 0,
      });
      assertEquals([text, finishReason], [s.text, "stop"]);
      assert(usage.outputTokens! > 8);
    }],
    [`streamText with ${name}`, async (s) => {
      const result = streamText({
        model: modelOf(s),
        prompt: s.prompt,
        maxOutputTokens: s.limit,
        maxRetries: 0,
      });
      let text = "";
      for await (const piece of result.textStream) text += piece;
      assertEquals([text, await result.finishReason], [s.text, "stop"]);
    }],
  ],
);
