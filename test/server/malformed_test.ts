import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit, MALFORMED } from "./malformed.ts";

for (const { name, path = "/v1/chat/completions", init, status, param, message } of MALFORMED) {
  Deno.test(`malformed: ${name}`, async () => {
    const engine = new FakeEngine();
    const reported: unknown[] = [];
    const app = createApp(engine, { onError: (error) => reported.push(error) });
    const refused = await app.request(path, init);
    assertEquals(refused.status, status);
    assertMatch(refused.headers.get("content-type") ?? "", /^application\/json/);
    const { error, ...rest } = await refused.json();
    assertEquals(rest, {});
    assertEquals(Object.keys(error), ["message", "type", "param", "code"]);
    assertMatch(error.message, message);
    assert(error.message.length < 700, `a message of ${error.message.length} characters`);
    assertEquals(error.type, "invalid_request_error");
    assertEquals(typeof error.code, "string");
    if (param !== undefined) assertEquals(error.param, param);
    assertEquals(reported, []);

    const good = await app.request("/v1/chat/completions", chatInit());
    assertEquals(good.status, 200);
    const answer = await good.json();
    assertEquals(answer.choices[0].message.content, "Masks fall away in any order.");
    assertEquals(engine.running, 0);
  });
}
