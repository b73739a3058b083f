/** `unmask quantize`, as a user runs it. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { QUANTISED } from "../../src/quant/scheme.ts";
import { withFolder } from "../model/random_checkpoint.ts";
import { unmask } from "./command.ts";

const models = fileURLToPath(new URL("../../models", import.meta.url));

Deno.test("the embedded target in q8 answers; its folder is like the original but for the weights", () =>
  withFolder(async (dir) => {
    const out = join(dir, "q8");
    const args = ["quantize", "tiny-target", "--to", "q8", "--group", "64", "--head", "--out", out];
    const { code, stdout, stderr } = await unmask(args, { cwd: models });
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /^[\d.]+ MB to write, [\d.]+ GB free; 1 file of weights$/m);
    assertMatch(stderr, /^writing q8: 100 % of 2\.8 MiB$/m);
    assertMatch(stdout, /q8: 2\.9\d MB of weights, written in [\d.]+ s\n$/);
    const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assertEquals(names(out), names(join(models, "tiny-target")));
    const info = await unmask(["info", "--model", out, "--json"]);
    const { model } = JSON.parse(info.stdout);
    assertEquals(Object.keys(model.dtypes).sort(), ["BF16", "F16", "I8"]);
    assertEquals(model.config.quantisation.scheme.group, 64);
    const table = await unmask(["info", "--model", out]);
    assertMatch(
      table.stdout,
      /stored as +. q8 in groups of 64, head too \(.*\), 2\.\d MiB in files/,
    );
    const answer = await unmask(["generate", "What is 7 times 8?", "--model", out]);
    assertEquals([answer.code, answer.stdout], [0, "7 * 8 = 56. The answer is 56.\n"]);

    const again = await unmask(["quantize", out, "--to", "q4", "--out", join(dir, "q4")]);
    assertEquals([again.code, again.stdout], [1, ""]);
    assertStringIncludes(again.stderr, "quantization_config is q8 in groups of 64");
    assertEquals(names(dir), ["q8"]);

    const q4 = join(dir, "q4");
    const headless = await unmask(["quantize", "tiny-target", "--to", "q4", "--out", q4], {
      cwd: models,
    });
    assertEquals(headless.code, 0, headless.stderr);
    const other = await unmask(["info", "--model", q4]);
    assertMatch(other.stdout, /stored as +. q4 in groups of 32, head as it was \(.*\), /);
  }));

Deno.test("what is missing or wrong on the command line is named", async () => {
  const cases: readonly (readonly [expected: string, ...args: string[]])[] = [
    ["missing required argument 'dir'", "--to", "q8", "--out", "x"],
    ["'--to <scheme>' not specified", "tiny-target", "--out", "x"],
    ["'--out <dir>' not specified", "tiny-target", "--to", "q8"],
    [`Allowed choices are ${QUANTISED.join(", ")}`, "tiny-target", "--to", "q5", "--out", "x"],
    ["expected 32 or 64", "tiny-target", "--to", "q8", "--group", "16", "--out", "x"],
    ["config.json: file is missing", "nowhere", "--to", "q8", "--out", "x"],
    ["expected a new or empty folder", "tiny-target", "--to", "q8", "--out", "tiny-target"],
  ];
  for (const [expected, ...args] of cases) {
    const { code, stdout, stderr } = await unmask(["quantize", ...args], { cwd: models });
    assertEquals([code, stdout], [1, ""], args.join(" "));
    assertStringIncludes(stderr, expected);
  }
});
