/** What sampling costs an answer: nothing where it changes nothing. */
import { assert, assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { GenerateEvent, GenerateRequest } from "../../src/engine/request.ts";
import { StoppedClock } from "../stopped_clock.ts";

const request: GenerateRequest = {
  messages: [{ role: "user", content: "Tell me a story about a young cat." }],
  maxTokens: 32,
  blockLength: 32,
  steps: 8,
  strategy: "plain",
  stopAtEnd: false,
  seed: 3,
};

Deno.test("a request runs the dispatches of a bare one unless a field can change its answer", async () => {
  // Steps are quick by it, also on a busy machine.
  using _clock = new StoppedClock(0.001);
  using engine = await loadEngine(EMBEDDED_TARGET);
  const { recorder, readback } = engine.model;
  const run = async (fields: Partial<GenerateRequest>) => {
    const before = { dispatches: recorder.counts.dispatches, readbacks: readback.count };
    let end: Extract<GenerateEvent, { type: "end" }> | undefined;
    for await (const event of engine.generate({ ...request, ...fields })) {
      if (event.type === "end") end = event;
    }
    return {
      dispatches: recorder.counts.dispatches - before.dispatches,
      readbacks: readback.count - before.readbacks,
      text: end!.text,
      tokens: end!.tokens,
    };
  };
  const bare = await run({});
  assertEquals(bare.readbacks, 2);
  const neutral = { topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, presencePenalty: 0 };
  assertEquals(await run(neutral), bare);
  assertEquals(await run({ topP: 0.5, topK: 5, minP: 0.5 }), bare);
  const { tokens, ...rest } = await run({ topLogprobs: 0 });
  assertEquals({ ...rest, tokens: undefined }, bare);
  assertEquals(tokens?.map(({ text }) => text).join(""), bare.text);
  const scored = await run({ topLogprobs: 2 });
  assertEquals(scored.text, bare.text);
  assert(scored.dispatches > bare.dispatches && scored.readbacks > bare.readbacks);
  // Those of the head alone and those beside the likeliest tokens are the same.
  for (const [i, { logProbability, token }] of scored.tokens!.entries()) {
    assertEquals(token, tokens![i].token);
    const own = tokens![i].logProbability;
    assert(Math.abs(logProbability - own) < 1e-5, `${logProbability} and ${own}`);
  }
  const warm = await run({ temperature: 1, topP: 0.5 });
  assertEquals([scored.readbacks, warm.readbacks], [8, 8]);
});

Deno.test("after a refused request the next one is answered", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  for (const fields of [{ topP: 2 }, { logitBias: [[1e9, 1]] as const }, { topLogprobs: 21 }]) {
    let refused = "";
    try {
      for await (const _ of engine.generate({ ...request, ...fields }));
    } catch (error) {
      refused = (error as Error).message;
    }
    assert(refused.includes(Object.keys(fields)[0]), refused);
  }
  let text = "";
  for await (const event of engine.generate({ ...request, logitBias: [[" cat", -Infinity]] })) {
    if (event.type === "end") text = event.text;
  }
  assert(text.length > 0 && !text.includes(" cat"), text);
});
