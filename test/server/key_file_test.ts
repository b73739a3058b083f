/** The file of API keys, and what a line may say. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { keyDigest } from "../../src/server/api_keys.ts";
import { keysOfFile } from "../../src/server/key_file.ts";

const DIGEST = keyDigest("two");

Deno.test("a file of keys has one a line, and comments, as it always had", () => {
  const text = `# ours\r\none\r\n\n  ${DIGEST}  \n#three\na key of words\nbase64==`;
  assertEquals(keysOfFile(text), [
    { key: { digest: keyDigest("one") }, isPlain: true },
    { key: { digest: DIGEST }, isPlain: false },
    { key: { digest: keyDigest("a key of words") }, isPlain: true },
    { key: { digest: keyDigest("base64==") }, isPlain: true },
  ]);
  assertEquals(keysOfFile("\n# none\n"), []);
  // A key that is there twice says nothing else the second time.
  assertEquals(keysOfFile("one\none").length, 2);
});

Deno.test("fields behind a key say what it may do", () => {
  const fields =
    "name=alice.b-2 priority=-9\trequests_per_minute=60  tokens_per_minute=20000 concurrent=4";
  const [alice, bob] = keysOfFile(
    `${DIGEST.toUpperCase().replace("SHA", "sha")} ${fields}\r\nbob priority=2`,
  );
  assertEquals(alice.key, {
    digest: DIGEST,
    name: "alice.b-2",
    priority: -9,
    requestsPerMinute: 60,
    tokensPerMinute: 20000,
    concurrent: 4,
  });
  assertEquals(bob, { key: { digest: keyDigest("bob"), priority: 2 }, isPlain: true });
});

Deno.test("a wrong line is named, with the field and what it may be, and without the key", () => {
  const cases = [
    ["priority=10", 'line 3: priority is "10": expected a whole number from -9 to 9'],
    ["priority=high", 'line 3: priority is "high": expected a whole number from -9 to 9'],
    ["priority=1.5", 'line 3: priority is "1.5"'],
    ["priority=", 'line 3: priority is ""'],
    ["concurrent=0", 'line 3: concurrent is "0": expected a whole number from 1 to'],
    ["requests_per_minute=1e9999", 'line 3: requests_per_minute is "1e9999"'],
    ["priority=1 priority=2", "line 3: priority is there twice"],
    ["priority = 2", "line 3: priority has no value: write priority=VALUE"],
    ["priority: 2", 'line 3: unknown field "priority:": expected name=, priority='],
    ["requests_per_second=2", 'line 3: unknown field "requests_per_second"'],
    ["toString=2", 'line 3: unknown field "toString"'],
    ["name=a/b", 'line 3: name is "a/b": expected 1 to 64 letters'],
    ["priority=1 # ours", 'line 3: unknown field "#"'],
  ];
  for (const [fields, message] of cases) {
    const error = assertThrows(
      () => keysOfFile(`# first\none\nsecret ${fields}\n`),
      Error,
      message,
    );
    assert(!error.message.includes("secret"), error.message);
  }
  const twice = `one\nsecret priority=1\n${keyDigest("secret")}\n`;
  assertThrows(() => keysOfFile(twice), Error, "line 3: the key of line 2 again");
});

Deno.test("whatever a file holds, it is read or refused in words", () => {
  const word = fc.oneof(
    fc.constantFrom("priority=2", "concurrent=", "name=a", "=", "#", "a=b", "__proto__=1", DIGEST),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(fc.array(word).map((words) => words.join(" "))), (lines) => {
    try {
      for (const { key } of keysOfFile(lines.join("\n"))) {
        assert(/^sha256:[0-9a-f]{64}$/.test(key.digest));
      }
    } catch (error) {
      assert(/^line \d+: /.test((error as Error).message), String(error));
    }
  }));
});
