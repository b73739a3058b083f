/** `unmask eval likelihood`, as a user runs it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { withFolder } from "../model/random_checkpoint.ts";
import { comesToLines, linesOf, stoppedMidway, unmask } from "./command.ts";

const COMMAND = ["eval", "likelihood"];

Deno.test("a killed run goes on to the same report; another setting is refused by name", () =>
  withFolder(async (dir) => {
    const [killed, whole] = ["killed", "whole"].map((name) => join(dir, name));
    const args = [...COMMAND, "--limit", "6", "--samples", "32", "--seed", "7"];
    const kept = join(killed, "likelihood.jsonl");
    await stoppedMidway([...args, "--out", killed], {
      until: (running) => comesToLines(kept, 3, running),
      isOver: ({ stdout }) => linesOf(kept) === 7 || stdout.text !== "",
      undo: () => Deno.removeSync(killed, { recursive: true }),
    });
    const refused = await unmask([...args, "--cfg", "1.5", "--out", killed]);
    assertEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /likelihood\.jsonl holds results of another run: cfg was 0, now 1\.5/,
    );
    const [one, other] = await Promise.all(
      [killed, whole].map((out) => unmask([...args, "--out", out])),
    );
    assertEquals([one.code, other.code], [0, 0], one.stderr);
    assertEquals(one.stdout, other.stdout);
    assertMatch(one.stdout, /│ tiny-target │ 6 +│/);
    for (const name of ["likelihood.json", "likelihood.md", "likelihood.jsonl"]) {
      assertEquals(
        Deno.readTextFileSync(join(killed, name)),
        Deno.readTextFileSync(join(whole, name)),
      );
    }
    const report = JSON.parse(Deno.readTextFileSync(join(killed, "likelihood.json")));
    const sum = report.per_example.reduce(
      (total: number, one: { log_likelihood: number }) => total + one.log_likelihood,
      0,
    );
    assert(Math.abs(report.log_likelihood - sum) < 1e-9);
    assert(Math.abs(report.perplexity - Math.exp(-sum / report.tokens)) < 1e-9);
    assert(report.perplexity > 1 && report.perplexity < 1.5, `${report.perplexity}`);
    assertStringIncludes(
      Deno.readTextFileSync(join(killed, "likelihood.md")),
      `| tiny-target | 6 | ${report.tokens} | 32 | 0 |`,
    );
  }));

Deno.test("one batch tells no error, and samples are whole batches", () =>
  withFolder(async (dir) => {
    const data = join(dir, "data.jsonl");
    Deno.writeTextFileSync(data, '{"prompt": "Hello.", "answer": "Hello!"}\n{"text": "x = 1"}\n');
    const args = [...COMMAND, "--data", data, "--samples", "16", "--json"];
    const { code, stdout, stderr } = await unmask([...args, "--cfg", "1"]);
    assertEquals(code, 0, stderr);
    const { standard_error, cfg_scale, examples, data: files } = JSON.parse(stdout);
    assertEquals([standard_error, cfg_scale, examples, files], [null, 1, 2, ["data.jsonl"]]);
    const uneven = await unmask([...args, "--batch", "5"]);
    assertEquals(uneven.code, 1);
    assertStringIncludes(uneven.stderr, "--samples 16: expected a multiple of --batch 5");
  }));
