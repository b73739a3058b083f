/** `unmask prune`, as a user runs it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Analysis } from "../../src/compress/prune/analysis.ts";
import { fromRanges } from "../../src/compress/prune/pruned_folder.ts";
import { readConfig } from "../../src/model/loading/config.ts";
import { SYNTHETIC_SHAPES } from "../../src/model/synthetic/synthetic_shape.ts";
import { openCheckpoint } from "../../src/weights/checkpoint.ts";
import { writeSparseFolder } from "../compress/prune/sparse_folder.ts";
import { withFolder } from "../model/random_checkpoint.ts";
import { comesToLines, linesOf, stoppedMidway, unmask } from "./command.ts";

const TARGET = fileURLToPath(new URL("../../models/tiny-target", import.meta.url));
const namesIn = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();

Deno.test("the embedded target is analysed, pruned by that, and what is left answers", () =>
  withFolder(async (dir) => {
    const analysis = join(dir, "analysis");
    const args = ["prune", "analyse", "--out", analysis, "--limit", "2", "--block", "2"];
    const found = await unmask([...args, "--json"]);
    assertEquals(found.code, 0, found.stderr);
    const report: Analysis = JSON.parse(found.stdout);
    assertEquals(report, JSON.parse(Deno.readTextFileSync(join(analysis, "analysis.json"))));
    assertEquals(report.ablations.length, 8 + 7);
    // Without its first layer the model is lost, without the fifth it hardly changes.
    const without = (...layers: number[]) =>
      report.ablations.find(({ skipped }) => `${skipped}` === `${layers}`)!.agreement;
    assert(without(0) < 0.2 && without(4) > 0.8, `${without(0)} ${without(4)}`);
    assert(report.widths.every(({ inactive }) => inactive > 100));
    assertEquals(report.widths.map(({ heads }) => heads.length), Array(8).fill(4));
    assertEquals(namesIn(analysis), [
      ...["analysis.json", "analysis.jsonl", "analysis.md", "analysis.png"],
      "importance.safetensors",
    ]);
    assertMatch(Deno.readTextFileSync(join(analysis, "analysis.md")), /^\| 0-1 \| 0\.\d{4} \|/m);
    const again = await unmask(args);
    assertEquals(again.code, 0, again.stderr);
    assertMatch(again.stdout, /│ 3-4 +│ (0\.9|1\.0)/);
    const other = await unmask([...args, "--seed", "3"]);
    assertEquals(other.code, 1);
    assertStringIncludes(other.stderr, "was begun with other settings: seed 0, not 3");

    const out = join(dir, "draft");
    const importance = join(analysis, "importance.safetensors");
    const apply = ["prune", "apply", "--drop-layers", "3-4", "--ffn-keep", "0.75", "--out", out];
    const made = await unmask([...apply, "--importance", importance]);
    assertEquals(made.code, 0, made.stderr);
    assertMatch(made.stdout, /^6 of 8 layers, 384 of 512 neurons in each: 65\.3 % of a pass$/m);
    assertEquals(namesIn(out), [...namesIn(TARGET), "README.md"].sort());
    const config = readConfig(out);
    assertEquals([config.layers, config.ffnSize], [6, 384]);
    const { pruning } = JSON.parse(Deno.readTextFileSync(join(out, "config.json")));
    assertEquals(pruning.kept_layers, [0, 1, 2, 5, 6, 7]);
    assertEquals(
      pruning.kept_neurons.map((text: string) => fromRanges(text).length),
      Array(6).fill(384),
    );
    const card = Deno.readTextFileSync(join(out, "README.md"));
    assertStringIncludes(card, "| Parameters | 2,623,616 | 1,803,904 |");
    assertStringIncludes(
      card,
      "unmask prune apply --model tiny-target --drop-layers 3-4 --ffn-keep",
    );
    assertMatch(card, /## Ablation\n[^]*\| 6-7 \| 0\./);
    const answer = await unmask(["generate", "What is 7 times 8?", "--model", out, "--no-draft"]);
    assertEquals([answer.code, answer.stdout], [0, "7 * 8 = 56. The answer is 56.\n"]);

    const twice = await unmask([...apply, "--importance", importance]);
    assertEquals([twice.code, twice.stdout], [1, ""]);
    assertStringIncludes(twice.stderr, "expected a new or empty folder");
    assertEquals(namesIn(dir), ["analysis", "draft"]);
  }));

Deno.test("for a cost the choice is told, and the result is within it", () =>
  withFolder(async (dir) => {
    const model = join(dir, "model");
    const shape = ["--like", "tiny-target", "--layers", "3", "--ffn-size", "64", "--out", model];
    const synth = await unmask(["synth", ...shape, "--tokenizer", TARGET]);
    assertEquals(synth.code, 0, synth.stderr);
    const data = join(dir, "data.jsonl");
    const line = (text: string) => JSON.stringify({ prompt: `Say ${text}.`, answer: text });
    Deno.writeTextFileSync(data, ["one", "two two"].map((text) => `${line(text)}\n`).join(""));
    const out = join(dir, "draft");
    const { code, stdout, stderr } = await unmask([
      ...[
        "prune",
        "apply",
        "--auto",
        "--cost",
        "0.78",
        "--model",
        model,
        "--data",
        data,
        "--out",
        out,
      ],
    ]);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /│ chosen │/);
    const [, percent, agreement] = /: ([\d.]+) % of a pass; agreement (\d\.\d{4}) before training$/m
      .exec(stdout)!;
    assert(Number(percent) <= 78 && Number(percent) > 60, percent);
    const card = Deno.readTextFileSync(join(out, "README.md"));
    assertStringIncludes(card, `| ${agreement} | `);
    assertMatch(card, /\| chosen \|/);
    assertStringIncludes(card, "--auto --cost 0.78 --data data.jsonl");
    using checkpoint = openCheckpoint(out);
    assert(checkpoint.byteLength > 0);
  }));

Deno.test("killed while it measures it goes on; the report is that of a run in one piece", () =>
  withFolder(async (dir) => {
    const args = (out: string) => ["prune", "analyse", "--limit", "1", "--out", join(dir, out)];
    const whole = await unmask(args("whole"));
    assertEquals(whole.code, 0, whole.stderr);
    const record = join(dir, "killed", "analysis.jsonl");
    await stoppedMidway(args("killed"), {
      until: (running) => comesToLines(record, 2, running),
      isOver: () => linesOf(record) === 17,
      undo: () => Deno.removeSync(join(dir, "killed"), { recursive: true }),
    });
    assert(!namesIn(join(dir, "killed")).includes("analysis.json"));
    const resumed = await unmask(args("killed"));
    assertEquals(resumed.code, 0, resumed.stderr);
    for (const name of ["analysis.json", "analysis.md", "analysis.png", "importance.safetensors"]) {
      const bytes = (folder: string) => Deno.readFileSync(join(dir, folder, name));
      assertEquals(bytes("killed"), bytes("whole"), name);
    }
    assertEquals(resumed.stdout, whole.stdout);
  }));

Deno.test("interrupted while it writes it leaves nothing; killed, the same command finishes", () =>
  withFolder(async (dir) => {
    const model = join(dir, "model");
    const sizes = { hiddenSize: 1024, layers: 12, heads: 8, ffnSize: 4096, vocabSize: 512 };
    writeSparseFolder(model, {
      ...SYNTHETIC_SHAPES.mid,
      ...sizes,
    });
    const out = join(dir, "out");
    const args = ["prune", "apply", "--drop-layers", "0", "--model", model, "--out", `${out}/`];
    const stop = (signal: Deno.Signal) =>
      stoppedMidway([...args, "--shard-size", "50MB"], {
        until: ({ stderr }) => stderr.match(/^writing out: \d+ %/m),
        signal,
        isOver: () => namesIn(dir).includes("out"),
        undo: () => Deno.removeSync(out, { recursive: true }),
      });
    assertEquals((await stop("SIGINT")).code, 130);
    assertEquals(namesIn(dir), ["model"]);
    await stop("SIGKILL");
    assertEquals(namesIn(dir), ["model", "out.part"]);
    assert(!namesIn(`${out}.part`).includes("config.json"));
    const { code, stderr } = await unmask([...args, "--shard-size", "50MB"]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /files of weights, \d+ there already$/m);
    assertEquals(namesIn(dir), ["model", "out"]);
    assertEquals(readConfig(out).layers, 11);
  }));

Deno.test("what cannot be pruned so is refused before anything is written", () =>
  withFolder(async (dir) => {
    const out = join(dir, "out");
    const quantised = join(dir, "q8");
    await unmask(["quantize", TARGET, "--to", "q8", "--out", quantised]);
    const cases: readonly (readonly [expected: string, ...args: string[]])[] = [
      ["expected --drop-layers, --ffn-keep or --auto", "apply"],
      ["--auto: expected --cost", "apply", "--auto"],
      ["--cost is not used without --auto", "apply", "--cost", "0.3", "--ffn-keep", "0.5"],
      ["cannot be used with option", "apply", "--auto", "--cost", "0.3", "--ffn-keep", "0.5"],
      ["--limit is not used without --data", "apply", "--drop-layers", "1", "--limit", "3"],
      ["there is no layer 8 to drop", "apply", "--drop-layers", "8"],
      ["no layer would be left", "apply", "--drop-layers", "0-7"],
      ["expected ranges such as 12-19", "apply", "--drop-layers", "4-3"],
      ["--ffn-keep 0: a layer needs a neuron", "apply", "--ffn-keep", "0"],
      ["a cost of 0.1 is below 0.149", "apply", "--auto", "--cost", "0.1", "--limit", "1"],
      ["quantization_config is there", "apply", "--drop-layers", "1", "--model", quantised],
      ["quantization_config is there", "analyse", "--model", quantised],
      ["file is missing", "analyse", "--model", join(dir, "nowhere")],
      ["expected whole numbers such as 2,8", "analyse", "--block", "2,x"],
      ["nowhere.jsonl", "analyse", "--data", join(dir, "nowhere.jsonl")],
    ];
    await Promise.all(cases.map(async ([expected, ...args]) => {
      const { code, stdout, stderr } = await unmask(["prune", ...args, "--out", out]);
      assertEquals([code, stdout], [1, ""], args.join(" "));
      assertStringIncludes(stderr, expected);
    }));
    assertEquals(namesIn(dir), ["q8"]);
  }));
