/** Lengths, deadlines, prefills, holes and edits over real HTTP, with the embedded model. */
import { assert, assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { createApp } from "../../src/server/app.ts";

const messages = [{ role: "user", content: "What is 7 times 8?" }];
const ANSWER = "7 * 8 = 56. The answer is 56.";

/** Serves the embedded model while `body` runs. */
async function served(
  body: (
    post: (path: string, json: unknown) => Promise<Response>,
    get: (path: string) => Promise<Response>,
  ) => Promise<void>,
): Promise<void> {
  const engine = new WorkerEngine(EMBEDDED_TARGET);
  await engine.ready;
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    createApp(engine).fetch,
  );
  try {
    const url = (path: string) => `http://127.0.0.1:${server.addr.port}${path}`;
    const headers = { "Content-Type": "application/json" };
    await body(
      (path, json) => fetch(url(path), { method: "POST", headers, body: JSON.stringify(json) }),
      (path) => fetch(url(path)),
    );
  } finally {
    await server.shutdown();
    await engine.close();
  }
}

// deno-lint-ignore no-explicit-any -- JSON of several shapes
type Json = any;

async function json(response: Response, status = 200): Promise<Json> {
  const body = await response.json();
  assertEquals(response.status, status, JSON.stringify(body));
  return body;
}

/** The chunks of a stream. */
async function streamed(response: Response): Promise<Json[]> {
  assertEquals(response.status, 200);
  const chunks: Json[] = [];
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
      text = text.slice(end + 2);
      if (data === undefined || data === "[DONE]") continue;
      chunks.push(JSON.parse(data));
    }
  }
  return chunks;
}

Deno.test("chat: the canvas follows the answer, gen_length fixes it, and a prefill goes on", async () => {
  await served(async (post, get) => {
    const chat = async (more: Record<string, unknown>) =>
      await json(
        await post("/v1/chat/completions", { messages, seed: 1, strategy: "plain", ...more }),
      );
    const total = async () => (await json(await get("/v1/stats"))).forwards;
    const forwards = async (more: Record<string, unknown>) => {
      const before = await total();
      const { choices } = await chat(more);
      assertEquals([choices[0].message.content, choices[0].finish_reason], [ANSWER, "stop"]);
      return await total() - before;
    };
    const least = await forwards({ max_tokens: 64 });
    assert(await forwards({ max_tokens: 448 }) <= 1.1 * least);
    assert(await forwards({}) <= 1.1 * least);
    assert(await forwards({ gen_length: 64 }) > 1.2 * least);
    const beginning = "7 * 8 =";
    const continued = await chat({
      messages: [...messages, { role: "assistant", content: beginning }],
    });
    assertEquals(beginning + continued.choices[0].message.content, ANSWER);
    const refused = await post("/v1/chat/completions", { messages, length: "auto", steps: 64 });
    assertEquals((await json(refused, 400)).error.param, "steps");
  });
});

Deno.test("a stream's first text comes with its first block, and a deadline is told", async () => {
  await served(async (post) => {
    const ask = { messages, seed: 1, strategy: "plain", stream: true, stream_events: true };
    const content = (chunk: Json) => chunk.choices[0]?.delta.content || "";
    const isStep = (chunk: Json) => chunk.diffusion?.type === "unmask";
    const tale = [{ role: "user", content: "Tell me a story about a young cat named Mia." }];
    const chunks = await streamed(await post("/v1/chat/completions", { ...ask, messages: tale }));
    const first = chunks.findIndex((chunk) => content(chunk) !== "");
    const steps = chunks.filter(isStep).length;
    const before = chunks.slice(0, first).filter(isStep).length;
    assert(before <= 0.4 * steps, `the first text comes with step ${before} of ${steps}`);
    const events = chunks.map(({ diffusion }) => diffusion).filter((event) => event);
    assert(events.some(({ type }) => type === "commit_prefix"));
    for (const event of events.filter(({ type }) => type === "unmask")) {
      assertEquals(event.provisional, false);
    }
    const late = await streamed(
      await post("/v1/chat/completions", { ...ask, messages: tale, deadline_ms: 1 }),
    );
    const last = late.map(({ choices }) => choices[0]).findLast((choice) => choice);
    assertEquals(last.finish_reason, "length");
    assertEquals(late.findLast(isStep)!.diffusion.provisional, true);
    const text = late.map(content).join("");
    assert(text !== "");
    const { tokens } = last.deadline;
    assert(tokens.every(({ confidence }: Json) => confidence > 0 && confidence <= 1));
    const whole = await json(
      await post("/v1/chat/completions", { messages: tale, deadline_ms: 1 }),
    );
    assertEquals(whole.choices[0].finish_reason, "length");
    assert(whole.choices[0].deadline.tokens.some(({ provisional }: Json) => provisional));
  });
});

Deno.test("holes are filled and spans are edited", async () => {
  await served(async (post) => {
    const infill = await json(
      await post("/v1/infill", { messages, text: "7 * 8 ___ 56. The answer ___ 56." }),
    );
    assertEquals([infill.object, infill.text, infill.finish_reason], ["infill", ANSWER, "stop"]);
    assertEquals(infill.holes.map(({ start, text }: Json) => [start, text]), [[6, "="], [
      23,
      "is",
    ]]);
    assert(infill.holes[0].tokens.every(({ confidence }: Json) => confidence > 0));
    const given = await json(
      await post("/v1/infill", {
        instruction: messages[0].content,
        text: "🐱 7 * 8 = <?>. The answer <?> 56.",
        hole: "<?>",
        tokens: [2, null],
        seed: -1,
        temperature: null,
      }),
    );
    assertEquals(given.holes[0].tokens.length, 2);
    assertEquals(given.holes[0].start, 10);
    const chunks = await streamed(
      await post("/v1/infill", {
        messages,
        text: "7 * 8 ___ 56. The answer ___ 56.",
        stream: true,
      }),
    );
    const [start] = chunks;
    const end = chunks.at(-1);
    assertEquals([start.object, start.diffusion.type], ["infill.chunk", "start"]);
    assertEquals(
      [end.object, end.text, end.holes, end.id],
      ["infill", ANSWER, infill.holes, start.id],
    );
    // What is given and what steps commit is the canvas, an end token last.
    const canvas = new Array<string>(start.diffusion.generation_length).fill("");
    for (const { position, text } of start.diffusion.given) canvas[position] = text;
    assert(canvas.includes(""));
    const places = canvas.keys().filter((at) => canvas[at] === "").toArray();
    const commits = chunks.flatMap(({ diffusion }) => diffusion?.commits ?? []);
    for (const { position, text } of commits) canvas[position] = text;
    assertEquals(commits.map(({ position }: Json) => position).toSorted(), places.toSorted());
    assertEquals(canvas.slice(0, -1).join(""), ANSWER);
    const lengths = chunks.filter(({ diffusion }) => diffusion?.type === "commit_prefix");
    assertEquals(lengths.at(-1)!.diffusion.length, canvas.length);
    const refused = await post("/v1/infill", { text: "no hole", stream: true });
    assertEquals((await json(refused, 400)).error.param, "text");
    const wrong = "7 * 8 = 57. The answer is 56.";
    const edited = await streamed(
      await post("/v1/edits", { messages, text: wrong, spans: [{ text: "57" }], stream: true }),
    );
    assertEquals([edited[0].object, edited.at(-1).text], ["edit.chunk", ANSWER]);
    for (
      const choice of [{ spans: [{ text: "57" }] }, { spans: [{ start: 8, end: 10 }] }, {
        max_edits: 1,
      }]
    ) {
      const edit = await json(await post("/v1/edits", { messages, text: wrong, ...choice }));
      assertEquals([edit.object, edit.text], ["edit", ANSWER], JSON.stringify(choice));
      assertEquals(edit.edits.length, 1);
    }
    for (
      const [path, body, param] of [
        ["/v1/infill", { text: "no hole" }, "text"],
        ["/v1/infill", { text: "___", tokens: 0 }, "tokens"],
        ["/v1/infill", {}, "text"],
        ["/v1/infill", { text: "a ___ ".repeat(400) }, "text"],
        ["/v1/edits", { text: "abc", spans: [{ text: "x" }] }, "spans[0]"],
        ["/v1/edits", { text: "abc", spans: [{ start: 0, end: 9 }] }, "spans[0]"],
        ["/v1/edits", { text: "abc", spans: [{ text: "a" }], max_edits: 2 }, "max_edits"],
      ] as const
    ) {
      assertEquals((await json(await post(path, body), 400)).error.param, param, path);
    }
    const { error } = await json(
      await post("/v1/infill", { text: "cat ".repeat(600) + "___" }),
      400,
    );
    assertEquals([error.code, error.n_ctx], ["context_length_exceeded", 512]);
    assert(error.n_prompt_tokens > error.n_ctx, error.message);
  });
});
