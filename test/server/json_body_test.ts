import { assertEquals, assertRejects } from "@std/assert";
import { ApiError } from "../../src/server/errors.ts";
import { readJson } from "../../src/server/json_body.ts";

const LIMITS = { maxBytes: 100, seconds: 10 };

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://localhost/", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body,
  });
}

/** A body of chunks of 10 bytes, as many as are asked for, and how many were. */
function stream(chunks: number, last?: "stall") {
  const state = { sent: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (state.sent === chunks) {
        if (last === "stall") return new Promise(() => {});
        return controller.close();
      }
      state.sent++;
      controller.enqueue(new TextEncoder().encode('"12345678"'));
    },
    cancel() {
      state.cancelled = true;
    },
  });
  return { body, state };
}

async function refusal(request: Request, limits = LIMITS): Promise<ApiError> {
  return await assertRejects(() => readJson(request, limits), ApiError);
}

Deno.test("JSON is read, its content type in any spelling", async () => {
  for (
    const type of [
      "application/json",
      "Application/JSON; charset=UTF-8",
      'application/json;charset="utf-8"',
    ]
  ) {
    assertEquals(await readJson(post('{"a": "é"}', { "Content-Type": type }), LIMITS), { a: "é" });
  }
});

/** A body of these bytes, one a chunk. */
function bytewise(bytes: readonly number[]) {
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
}

Deno.test("values within each other have a limit, brackets in strings do not count", async () => {
  const limits = { maxBytes: 100_000, seconds: 10 };
  const nested = (levels: number) => `${"[".repeat(levels)}"\\"["${"]".repeat(levels)}`;
  for (
    const text of [nested(256), JSON.stringify("[{".repeat(300)), `[${"[],{},".repeat(300)}1]`]
  ) {
    assertEquals(await readJson(post(text), limits), JSON.parse(text));
  }
  for (const text of [nested(257), nested(20_000), '{"a":'.repeat(257) + "1" + "}".repeat(257)]) {
    const { status, code } = await refusal(post(text), limits);
    assertEquals([status, code], [400, "invalid_json"]);
  }
});

Deno.test("a character may come in several chunks, but must come whole", async () => {
  const bytes = [...new TextEncoder().encode('"\u{feff}é漢😀"')];
  assertEquals(await readJson(post(bytewise(bytes)), LIMITS), "\u{feff}é漢😀");
  for (const broken of [bytes.slice(0, -2), [...bytes, 0xff, ...bytes]]) {
    const { status, message } = await refusal(post(bytewise(broken)));
    assertEquals([status, message], [400, "The request body is not valid UTF-8."]);
  }
});

Deno.test("a body that is no UTF-8 and too long is too long", async () => {
  assertEquals((await refusal(post(bytewise(new Array(101).fill(0xff))))).status, 413);
});

Deno.test("a body of exactly the limit passes, one byte more does not", async () => {
  const full = `"${"x".repeat(98)}"`;
  assertEquals(await readJson(post(full), LIMITS), "x".repeat(98));
  assertEquals((await refusal(post(` ${full}`))).status, 413);
});

Deno.test("a stream is counted as it arrives, whatever Content-Length says", async () => {
  const { body } = stream(11);
  assertEquals((await refusal(post(body, { "Content-Length": "10" }))).status, 413);
});

Deno.test("an endless body is broken off", async () => {
  const { body, state } = stream(Infinity);
  assertEquals((await refusal(post(body))).status, 413);
  assertEquals(state.cancelled, true);
  assertEquals(state.sent < 50, true);
});

Deno.test("a body that stalls is a 408", async () => {
  const { body, state } = stream(1, "stall");
  const error = await refusal(post(body), { ...LIMITS, seconds: 0.02 });
  assertEquals([error.status, error.code], [408, "request_timeout"]);
  assertEquals(state.cancelled, true);
});

Deno.test("a body that breaks off is the client's error", async () => {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.error(new TypeError("connection closed")),
  });
  const error = await refusal(post(body));
  assertEquals([error.status, error.code], [400, "incomplete_body"]);
});

Deno.test("a body that cannot be of use is read and dropped, however it goes on", async () => {
  const error = new ApiError(400, "context_length_exceeded", "too much text");
  const limits = { ...LIMITS, useless: { bytes: 50, error: () => error } };
  assertEquals(await readJson(post(`"${"x".repeat(48)}"`), limits), "x".repeat(48));
  // Not JSON, not UTF-8: nobody looks.
  for (const rest of [`"${"x".repeat(49)}"`, "{".repeat(51), new Uint8Array(51).fill(0xff)]) {
    assertEquals(await refusal(post(rest), limits), error);
  }
  assertEquals((await refusal(post("x".repeat(101)), limits)).status, 413);
});

const GZIP = { "Content-Encoding": "gzip" };

async function gzip(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const compressed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(compressed).arrayBuffer());
}

Deno.test("a body may be compressed, in chunks of any size", async () => {
  const bytes = await gzip('{"a": "é"}');
  assertEquals(await readJson(post(bytes, GZIP), LIMITS), { a: "é" });
  assertEquals(await readJson(post(bytewise([...bytes]), GZIP), LIMITS), { a: "é" });
  assertEquals(await readJson(post(bytes, { "Content-Encoding": "X-GZip" }), LIMITS), { a: "é" });
});

Deno.test("a compressed body counts by what it expands to, and is not expanded further", async () => {
  // 40 KB that would be 40 MB.
  const bomb = await gzip(`"${" ".repeat(40_000_000)}"`);
  let taken = 0;
  const pieces = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      controller.enqueue(bomb.slice(taken, taken + 1000));
      taken += 1000;
      if (taken >= bomb.length) controller.close();
    },
  });
  const error = await refusal(post(pieces, GZIP), { maxBytes: 10_000, seconds: 10 });
  assertEquals([error.status, error.code], [413, "request_too_large"]);
  assertEquals(taken <= 8000 && bomb.length > 30_000, true, `${taken} of ${bomb.length}`);
  const whole = JSON.stringify("x".repeat(98));
  assertEquals(await readJson(post(await gzip(whole), GZIP), LIMITS), "x".repeat(98));
  const over = await refusal(post(await gzip(`${whole} `), GZIP));
  assertEquals(over.status, 413);
});

Deno.test("a body that says gzip and is not, or is cut, is refused", async () => {
  const bytes = await gzip(JSON.stringify({ a: "b".repeat(50) }));
  const wrong = Uint8Array.from(bytes, (byte, i) => i === bytes.length - 6 ? byte ^ 1 : byte);
  for (const body of ['{"a": 1}', bytes.slice(0, -3), bytes.slice(0, 12), wrong]) {
    const error = await refusal(post(body, GZIP));
    assertEquals([error.status, error.code], [400, "invalid_body"]);
  }
});

Deno.test("a compressed body that breaks off or stalls is told so, and let go", async () => {
  const bytes = await gzip(JSON.stringify("y".repeat(60)));
  const broken = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      controller.enqueue(bytes.slice(0, 15));
      controller.error(new Error("reset"));
    },
  });
  assertEquals((await refusal(post(broken, GZIP))).code, "incomplete_body");
  let cancelled = false;
  const stalled = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(bytes.slice(0, 15)),
    pull: () => new Promise(() => {}),
    cancel() {
      cancelled = true;
    },
  });
  const late = await refusal(post(stalled, GZIP), { maxBytes: 100, seconds: 0.05 });
  assertEquals([late.status, cancelled], [408, true]);
});
