/** `unmask eval agreement`, as a user runs it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { withFolder } from "../model/random_checkpoint.ts";
import { QUANTISED } from "../../src/quant/scheme.ts";
import { elements } from "../gpu/device.ts";
import { unmask } from "./command.ts";

Deno.test("the embedded target in q8, as a table", async () => {
  const args = ["eval", "agreement", "--weights", "q8", "--limit", "2"];
  const { code, stdout, stderr } = await unmask(args);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^tiny-target, q8 in groups of 32 against tiny-target as it is stored\n/);
  assertMatch(stdout, /│ 100 % +│ 128 /);
  assertMatch(stdout, /│ all +│ 320 +│ (9\d|100)\.\d\d % /);
  assertMatch(stdout, /relative error of hidden states after the last layer 0\.0\d+, of logits 0/);
});

Deno.test("keys and values kept in f16, against f32", async () => {
  const args = ["eval", "agreement", "--kv-cache", "f16", "--limit", "2"];
  const { code, stdout, stderr } = await unmask(args);
  if (!elements.includes("f16")) {
    assertEquals(code, 1);
    return assertStringIncludes(stderr, "no shader-f16");
  }
  assertEquals([code, stderr], [0, ""]);
  assertMatch(
    stdout,
    /^tiny-target, keys and values kept in f16 against tiny-target as it is stored, keys and values kept in f32\n/,
  );
  assertMatch(stdout, /│ all +│ 320 +│ (9\d|100)\.\d\d % /);
  assertMatch(
    stdout,
    /relative error of hidden states after the last layer 0\.000\d+, of logits 0/,
  );
});

Deno.test("a quantised folder against its original, without a tokenizer", () =>
  withFolder(async (dir) => {
    const [original, q4] = ["original", "q4"].map((name) => join(dir, name));
    const shape = ["--like", "tiny-draft", "--layers", "2", "--vocab-size", "300"];
    assertEquals((await unmask(["synth", ...shape, "--out", original])).code, 0);
    const quantize = ["quantize", original, "--to", "q4", "--group", "64", "--head", "--out", q4];
    assertEquals((await unmask(quantize)).code, 0);
    const args = ["--random", "2", "--max-tokens", "16", "--json"];
    const stored = await unmask(
      ["eval", "agreement", "--model", q4, "--against", original, ...args],
    );
    assertEquals(stored.code, 0, stored.stderr);
    const atLoad = await unmask([
      ...["eval", "agreement", "--model", original, "--weights", "q4", "--group", "64", "--head"],
      ...args,
    ]);
    assertEquals(atLoad.code, 0, atLoad.stderr);
    const found = JSON.parse(stored.stdout);
    assertEquals([found.all.states, found.all.positions], [8, 2 * (16 + 12 + 8 + 4)]);
    assert(found.error.hidden > 0.01 && found.error.hidden < 0.3, stored.stdout);
    const { all, by_mask, error } = JSON.parse(atLoad.stdout);
    assertEquals({ all, by_mask, error }, {
      all: found.all,
      by_mask: found.by_mask,
      error: found.error,
    });
  }));

Deno.test("what cannot be compared is refused", () =>
  withFolder(async (dir) => {
    const other = join(dir, "other");
    const shape = ["--like", "tiny-draft", "--layers", "1", "--vocab-size", "300"];
    assertEquals((await unmask(["synth", ...shape, "--out", other])).code, 0);
    const cases: readonly (readonly [expected: string, ...args: string[]])[] = [
      ["expected --draft DIR, --against DIR, --weights, --arithmetic or --kv-cache f16"],
      [
        "expected --draft DIR, --against DIR, --weights, --arithmetic or --kv-cache f16",
        "--kv-cache",
        "f32",
      ],
      ["embeddingSize is 2048, expected 300", "--against", other],
      [`Allowed choices are ${QUANTISED.join(", ")}`, "--weights", "q5"],
    ];
    for (const [expected, ...args] of cases) {
      const { code, stderr } = await unmask(["eval", "agreement", ...args]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, expected);
    }
  }));
