import { assertEquals } from "@std/assert";
import { RequestError } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { schemaIn } from "../../src/server/messages_schema.ts";
import { PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

const SCHEMA = { type: "object", properties: { "a}": { type: "number" } }, required: ["a}"] };
const OTHER = { type: "object", properties: {} };
const written = JSON.stringify(SCHEMA);

Deno.test("a schema in a conversation is found where it is the only one", () => {
  const system = (content: string) => ({ role: "system", content }) as const;
  const user = (content: string) => ({ role: "user", content }) as const;
  const assistant = (content: string) => ({ role: "assistant", content }) as const;
  const other = JSON.stringify(OTHER);
  for (
    const [messages, found] of [
      [[system(`Return {x}. json schema: ${written}\n`), user("Hi")], SCHEMA],
      [[user(`As this says: ${JSON.stringify(SCHEMA, null, 2)}. Thanks {"a": 1}`)], SCHEMA],
      [[system(`${written} ${written}`)], SCHEMA],
      [[system(JSON.stringify({ name: "answer", ...SCHEMA }))], SCHEMA],
      // The program's own words count before the user's.
      [[system(written), user(other)], SCHEMA],
      [[system(`${written} ${other}`)], undefined],
      [[user(written), user(other)], undefined],
      [[assistant(written)], undefined],
      [[system(`You may call ${JSON.stringify([{ name: "f", parameters: SCHEMA }])}`)], undefined],
      [[system(JSON.stringify({ type: "array", items: SCHEMA }))], undefined],
      [[user("{".repeat(100_000) + written)], undefined],
      [[user(`${'{"properties": '.repeat(300)}1${"}".repeat(300)}`)], undefined],
      [[user('{"type": "object", "properties": 1} "properties"')], undefined],
      [[user('{"type": "string", "properties": {}}')], undefined],
      [[user(`${written.slice(0, -1)}`)], undefined],
    ] as const
  ) {
    assertEquals(schemaIn(messages), found as unknown, JSON.stringify(messages).slice(0, 200));
  }
  assertEquals(schemaIn([user(written)], { onlySystem: true }), undefined);
  const begun = performance.now();
  schemaIn([user('"properties"' + "{".repeat(2_000_000))]);
  const took = performance.now() - begun;
  assertEquals(took < 5_000, true, `${took} ms`);
});

Deno.test("which chats are held to a schema in their messages, and how it is told", async () => {
  const json = { response_format: { type: "json_object" } };
  const held = { kind: "json_schema", schema: SCHEMA };
  const object = { kind: "json_object" };
  for (
    const [fields, role, jsonFromMessages, constraint, header] of [
      [json, "system", false, held, "messages"],
      [json, "user", true, held, "messages"],
      [{ structured_outputs: { json_object: true } }, "system", true, object, null],
      [{}, "system", false, undefined, null],
      [{}, "system", true, held, "messages"],
      [{}, "user", true, undefined, null],
      [{ choice: ["a"] }, "system", true, { kind: "choice", choices: ["a"] }, null],
    ] as const
  ) {
    const engine = new FakeEngine();
    const messages = [{ role, content: `Schema: ${written}` }, { role: "user", content: "Hi" }];
    const response = await createApp(engine, { jsonFromMessages })
      .request(PATH, chatInit({ messages, ...fields }));
    await response.body?.cancel();
    const [request] = engine.requests;
    assertEquals(
      [request.constraint, response.headers.get("x-unmask-schema")],
      [constraint as unknown, header],
      JSON.stringify([fields, role]),
    );
  }
});

Deno.test("a schema in the messages that cannot be served is as if it were not there", async () => {
  for (
    const [fields, constraint] of [[{ response_format: { type: "json_object" } }, {
      kind: "json_object",
    }], [{}, undefined]] as const
  ) {
    const engine = new FakeEngine();
    const asked: unknown[] = [];
    const answer = engine.generate.bind(engine);
    engine.generate = async function* (request, signal) {
      asked.push(request.constraint);
      if (request.constraint?.kind === "json_schema") throw new RequestError("x", "no");
      yield* answer(request, signal);
    };
    const messages = [{ role: "system", content: written }, { role: "user", content: "Hi" }];
    const response = await createApp(engine, { jsonFromMessages: true })
      .request(PATH, chatInit({ messages, ...fields }));
    await response.body?.cancel();
    assertEquals([response.status, response.headers.get("x-unmask-schema")], [200, null]);
    assertEquals(asked, [{ kind: "json_schema", schema: SCHEMA }, constraint]);
  }
});
