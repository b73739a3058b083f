/** A server over real connections on loopback, with a fake engine behind it. */
import { createApp } from "../../src/server/app.ts";
import { CONNECTION_LIMITS, type ConnectionLimits, listen } from "../../src/server/http_server.ts";
import { ANSWER } from "./ask.ts";
import type { ClientTarget } from "./client_cases.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";

/** A server under test. */
export interface Running {
  readonly engine: FakeEngine;
  readonly port: number;
  readonly target: ClientTarget;
  readonly reported: unknown[];
}

/** Runs `body` against a server on a free port of 127.0.0.1; shuts it down afterwards. */
export async function withServer(
  options: FakeOptions,
  body: (server: Running) => Promise<void>,
  limits: ConnectionLimits = CONNECTION_LIMITS,
) {
  const engine = new FakeEngine(options);
  const reported: unknown[] = [];
  const app = createApp(engine, {
    apiKeys: ["local-key"],
    beginSeconds: 0.1,
    pingSeconds: limits.stallSeconds / 4,
    onError: (error) => reported.push(error),
  });
  const server = await listen(app.fetch, { hostname: "127.0.0.1", port: 0, limits });
  try {
    await body({
      engine,
      reported,
      port: server.port,
      target: {
        baseURL: `http://127.0.0.1:${server.port}/v1`,
        apiKey: "local-key",
        model: "fake-llada",
        messages: [{ role: "user", content: "Say hello." }],
        maxTokens: 40,
        blockLength: 20,
        text: ANSWER,
      },
    });
  } finally {
    server.cut();
    await server.stop();
  }
}

/** Resolves once the condition holds. */
export function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => condition() ? resolve() : setTimeout(look, 2);
    look();
  });
}
