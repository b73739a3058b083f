/** Clients as their documentation starts them, against one server that was started as a user does. */
import { startServer } from "../server/task_server.ts";
import { AI_SDK_CASES } from "./ai_sdk_cases.ts";
import { ANTHROPIC_CASES } from "./anthropic_cases.ts";
import { LANGCHAIN_CASES } from "./langchain_cases.ts";
import { OLLAMA_CASES } from "./ollama_cases.ts";
import { OPENAI_CASES } from "./openai_cases.ts";
import { OTHER_CASES } from "./other_cases.ts";
import { PROMPTFOO_CASES } from "./promptfoo_cases.ts";
import type { ClientCase, ClientServer } from "./server.ts";
import { STRUCTURED_CASES } from "./structured_cases.ts";

const CLIENTS: Readonly<Record<string, readonly ClientCase[]>> = {
  "openai": OPENAI_CASES,
  "ai": AI_SDK_CASES,
  "@anthropic-ai/sdk": ANTHROPIC_CASES,
  "ollama": OLLAMA_CASES,
  "@langchain/openai": LANGCHAIN_CASES,
  "promptfoo's requests": PROMPTFOO_CASES,
  "fetch": OTHER_CASES,
  "structured": STRUCTURED_CASES,
};

// Clients keep connections and timers of their own.
const test = { sanitizeResources: false, sanitizeOps: false };

Deno.test("clients, and a server started with `deno task serve`", test, async (t) => {
  // The option changes only chats with a schema in the system message: Instructor's mode MD_JSON.
  const started = await startServer("--json-from-messages");
  const server: ClientServer = {
    url: started.url,
    model: "tiny-target",
    prompt: "What is 7 times 8?",
    text: "7 * 8 = 56. The answer is 56.",
    limit: 32,
  };
  try {
    for (const [client, cases] of Object.entries(CLIENTS)) {
      for (const [name, run] of cases) {
        await t.step({ name: `${client}: ${name}`, fn: () => run(server), ...test });
      }
    }
  } finally {
    await started.stop();
  }
});
