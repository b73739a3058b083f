import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { BusyError } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { ANSWER, ask, PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";
import { deltaText, parseChunks, parseEvents } from "./sse.ts";

Deno.test("a stream has role, text, finish reason and [DONE], and no usage unless asked", async () => {
  const { response } = await ask({ stream: true, steps: 16 });
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const chunks = parseChunks(await response.text());
  const [first] = chunks;
  for (const chunk of chunks) {
    assertEquals(
      { ...chunk, choices: [] },
      {
        id: first.id,
        object: "chat.completion.chunk",
        created: first.created,
        model: "fake-llada",
        system_fingerprint: first.system_fingerprint,
        choices: [],
      },
    );
  }
  const choices = chunks.map((chunk) => chunk.choices[0]);
  const empty = { index: 0, logprobs: null, finish_reason: null } as const;
  assertEquals(choices[0], { ...empty, delta: { role: "assistant", content: "" } });
  assertEquals(choices.at(-1), { ...empty, delta: {}, finish_reason: "stop" });
  for (const choice of choices.slice(1, -1)) {
    assertEquals(choice, { ...empty, delta: { content: choice.delta.content } });
    assertNotEquals(choice.delta.content, "");
  }
  assert(choices.length > 4, "more than one piece of text");
  assertEquals(deltaText(chunks), ANSWER);
});

Deno.test("usage comes last, in a chunk without choices, and is null before", async () => {
  const { response } = await ask({
    stream: true,
    stream_options: { include_usage: true },
    include_diffusion: true,
    max_tokens: 40,
    seed: 3,
  });
  const chunks = parseChunks(await response.text());
  const last = chunks.pop();
  assertEquals(last?.choices, []);
  assertEquals(last?.usage?.total_tokens, 44);
  assertEquals(last?.usage?.diffusion?.seed, 3);
  assertEquals(new Set(chunks.map((chunk) => chunk.usage)), new Set([null]));
  assertEquals(chunks.at(-1)?.choices[0].finish_reason, "stop");
});

Deno.test("text that no step could show comes before the finish reason", async () => {
  const { response } = await ask({ stream: true }, { unshown: 3 });
  const chunks = parseChunks(await response.text());
  assertEquals(chunks.at(-2)?.choices[0].delta, { content: "er." });
  assertEquals(deltaText(chunks), ANSWER);
});

Deno.test("typed events replay the whole denoising", async () => {
  const fields = { stream: true, stream_events: true, max_tokens: 40, block_length: 20, steps: 20 };
  const { response } = await ask(fields);
  const body = await response.text();
  const canvas: string[] = [];
  let prefix = 0;
  let text = "";
  const order: string[] = [];
  for (const { event, data } of parseEvents(body).slice(0, -1)) {
    const chunk = JSON.parse(data);
    text += chunk.choices[0]?.delta.content ?? "";
    assertEquals(event, chunk.diffusion?.type);
    order.push(event ?? (chunk.choices[0].delta.content ? "text" : "other"));
    if (chunk.diffusion === undefined) continue;
    assertEquals(chunk.choices, []);
    if (event === "start") {
      const { type: _, ...sizes } = chunk.diffusion;
      assertEquals(sizes, {
        prompt_tokens: 14,
        generation_length: 40,
        block_length: 20,
        steps: 20,
      });
    } else if (event === "unmask") {
      for (const commit of chunk.diffusion.commits) {
        assertEquals(Object.keys(commit), ["position", "token", "text", "confidence", "logprob"]);
        assertEquals(Math.log(commit.confidence), commit.logprob);
        assertEquals(canvas[commit.position], undefined);
        assertEquals(Math.floor(commit.position / 20), chunk.diffusion.block);
        canvas[commit.position] = commit.text;
      }
    } else {
      prefix = chunk.diffusion.length;
      const committed = canvas.slice(0, prefix);
      assertEquals(committed.filter((one) => one !== undefined).length, prefix);
      assertEquals(committed.join(""), text);
    }
  }
  assertEquals([prefix, canvas.join(""), text], [40, ANSWER, ANSWER]);
  assertEquals(order.slice(0, 3), ["other", "start", "unmask"]);
  assertEquals(order.filter((name) => name === "unmask").length, 20);
  order.forEach((name, i) => {
    if (name === "text") assertEquals(order[i + 1], "commit_prefix");
  });
});

Deno.test("a probability of zero has a finite logprob", async () => {
  const engine = new FakeEngine();
  const generate = engine.generate.bind(engine);
  engine.generate = async function* (request, signal) {
    for await (const event of generate(request, signal)) {
      yield event.type !== "step" ? event : {
        ...event,
        commits: event.commits.map((one) => ({ ...one, confidence: 0, logProbability: -Infinity })),
      };
    }
  };
  const response = await createApp(engine).request(
    PATH,
    chatInit({ stream: true, stream_events: true }),
  );
  const chunks = parseChunks(await response.text());
  const unmask = chunks.flatMap(({ diffusion: one }) => one?.type === "unmask" ? one.commits : []);
  assertEquals(unmask.length, 64);
  assertEquals(new Set(unmask.map((one) => one.logprob)), new Set([-9999]));
});

Deno.test("guesses taken back are told behind the step's unmask, and nowhere else", async () => {
  const engine = new FakeEngine();
  const generate = engine.generate.bind(engine);
  const guess = (position: number) => ({ position, token: 88, text: "X", confidence: 0.5 });
  engine.generate = async function* (request, signal) {
    for await (const event of generate(request, signal)) {
      yield event.type !== "step" || event.step !== 1 ? event : {
        ...event,
        proposed: [guess(60), guess(62), guess(63)],
        accepted: [],
        rejected: [60, 62, 63],
        remasked: [60, 63],
      };
    }
  };
  const ask = async (fields: object) => {
    const init = chatInit({ stream: true, ...fields });
    return parseChunks(await (await createApp(engine).request(PATH, init)).text());
  };
  const chunks = await ask({ stream_events: true });
  const at = chunks.findIndex(({ diffusion }) => diffusion?.type === "remask");
  assertEquals(chunks[at].diffusion, {
    type: "remask",
    step: 1,
    block: 0,
    guesses: [guess(60), guess(63)],
  });
  const before = chunks[at - 1].diffusion;
  assert(before?.type === "unmask" && before.step === 1);
  assertEquals(chunks.filter(({ diffusion }) => diffusion?.type === "remask").length, 1);
  const quiet = await ask({});
  assert(quiet.every(({ diffusion }) => diffusion === undefined));
  assertEquals([deltaText(chunks), deltaText(quiet)], [ANSWER, ANSWER]);
});

Deno.test("an error in mid-stream is the last message, and there is no [DONE]", async () => {
  const stepError = { step: 30, error: new Error("device lost near 'Say hello.'") };
  const { response, reported } = await ask({ stream: true }, { stepError });
  assertEquals(response.status, 200);
  const events = parseEvents(await response.text());
  assert(events.length > 2, "some text came first");
  const { error } = JSON.parse(events.at(-1)?.data ?? "");
  assertEquals([error.type, error.code], ["server_error", "internal_error"]);
  assertEquals(error.message.includes("hello"), false);
  assertEquals(events.some(({ data }) => data === "[DONE]"), false);
  assertEquals(reported, [stepError.error]);
});

Deno.test("a stream that waits long for the engine begins without it", async () => {
  const error = new BusyError("the queue moved on", 1);
  const refused = Promise.withResolvers<void>();
  const engine = new FakeEngine({ mayStart: refused.promise, startError: error });
  const app = createApp(engine, { beginSeconds: 0.01, pingSeconds: 0.01 });
  const response = await app.request(PATH, chatInit({ stream: true }));
  assertEquals(response.status, 200);
  let body = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    body += text;
    if (body.includes(": ping\n\n: ping\n\n")) refused.resolve();
  }
  const events = parseEvents(body).map(({ data }) => JSON.parse(data));
  assertEquals(events.length, 2);
  assertEquals(events[0].choices[0].delta, { role: "assistant", content: "" });
  assertEquals(events[1].error.code, "rate_limit_exceeded");
});
