/** `unmask corpus`, as a user runs it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { explain } from "../../src/compress/corpus/corpus.ts";
import { familiesFor } from "../../src/compress/corpus/families.ts";
import { readSamples } from "../../src/compress/data/training_data.ts";
import { parseAccuracyFile } from "../../src/evaluate/accuracy.ts";
import { tinyEncoder } from "../compress/data/tiny_encoder.ts";
import { withFolder } from "../model/random_checkpoint.ts";
import { unmask } from "./command.ts";

interface Line {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly family: string;
}

Deno.test("training data: same seed same bytes, no prompt that is held out", () =>
  withFolder(async (dir) => {
    const write = async (name: string, ...args: string[]) => {
      const out = join(dir, name);
      const { code, stdout, stderr } = await unmask(["corpus", "--out", out, ...args]);
      assertEquals(code, 0, stderr);
      return { stdout, text: Deno.readTextFileSync(out) };
    };
    const few = ["--samples", "600"];
    const [first, same, other, heldOut] = await Promise.all([
      write("a.jsonl", ...few),
      write("b.jsonl", ...few),
      write("c.jsonl", ...few, "--seed", "2", "--dense", "--repeat", "0.2"),
      write("d.jsonl", ...few, "--split", "heldout"),
    ]);
    assertEquals(first.text, same.text);
    assertMatch(first.stdout, /math\/add +\S? *\d+/);
    assertMatch(first.stdout, /a\.jsonl: 600 samples, 0\.\d MB, in [\d.]+ s\n$/);
    const lines = (text: string): Line[] =>
      text.trimEnd().split("\n").map((line) => JSON.parse(line));
    const prompts = (text: string) =>
      new Set(lines(text).map(({ messages }) => messages[0].content));
    assertEquals(lines(other.text).length, 600);
    assert(lines(other.text).some(({ family }) => family === "dense/facts"));
    const trained = prompts(first.text).union(prompts(other.text));
    assertEquals(trained.intersection(prompts(heldOut.text)).size, 0);
    for (const { messages: [question, answer] } of lines(heldOut.text)) {
      const [{ answers }] = explain(familiesFor({}), question.content);
      assert(answers.includes(answer.content), question.content);
    }
    const samples = readSamples(join(dir, "c.jsonl"), tinyEncoder());
    assertEquals(samples.length, 600);
    assert(samples.every(({ ids }) => ids.length < 170), "longer than the tiny target's positions");
    assertEquals(
      [...Deno.readDirSync(dir)].map(({ name }) => name).sort(),
      ["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"],
    );
  }));

Deno.test("an evaluation has each prompt once; what cannot be made is refused", () =>
  withFolder(async (dir) => {
    const out = join(dir, "held-out.json");
    const args = ["corpus", "--out", out, "--split", "heldout", "--samples", "150"];
    const made = await unmask(args);
    assertEquals(made.code, 0, made.stderr);
    const items = parseAccuracyFile(Deno.readTextFileSync(out), out);
    assertEquals(new Set(items.map(({ prompt }) => prompt)).size, 150);

    const unknown = await unmask([...args, "--times", "math/div=3"]);
    assertEquals(unknown.code, 1);
    assertStringIncludes(unknown.stderr, "there is no family math/div");
    const wrong = await unmask([...args, "--times", "math/mul"]);
    assertStringIncludes(wrong.stderr, "expected FAMILY=N");
    const nowhere = await unmask(["corpus", "--out", join(dir, "no", "where.jsonl")]);
    assertEquals(nowhere.code, 1);
    assertStringIncludes(nowhere.stderr, "where.jsonl");
  }));
