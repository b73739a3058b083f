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
