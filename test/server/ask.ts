/** One chat completion from a fresh server over a fake engine. */
import { createApp } from "../../src/server/app.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

/** The route. */
export const PATH = "/v1/chat/completions";
/** What a fake engine answers. */
export const ANSWER = "Masks fall away in any order.";

/** The response; also the engine and what the server reported as its own errors. */
export async function ask(fields: Record<string, unknown> = {}, options: FakeOptions = {}) {
  const engine = new FakeEngine(options);
  const reported: unknown[] = [];
  const app = createApp(engine, { onError: (error) => reported.push(error) });
  const response = await app.request(PATH, chatInit(fields));
  return { engine, reported, response };
}
