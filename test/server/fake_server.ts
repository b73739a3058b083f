/** A server over real connections on loopback, with a fake engine behind it. */
import { createApp } from "../../src/server/app.ts";
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
export async function withServer(options: FakeOptions, body: (server: Running) => Promise<void>) {
  const engine = new FakeEngine(options);
  const reported: unknown[] = [];
  const app = createApp(engine, {
    apiKeys: ["local-key"],
    beginSeconds: 0.1,
    onError: (error) => reported.push(error),
  });
  const listener = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
  const server = Deno.serve(listener, app.fetch);
  try {
    await body({
      engine,
      reported,
      port: server.addr.port,
      target: {
        baseURL: `http://127.0.0.1:${server.addr.port}/v1`,
        apiKey: "local-key",
        model: "fake-llada",
        messages: [{ role: "user", content: "Say hello." }],
        maxTokens: 40,
        blockLength: 20,
        text: ANSWER,
      },
    });
  } finally {
    await server.shutdown();
  }
}

/** Resolves once the condition holds. */
export function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => condition() ? resolve() : setTimeout(look, 2);
    look();
  });
}
