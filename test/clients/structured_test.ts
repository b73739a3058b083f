/** Structured answers and tools with real clients, against a server that was started as a user does. */
import { startServer } from "../server/task_server.ts";
import type { ClientServer } from "./server.ts";
import { STRUCTURED_CASES } from "./structured_cases.ts";

// Clients keep connections and timers of their own.
const test = { sanitizeResources: false, sanitizeOps: false };

Deno.test("what clients ask for as structured is valid", test, async (t) => {
  const started = await startServer();
  const server: ClientServer = {
    url: started.url,
    model: "tiny-target",
    prompt: "What is 7 times 8?",
    text: "7 * 8 = 56. The answer is 56.",
    limit: 32,
  };
  try {
    for (const [name, run] of STRUCTURED_CASES) {
      await t.step({ name, fn: () => run(server), ...test });
    }
  } finally {
    await started.stop();
  }
});
