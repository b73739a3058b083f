/** `unmask synth`, as a user runs it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readConfig } from "../../src/model/loading/config.ts";
import { withFolder } from "../model/random_checkpoint.ts";
import { stoppedMidway, unmask } from "./command.ts";

const TINY_TARGET = fileURLToPath(new URL("../../models/tiny-target", import.meta.url));

const filesOf = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();

Deno.test("a folder of a tiny shape can be served; it is not written over", () =>
  withFolder(async (dir) => {
    const out = join(dir, "model");
    const args = ["synth", "--like", "tiny-draft", "--out", out, "--layers", "2", "--seed", "3"];
    const made = await unmask([...args, "--tokenizer", TINY_TARGET]);
    assertEquals(made.code, 0, made.stderr);
    assertMatch(made.stderr, /^[\d.]+ MB to write, [\d.]+ GB free; 1 file of weights$/m);
    assertMatch(made.stderr, /^writing model: 100 % of \d+\.\d MiB$/m);
    assertMatch(made.stdout, /model: [\d.]+ MB of weights, written in [\d.]+ s\n$/);
    assertEquals(filesOf(out), [
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const { layers, ffnSize, maskTokenId } = readConfig(out);
    assertEquals([layers, ffnSize, maskTokenId], [2, 112, 2037]);
    const answer = await unmask(["generate", "Hi!", "--model", out, "-n", "4", "--json"]);
    assertEquals(answer.code, 0, answer.stderr);

    const again = await unmask(args);
    assertEquals([again.code, again.stdout], [1, ""]);
    assertStringIncludes(again.stderr, "holds 4 files, expected a new or empty folder");
  }));

Deno.test("killed midway it goes on, to the same bytes; Ctrl-C says how", () =>
  withFolder(async (dir) => {
    const args = (out: string) => [
      ...["synth", "--like", "mid", "--layers", "24", "--vocab-size", "4096"],
      ...["--weights", "q8", "--shard-size", "20MB", "--out", join(dir, out)],
    ];
    const whole = await unmask(args("whole"));
    assertEquals(whole.code, 0, whole.stderr);
    assertStringIncludes(whole.stdout, "It has no tokenizer.");
    const interrupted = await stoppedMidway(args("killed"), {
      until: ({ stderr }) => stderr.match(/^writing killed: \d+ %/m),
      signal: "SIGINT",
      isOver: () => filesOf(join(dir, "killed")).includes("config.json"),
      undo: () => Deno.removeSync(join(dir, "killed"), { recursive: true }),
    });
    assertEquals(interrupted.code, 130, interrupted.stderr);
    assertStringIncludes(interrupted.stderr, "killed is unfinished. The same command goes on");
    const files = filesOf(join(dir, "killed"));
    assert(!files.includes("config.json"), files.join());
    assert(files.some((name) => name.endsWith(".safetensors")), files.join());
    const other = await unmask([...args("killed"), "--seed", "9"]);
    assertEquals(other.code, 1);
    assertStringIncludes(other.stderr, "the beginning of another folder: seed 1, not 9");

    const resumed = await unmask(args("killed"));
    assertEquals(resumed.code, 0, resumed.stderr);
    assertMatch(resumed.stderr, /\d files of weights, \d+ there already$/m);
    assertEquals(filesOf(join(dir, "killed")), filesOf(join(dir, "whole")));
    for (const name of filesOf(join(dir, "whole"))) {
      const bytes = (folder: string) => Deno.readFileSync(join(dir, folder, name));
      assert(Buffer.from(bytes("killed")).equals(bytes("whole")), name);
    }
  }));

Deno.test("--on-gpu fills a model and times a forward pass, without a file", async () => {
  const { code, stdout, stderr } = await unmask(
    ["synth", "--like", "tiny-target", "--on-gpu", "--weights", "q4", "--group", "64", "--head"],
  );
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^tiny-target, 2\.6 million parameters, q4 in groups of 64: 1\.\d\d MB on /);
  assertMatch(stdout, /^forward pass of 32 tokens: [\d.]+ s \(the first, with compiling, /m);
  assertMatch(stderr, /^filling tiny-target: 100 %/m);
});

Deno.test("what cannot be made is refused before anything is written", () =>
  withFolder(async (dir) => {
    const out = join(dir, "out");
    const cases: readonly (readonly [expected: string, ...args: string[]])[] = [
      ["either --out DIR or --on-gpu", "--like", "mid"],
      ["either --out DIR or --on-gpu", "--like", "mid", "--out", out, "--on-gpu"],
      ["'--tokenizer <dir>'", "--like", "mid", "--on-gpu", "--tokenizer", TINY_TARGET],
      ["'--shard-size <size>'", "--like", "mid", "--on-gpu", "--shard-size", "5GB"],
      ["--group is only used with --weights", "--like", "mid", "--group", "64", "--out", out],
      ["Allowed choices are llada-8b", "--like", "gpt", "--out", out],
      ["--head is only used with --weights", "--like", "mid", "--head", "--out", out],
      [
        "n_heads is 3, expected a divisor of d_model",
        "--like",
        "mid",
        "--out",
        out,
        "--heads",
        "3",
        "--hidden-size",
        "1000",
      ],
      ["expected a size such as", "--like", "mid", "--out", out, "--shard-size", "5"],
      ["GB are needed and", "--like", "llada-8b", "--layers", "4000", "--out", out],
      [
        "an id is 2047, expected below the shape's vocabulary of 500",
        ...["--like", "mid", "--vocab-size", "500", "--out", out, "--tokenizer", TINY_TARGET],
      ],
    ];
    for (const [expected, ...args] of cases) {
      const { code, stdout, stderr } = await unmask(["synth", ...args]);
      assertEquals([code, stdout], [1, ""], stderr);
      assertStringIncludes(stderr, expected);
      assertEquals(filesOf(dir), []);
    }
  }));
