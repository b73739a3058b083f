/** `unmask tune`: finds the fastest tile sizes of a model's linear layers on this device. */

import { Command, InvalidArgumentError, Option } from "commander";
import type { TilePlan } from "../kernels/weight_matrix.ts";
import { SYNTHETIC_SHAPES } from "../model/synthetic/synthetic_shape.ts";
import { matrixName } from "../model/tiles/tiled_matrix.ts";
import { isSame, isSlice, TUNED_ROWS } from "../model/tiles/tuning.ts";
import { addDeviceOptions } from "./device_options.ts";
import { refuseIgnored } from "./ignored_options.ts";
import { addDraftOptions, addMemoryOptions, modelOption, wholeNumber } from "./options.ts";
import { type ModelTuning, tuneModel, type TuneModelFlags, tuningLine } from "./tune_model.ts";
import { FittedTable } from "../bench/fitted_table.ts";

/** Flags that only say how a folder's model is loaded. */
const OF_A_FOLDER = [
  "model",
  "draft",
  "draftWeights",
  "gpuMemory",
  "context",
  "kvCache",
  "group",
  "head",
];

interface TuneFlags extends TuneModelFlags {
  readonly json?: boolean;
}

/** `unmask tune` */
export function tuneCommand(): Command {
  return addDeviceOptions(addMemoryOptions(addDraftOptions(new Command("tune"))))
    .addOption(modelOption())
    .addOption(
      new Option("--like <shape>", "tune this shape instead of a model folder")
        .choices(Object.keys(SYNTHETIC_SHAPES)),
    )
    .option("--rows <list>", `numbers of rows to time (default: ${TUNED_ROWS})`, rowCounts)
    .option("--force", "tune everything again, and replace a file that holds something else")
    .option("--tuning <file>", "where to keep it (default: tiles.json in the user's cache folder)")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Every tiling of a layer is timed beside the fixed rule, and takes its place only if it is surely
faster. serve, generate, chat and eval accuracy use what was found, unless told --no-tuning; with --tune
they begin by tuning what was not. Weights are not loaded. Tiles that split a sum change its order: an answer can then differ where two tokens are
equally likely. With one tuning, the same seed gives the same text.

Examples:
  unmask tune
  unmask tune --model ~/models/LLaDA-8B-Instruct --weights q8
  unmask tune --like llada-8b --weights q4 --arithmetic int8`,
    )
    .action(run);
}

function rowCounts(text: string): number[] {
  const counts = text.split(",").map((count) => wholeNumber(1, 4096)(count));
  if (new Set(counts).size < counts.length) throw new InvalidArgumentError("a number occurs twice");
  return counts;
}

async function run({ json, ...flags }: TuneFlags, command: Command): Promise<void> {
  if (flags.like !== undefined) refuseIgnored(command, OF_A_FOLDER, "with --like");
  const tuning = await tuneModel(flags);
  if (json) console.log(JSON.stringify(described(tuning), null, 2));
  else print(tuning);
}

function described({ adapter, file, matrices, results }: ModelTuning) {
  return {
    adapter,
    file,
    tuned_before: matrices.length - results.length,
    tuned: results.map((result) => ({
      matrix: matrixName(result.matrix),
      rows: result.rows,
      outputs_timed: result.outputs,
      tilings: result.tried,
      wrong_tilings: result.wrong,
      fixed: { ...result.fixed, gflop_per_second: result.fixedGflopPerSecond },
      best: { ...result.best, gflop_per_second: result.bestGflopPerSecond },
      time_ratio_quartiles: result.timeRatios,
      chosen: result.chosen,
    })),
  };
}

function print(tuning: ModelTuning): void {
  const { adapter, matrices, results } = tuning;
  if (matrices.length === 0) {
    console.log(`${adapter} multiplies this model on matrix units, whose tiles are not tuned.`);
    return;
  }
  if (results.length < matrices.length) {
    const done = `${matrices.length - results.length} of ${matrices.length}`;
    console.log(`${done} matrices were tuned before: --force tunes them again.`);
  }
  if (results.length === 0) return;
  const rows = results[0].rows.join(" / ");
  const table = new FittedTable({
    head: ["matrix", "fixed rule", "fastest", `GFLOP/s, ${rows} rows`, "time, quartiles", "chosen"],
  });
  for (const result of results) {
    const { matrix, fixed, best, chosen, fixedGflopPerSecond, bestGflopPerSecond } = result;
    const same = isSame(fixed, best);
    const slice = isSlice(result) ? `\n${result.outputs} outputs timed` : "";
    table.push([
      matrixName(matrix).replace(/^([^,]*, [^,]*), /, "$1\n") + slice,
      tilesText(fixed),
      same ? "the same" : tilesText(best),
      rates(fixedGflopPerSecond) + (same ? "" : `\n${rates(bestGflopPerSecond)}`),
      same ? "" : result.timeRatios.map((ratio) => `${(100 * ratio).toFixed(0)}%`).join(" "),
      isSame(chosen, fixed) ? "fixed rule" : tilesText(chosen),
    ]);
  }
  console.log(`${table}`);
  const wrong = results.reduce((sum, result) => sum + result.wrong, 0);
  if (wrong > 0) {
    console.log(
      `${wrong} tilings compute something else than the fixed rule on this device and are left out. ` +
        "That is a fault of the driver or of unmask: please report it.",
    );
  }
  console.log(tuningLine(tuning));
}

const rates = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(" / ");

/** A tile as the table shows it. */
function tilesText({ splits, rowGroups }: TilePlan): string {
  return `${8 * rowGroups} rows` + (splits > 1 ? `, ${splits} splits` : "");
}
