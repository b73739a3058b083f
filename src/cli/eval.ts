/** `unmask eval accuracy`: counts exact answers and recorded ids over a file of prompts. */

import { Command, Option } from "commander";
import { PLAIN } from "../denoise/strategy.ts";
import { loadEngine } from "../engine/load.ts";
import {
  CANVAS_LENGTHS,
  type CanvasLength,
  STRATEGY_NAMES,
  type StrategyName,
} from "../engine/request.ts";
import { type AccuracyResult, evaluateAccuracy, parseAccuracyFile } from "../evaluate/accuracy.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf, tellProvider } from "./device_options.ts";
import {
  addDraftOptions,
  addMemoryOptions,
  addTuningOptions,
  draftOf,
  type MemoryFlags,
  memoryOf,
  modelOption,
  type TuningFlags,
  tuningOf,
  wholeNumber,
} from "./options.ts";
import { agreementCommand } from "./eval_agreement.ts";
import { likelihoodCommand } from "./eval_likelihood.ts";

interface AccuracyFlags extends MemoryFlags, TuningFlags, DeviceFlags {
  readonly data: string;
  readonly model: string;
  readonly draft?: string | boolean;
  readonly steps?: number;
  readonly strategy: StrategyName;
  readonly length: CanvasLength;
  readonly limit?: number;
  readonly json?: boolean;
}

/** `unmask eval` */
export function evalCommand(): Command {
  const accuracy = new Command("accuracy")
    .description(
      "Answers every prompt of a file greedily, counts exact answers, and compares recorded ids.",
    )
    .requiredOption("--data <file>", "JSON file laid out like models/eval-public.json")
    .addOption(modelOption());
  addDraftOptions(accuracy)
    .option("--steps <n>", "denoising steps per answer (default: one per token)", wholeNumber(1))
    .addOption(
      new Option("--strategy <name>", "denoising strategy").choices(STRATEGY_NAMES).default(
        PLAIN,
      ),
    )
    .addOption(
      new Option("--length <who>", "auto: the model decides how long the scored answers are")
        .choices(CANVAS_LENGTHS).default("fixed"),
    )
    .option("--limit <n>", "only the first n prompts", wholeNumber(1))
    .option("--json", "print one JSON object instead of lines")
    .addHelpText(
      "after",
      "\nExit code 1 when an id differs from its record.\n\nExample:\n" +
        "  unmask eval accuracy --data models/eval-public.json --limit 10",
    )
    .action(runAccuracy);
  addDeviceOptions(addTuningOptions(addMemoryOptions(accuracy)));
  return new Command("eval")
    .addCommand(accuracy.exitOverride())
    .addCommand(agreementCommand().exitOverride())
    .addCommand(likelihoodCommand().exitOverride());
}

async function runAccuracy(flags: AccuracyFlags): Promise<void> {
  const items = parseAccuracyFile(await Deno.readTextFile(flags.data), flags.data)
    .slice(0, flags.limit);
  using engine = await loadEngine(flags.model, {
    ...memoryOf(flags),
    tuning: tuningOf(flags),
    draft: draftOf(flags),
    ...deviceOf(flags),
    onProvider: tellProvider,
    cache: false,
  });
  const results: AccuracyResult[] = [];
  for await (
    const result of evaluateAccuracy(engine, items, {
      steps: flags.steps,
      strategy: flags.strategy,
      length: flags.length,
    })
  ) {
    results.push(result);
    if (!flags.json) console.log(line(result));
  }
  const total = {
    model: engine.summary.id,
    strategy: flags.strategy,
    length: flags.length,
    steps: flags.steps ?? engine.summary.defaultMaxTokens,
    prompts: results.length,
    correct: results.filter((result) => result.correct).length,
    references: results.reduce((sum, result) => sum + result.references, 0),
    differences: results.reduce((sum, result) => sum + result.differences.length, 0),
    forwards: results.reduce((sum, result) => sum + result.forwards, 0),
    seconds: results.reduce((sum, result) => sum + result.seconds, 0),
  };
  if (flags.json) {
    const listed = results.map(({ id, ids, text, expected, correct, differences }) => ({
      id,
      ids,
      text,
      expected,
      correct,
      ...differences.length > 0 ? { differences } : {},
    }));
    console.log(JSON.stringify({ ...total, results: listed }));
  } else {
    console.log(
      `${total.correct} of ${total.prompts} answers exact; ` +
        `${total.references} recorded answers compared, ${total.differences} differ; ` +
        `${total.forwards} forwards in ${total.seconds.toFixed(1)} s`,
    );
  }
  if (total.differences > 0) Deno.exitCode = 1;
}

function line({ id, correct, text, expected, differences }: AccuracyResult): string {
  const verdict = correct ? "right" : "wrong";
  const detail = correct
    ? ""
    : ` found ${JSON.stringify(text)}, expected ${JSON.stringify(expected)}`;
  return [`${verdict} ${id}${detail}`, ...differences.map((d) => `DIFFERS ${id} ${d}`)].join("\n");
}
