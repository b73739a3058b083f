/** Requests as code and links, and the choices that links hold. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fieldsOf, FIRST_SETTINGS, readSettings } from "../../../src/server/page/settings.ts";
import { fragmentOf, LANGUAGES, linkedOf } from "../../../src/server/page/share.ts";

const request = {
  server: "http://127.0.0.1:8000",
  path: "/v1/chat/completions",
  body: { messages: [{ role: "user", content: 'It\'s "7"\n${HOME} $(id) `id`?' }], stream: true },
};

Deno.test("a link holds any state, and anything else is no link", () => {
  fc.assert(fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()), (state) => {
    const linked = { tab: "chat", state: JSON.parse(JSON.stringify(state)) };
    const fragment = fragmentOf(linked);
    assert(/^#[\w-]*$/.test(fragment));
    assertEquals(linkedOf(fragment), linked);
  }));
  fc.assert(fc.property(fc.string(), (text) => {
    const linked = linkedOf(`#${text}`);
    assert(linked === undefined || typeof linked.tab === "string");
  }));
});

Deno.test("a shell reads the body of the curl command as it is", async () => {
  const code = LANGUAGES.curl({ ...request, asksKey: true });
  // A curl that prints its last argument.
  const script = `curl() { eval "printf %s \\"\\\${$#}\\""; }\n${code}`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)), request.body);
});

Deno.test("the JavaScript is JavaScript, and names the key's variable alone", () => {
  const code = LANGUAGES.JavaScript({ ...request, asksKey: true });
  new Function(`return async () => {${code}}`);
  assert(code.includes("process.env.UNMASK_API_KEY"));
  assert(!LANGUAGES.JavaScript({ ...request, asksKey: false }).includes("UNMASK_API_KEY"));
});

Deno.test("Python has its own words for true, false and null", () => {
  const body = { a: true, b: false, c: null, d: [], e: { f: "true" } };
  const code = LANGUAGES.Python({ ...request, body, asksKey: false });
  assert(code.includes(`    "a": True,\n    "b": False,\n    "c": None,\n    "d": [],`), code);
  assert(code.includes(`"f": "true"`));
});

Deno.test("choices from elsewhere are those that exist, or none", () => {
  assertEquals(readSettings({ ...FIRST_SETTINGS, strategy: "rm", seed: -1, more: 1 }), {
    quality: "exact",
    threshold: 0.9,
    factor: 1,
    temperature: 0,
    seedPinned: true,
    rerun: true,
  });
  fc.assert(fc.property(fc.anything(), (value) => void readSettings(value)));
});

Deno.test("steps are a multiple of the blocks, as the server asks", () => {
  const choices = fc.record({
    stepsPerBlock: fc.integer({ min: 1, max: 64 }),
    blockLength: fc.constantFrom(undefined, 8, 16, 32, 64),
    maxTokens: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
  });
  fc.assert(fc.property(choices, (some) => {
    const fields = fieldsOf({ ...FIRST_SETTINGS, ...some });
    const [steps, length, most] = [
      fields.steps,
      fields.block_length,
      fields.max_tokens,
    ] as number[];
    assertEquals(steps % Math.ceil(most / length), 0);
    assert(steps <= Math.ceil(most / length) * length);
  }));
});
