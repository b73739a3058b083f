/** `unmask infill` as a child process, on the adapter that is there. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { unmask } from "./command.ts";

const ASKED = ["--instruction", "What is 7 times 8?"];

Deno.test("infill fills every hole, and prints the text or one JSON object", async () => {
  const text = "7 * 8 ___ 56. The answer ___ 56.";
  const plain = await unmask(["infill", text, ...ASKED]);
  assertEquals([plain.code, plain.stdout, plain.stderr], [
    0,
    "7 * 8 = 56. The answer is 56.\n",
    "",
  ]);
  const marked = text.replaceAll("___", "[?]");
  const json = await unmask([
    "infill",
    marked,
    ...ASKED,
    "--hole",
    "[?]",
    "--tokens",
    "2",
    "--json",
  ]);
  const { holes, text: filled } = JSON.parse(json.stdout);
  assertEquals(holes.map(({ tokens }: { tokens: unknown[] }) => tokens.length), [2, 2]);
  assert(filled.startsWith("7 * 8 "));
});

Deno.test("infill of a text without a hole says how one is marked", async () => {
  const { code, stderr } = await unmask(["infill", "The capital of France is Paris."]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "mark each with ___");
});

Deno.test("infill refuses a mark that is empty, which every text holds", async () => {
  const { code, stdout, stderr } = await unmask(["infill", "abc", "--hole", ""]);
  assertEquals([code, stdout, stderr], [
    ...[1, "", "unmask: --hole is empty: name what marks a hole\n"],
  ]);
});
