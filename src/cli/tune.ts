/** `unmask tune`: finds the fastest tile sizes of a model's linear layers on this device. */

import Table from "cli-table3";
import { Command, InvalidArgumentError, Option } from "commander";
import { defaultLengths } from "../engine/generation_plan.ts";
import { draftFolder } from "../engine/load.ts";
import { acquireGpu, type Gpu } from "../gpu/device.ts";
import { openProvider, type ProviderName } from "../gpu/provider.ts";
import type { TilePlan } from "../kernels/weight_matrix.ts";
import { limitContext, readConfig, readGenerationDefaults } from "../model/config.ts";
import { plannedMatrices, syntheticMatrices } from "../model/planned_matrices.ts";
import { SYNTHETIC_SHAPES, type SyntheticShapeName } from "../model/synthetic_shape.ts";
import { matrixName, type TiledMatrix } from "../model/tiled_matrix.ts";
import { tunedEntry, type TunedTiles, withEntry } from "../model/tuned_tiles.ts";
import { isSame, isSlice, TUNED_ROWS, type TunedMatrix, tuneMatrix } from "../model/tuning.ts";
import {
  addDraftOptions,
  addMemoryOptions,
  draftOf,
  gpuOption,
  type MemoryFlags,
  memoryOf,
  modelOption,
  wholeNumber,
} from "./options.ts";
import { progressReport } from "./progress.ts";
import { defaultTuningFile, readTuning, writeTuning } from "./tuning_file.ts";

interface TuneFlags extends MemoryFlags {
  readonly model: string;
  readonly draft?: string | boolean;
  readonly like?: SyntheticShapeName;
  readonly gpu: ProviderName;
  readonly rows?: readonly number[];
  readonly force?: boolean;
  readonly tuning?: string;
  readonly json?: boolean;
}

/** `unmask tune` */
export function tuneCommand(): Command {
  return addMemoryOptions(addDraftOptions(new Command("tune")))
    .description("Finds the fastest tile sizes for a model's linear layers on this device.")
    .addOption(modelOption())
    .addOption(
      new Option("--like <shape>", "a shape instead of a model folder")
        .choices(Object.keys(SYNTHETIC_SHAPES)),
    )
    .addOption(gpuOption())
    .option("--rows <list>", `rows that are timed (default: ${TUNED_ROWS})`, rowCounts)
    .option("--force", "tune again what was tuned, and replace a file that holds something else")
    .option("--tuning <file>", "where to keep it (default: tiles.json in the user's cache folder)")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Every tiling of a layer is timed beside the fixed rule, and takes its place only if it is surely
faster. serve, generate, chat, trace and eval use what was found, unless told --no-tuning. Weights are
not loaded. Tiles that split a sum change its order: an answer can then differ where two tokens are
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
  if (new Set(counts).size < counts.length) throw new InvalidArgumentError("a number stands twice");
  return counts;
}

async function run(flags: TuneFlags): Promise<void> {
  const file = flags.tuning ?? defaultTuningFile();
  if (file === undefined) {
    throw new Error("tune: no variable names a cache folder. Name a file with --tuning FILE.");
  }
  const { tuned: before, warning } = readTuning(file);
  if (warning !== undefined && flags.tuning !== undefined && !flags.force) {
    throw new Error(
      `${warning.replace(/\. .*$/, "")}. Name another file, or replace it by --force.`,
    );
  }
  if (warning !== undefined) console.error(`Warning: ${warning}`);
  using gpu = await acquireGpu({ provider: (await openProvider(flags.gpu)).gpu });
  const matrices = await matricesOf(gpu, flags);
  const missing = matrices.filter((matrix) => flags.force || !tunedEntry(before, gpu, matrix));
  // Before the time is spent: it must be possible to keep the result.
  if (missing.length > 0) writeTuning(file, before);
  const results: TunedMatrix[] = [];
  let tuned = before;
  const label = `tuning for ${gpu.name}`;
  const report = progressReport(
    label,
    (all) => `${all} ${all === 1 ? "matrix" : "matrices"}`,
    true,
  );
  try {
    for (const [i, matrix] of missing.entries()) {
      const result = await tuneMatrix(gpu, matrix, flags.rows, (done, total) => {
        report.update(i + done / total, missing.length);
      });
      results.push(result);
      tuned = withResult(tuned, gpu, result);
      writeTuning(file, tuned);
    }
  } finally {
    report.stop();
  }
  if (flags.json) console.log(JSON.stringify(described(gpu, file, matrices, results), null, 2));
  else print(gpu, file, matrices, results);
}

async function matricesOf(gpu: Gpu, flags: TuneFlags): Promise<TiledMatrix[]> {
  if (flags.like) return await syntheticMatrices(gpu, SYNTHETIC_SHAPES[flags.like], flags);
  const { model: target } = flags;
  const config = readConfig(target);
  const answer = defaultLengths(
    readGenerationDefaults(target, config),
    limitContext(config, flags.context),
  );
  const draft = draftFolder(target, draftOf(flags));
  return await plannedMatrices(gpu, { ...memoryOf(flags), target, draft, answer, cache: true });
}

function withResult(tuned: TunedTiles, gpu: Gpu, result: TunedMatrix): TunedTiles {
  const { matrix, rows, chosen, best, fixedGflopPerSecond, bestGflopPerSecond } = result;
  const gflopPerSecond = isSame(chosen, best) ? bestGflopPerSecond : fixedGflopPerSecond;
  return withEntry(tuned, gpu, matrix, { ...chosen, rows, gflopPerSecond, fixedGflopPerSecond });
}

function described(
  gpu: Gpu,
  file: string,
  matrices: readonly TiledMatrix[],
  results: readonly TunedMatrix[],
) {
  return {
    adapter: gpu.name,
    file,
    tuned_before: matrices.length - results.length,
    tuned: results.map((result) => ({
      matrix: matrixName(result.matrix),
      rows: result.rows,
      outputs_timed: result.outputs,
      tilings: result.tried,
      fixed: { ...result.fixed, gflop_per_second: result.fixedGflopPerSecond },
      best: { ...result.best, gflop_per_second: result.bestGflopPerSecond },
      time_ratio_quartiles: result.timeRatios,
      chosen: result.chosen,
    })),
  };
}

function print(
  gpu: Gpu,
  file: string,
  matrices: readonly TiledMatrix[],
  results: readonly TunedMatrix[],
): void {
  if (matrices.length === 0) {
    console.log(`${gpu.name} multiplies this model on matrix units, whose tiles are not tuned.`);
    return;
  }
  if (results.length < matrices.length) {
    const done = `${matrices.length - results.length} of ${matrices.length}`;
    console.log(`${done} matrices were tuned before: --force tunes them again.`);
  }
  if (results.length === 0) return;
  const rows = results[0].rows.join(" / ");
  const table = new Table({
    head: ["matrix", "fixed rule", "fastest", `GFLOP/s, ${rows} rows`, "time, quartiles", "chosen"],
    style: { head: [], border: [] },
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
  const changed = results.filter(({ fixed, chosen }) => !isSame(fixed, chosen)).length;
  console.log(
    `${changed} of ${results.length} matrices get other tiles than by the fixed rule; kept in ${file}`,
  );
}

const rates = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(" / ");

/** A tile as the table shows it. */
function tilesText({ splits, rowGroups }: TilePlan): string {
  return `${8 * rowGroups} rows` + (splits > 1 ? `, ${splits} splits` : "");
}
