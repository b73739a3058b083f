/** `unmask corpus`: the synthetic corpus of the embedded pair. */

import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { familiesFor } from "../compress/corpus/families.ts";
import { writeCorpus } from "../compress/corpus/corpus_file.ts";
import type { Split } from "../compress/corpus/corpus.ts";
import { numberBetween, wholeNumber } from "./options.ts";
import { plainTable } from "./terminal/memory_table.ts";
import { progressReport } from "./terminal/progress.ts";

interface CorpusFlags {
  readonly out: string;
  readonly samples: number;
  readonly split: Split;
  readonly seed: number;
  readonly dense?: boolean;
  readonly repeat: number;
  readonly times: Readonly<Record<string, number>>;
}

/** `unmask corpus` */
export function corpusCommand(): Command {
  return new Command("corpus")
    .requiredOption("--out <file>", "file to write: .jsonl of messages, or .json for unmask eval")
    .option("--samples <n>", "how many", wholeNumber(1, 2 ** 32 - 1), 10_000)
    .addOption(
      new Option("--split <name>", "prompts to train with, or those kept from it")
        .choices(["train", "heldout"]).default("train"),
    )
    .option("--seed <n>", "same seed, same samples", wholeNumber(0), 1)
    .option("--dense", "more and longer families, to use more of a model")
    .option("--repeat <share>", "share of samples to copy, from 0 to 1", numberBetween(0, 1), 0)
    .option("--times <family=n>", "draw a family n times as often (repeatable)", timesOf, {})
    .addHelpText(
      "after",
      `
Prompts are held out by their hash, whatever the seed. models/CORPUS.md tells
of the families.

Examples:
  unmask corpus --out train.jsonl --samples 120000
  unmask corpus --out heldout.json --split heldout --samples 200
  unmask corpus --out more.jsonl --times math/mul=5 --times math/sub=3`,
    )
    .action(run);
}

function timesOf(text: string, before: CorpusFlags["times"]): CorpusFlags["times"] {
  const [, family, times] = /^(.+)=([\d.]+)$/.exec(text) ?? [];
  if (family === undefined || !Number.isFinite(Number(times))) {
    throw new InvalidArgumentError("expected FAMILY=N, as in math/mul=5");
  }
  return { ...before, [family]: Number(times) };
}

function run({ out, samples, split, seed, dense, repeat, times }: CorpusFlags): void {
  const families = familiesFor({ dense, repeat, times });
  const path = resolve(out);
  const report = progressReport(
    `writing ${out}`,
    (total) => `${total.toLocaleString("en-US")} samples`,
    false,
  );
  const start = performance.now();
  let written;
  try {
    written = writeCorpus(path, { families, seed, split, samples }, report.update);
  } finally {
    report.stop();
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const table = plainTable(["family", "samples", "share"]);
  for (const [family, count] of Object.entries(written.counts)) {
    table.push([family, String(count), `${(100 * count / samples).toFixed(1)} %`]);
  }
  console.log(table.toString());
  console.log(
    `${out}: ${samples} samples, ${(written.byteLength / 1e6).toFixed(1)} MB, in ${seconds} s`,
  );
}
