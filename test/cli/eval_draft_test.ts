/** `unmask eval agreement --draft`, as a user runs it: the embedded pair, killed and gone on with. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decode } from "fast-png";
import { join } from "node:path";
import type { DraftReport } from "../../src/cli/draft_report.ts";
import { withFolder } from "../model/random_checkpoint.ts";
import { comesToLines, linesOf, stoppedMidway, unmask } from "./command.ts";

const TARGET = "models/tiny-target";
const DRAFT = ["eval", "agreement", "--draft", "models/tiny-draft"];

Deno.test("the embedded pair: one report as JSON, as a page and as a picture", () =>
  withFolder(async (dir) => {
    const out = join(dir, "figures");
    const args = [...DRAFT, "--limit", "5", "--answers", "1", "--out", out, "--json"];
    const { code, stdout, stderr } = await unmask(args);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /comparing: 100 % of 5 examples/);
    const report: DraftReport = JSON.parse(stdout);
    assertEquals(JSON.parse(Deno.readTextFileSync(join(out, "agreement.json"))), report);
    assertEquals([report.draft, report.target, report.examples], ["tiny-draft", "tiny-target", 5]);
    assertEquals(report.by_mask.map(({ mask_ratio }) => mask_ratio), [0.3, 0.5, 0.7]);
    for (const { positions, same_token, agreement, confident, same_confident } of report.by_mask) {
      assert(positions > 10 && same_token <= positions && confident <= positions);
      assert(same_confident <= confident && same_confident <= same_token);
      assertEquals(agreement, same_token / positions);
    }
    const mean = report.by_mask.reduce((sum, { agreement }) => sum + agreement!, 0) / 3;
    assert(Math.abs(report.agreement! - mean) < 1e-12 && mean > 0.9, `${report.agreement}`);
    const counted = report.calibration.bins.reduce((sum, { positions }) => sum + positions, 0);
    assertEquals(counted, report.by_mask.reduce((sum, { positions }) => sum + positions, 0));
    // Layers 0, 5 and 7 of 8, with 112 of 512 neurons each, and the head in both.
    const [draft, target] = [[3, 112], [8, 512]].map(([layers, neurons]) =>
      layers * (4 * 128 * 128 + 3 * 128 * neurons) + 2048 * 128
    );
    assertEquals(report.cost.multiplications, draft / target);
    assert(report.cost.multiplications <= 0.25, "the draft is to be a thin one");
    assert(report.cost.time > 0.1 && report.cost.time < 3, `${report.cost.time}`);
    const { acceptance } = report;
    assertEquals(acceptance?.answers, 1);
    const names = acceptance!.strategies.map(({ name }) => name);
    assert(["order", "lossless 4", "gate", "commit_verify"].every((name) => names.includes(name)));
    for (const { committed, name } of acceptance!.strategies) {
      assert(committed >= acceptance!.tokens - 32 && committed <= 64, name);
    }
    const page = Deno.readTextFileSync(join(out, "agreement.md"));
    const row = "| Draft | Avg agree | Agree@0.3 | Agree@0.5 | Agree@0.7 | Confident-correct |";
    assertStringIncludes(page, row);
    assertStringIncludes(page, `| tiny-draft | ${report.agreement!.toFixed(4)} |`);
    const { width, height } = decode(Deno.readFileSync(join(out, "calibration.png")));
    assert(width > 600 && height > 400);
  }));

Deno.test("a run that was killed goes on, and ends with the same counts; another is refused", () =>
  withFolder(async (dir) => {
    const [killed, whole] = ["killed", "whole"].map((name) => join(dir, name));
    const args = [...DRAFT, "--limit", "24", "--answers", "0", "--json", "--seed", "5"];
    const kept = join(killed, "agreement.jsonl");
    await stoppedMidway([...args, "--out", killed], {
      until: (running) => comesToLines(kept, 4, running),
      isOver: ({ stdout }) => linesOf(kept) === 25 || stdout.text !== "",
      undo: () => Deno.removeSync(killed, { recursive: true }),
    });
    const before = linesOf(kept);
    const refused = await unmask([...args, "--limit", "8", "--out", killed]);
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /agreement\.jsonl holds results of another run: data was "24 of /);
    assertEquals(linesOf(kept), before);
    const [one, other] = await Promise.all(
      [killed, whole].map((out) => unmask([...args, "--out", out])),
    );
    assertEquals([one.code, other.code], [0, 0], one.stderr);
    const [first, second] = [one, other].map(({ stdout }) => {
      const { cost: _, ...counts }: DraftReport = JSON.parse(stdout);
      return counts;
    });
    assertEquals(first, second);
    assertEquals(
      Deno.readTextFileSync(kept),
      Deno.readTextFileSync(join(whole, "agreement.jsonl")),
    );
  }));

Deno.test("a model is its own best draft; without --out nothing is kept", () =>
  withFolder(async (dir) => {
    const lines = [
      {
        messages: [{ role: "user", content: "What is 7 * 8?" }, {
          role: "assistant",
          content: "56",
        }],
      },
      { prompt: "Hello.", answer: "Hello!" },
      { text: "def add(a, b):\n    return a + b" },
    ];
    const data = join(dir, "data.jsonl");
    Deno.writeTextFileSync(data, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const { code, stdout, stderr } = await unmask([
      ...["eval", "agreement", "--draft", TARGET, "--data", data, data, "--answers", "0"],
    ]);
    assertEquals(code, 0, stderr);
    assertMatch(
      stdout,
      /^tiny-target as a draft of tiny-target\n6 examples of data.jsonl, data.jsonl/,
    );
    assertMatch(stdout, /│ tiny-target │ 1\.0000 +│ 1\.0000 +│ 1\.0000 +│ 1\.0000 +│ 1\.0000 +│/);
    assertMatch(stdout, /costs 100\.0 % of the target's in multiplications/);
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["data.jsonl"]);
  }));

Deno.test("what does not go together is refused", () =>
  withFolder(async (dir) => {
    const other = join(dir, "other");
    const shape = ["--like", "tiny-draft", "--layers", "1", "--vocab-size", "300"];
    assertEquals((await unmask(["synth", ...shape, "--out", other])).code, 0);
    const bad = join(dir, "bad.jsonl");
    Deno.writeTextFileSync(bad, '{"prompt": "Hello."}\n');
    const cases: readonly (readonly [expected: string, ...args: string[]])[] = [
      ["embeddingSize is 300, expected 2048", ...DRAFT.slice(0, 3), other],
      ["--against is not used with --draft", ...DRAFT, "--against", TARGET],
      ["--seed is not used without --draft", ...DRAFT.slice(0, 2), "--seed", "1"],
      [`${bad}:1: prompt has no answer`, ...DRAFT, "--data", bad],
      ["--response 500: the longest prompt has", ...DRAFT, "--response", "500"],
      ["--max-tokens 480: the longest prompt has", ...DRAFT, "--max-tokens", "480"],
      ["there is no such file", ...DRAFT, "--data", join(dir, "none.jsonl")],
    ];
    for (const [expected, ...args] of cases) {
      const { code, stderr } = await unmask(args);
      assertEquals(code, 1, expected);
      assertStringIncludes(stderr, expected);
    }
  }));
