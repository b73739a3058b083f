/** `unmask prune analyse`: what a model's layers, neurons and heads are worth. */

import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { FittedTable } from "../bench/fitted_table.ts";
import { ablate, type Ablation, contiguousBlocks } from "../compress/prune/ablation.ts";
import {
  ablationHead,
  ablationRows,
  type Analysis,
  analysisMarkdown,
  layerWidths,
  skippedName,
  WIDTH_HEAD,
  widthRows,
} from "../compress/prune/analysis.ts";
import { AnalysisRecord } from "../compress/prune/analysis_record.ts";
import {
  measureImportance,
  readImportance,
  writeImportance,
} from "../compress/prune/width_importance.ts";
import { agreementStates } from "../evaluate/agreement_states.ts";
import { isThere } from "../weights/json_file.ts";
import { partOf } from "../weights/safetensors_writer.ts";
import { drawAnalysis } from "./analysis_picture.ts";
import { deviceOf, openDevice } from "./device_options.ts";
import { toldModel } from "./eval_data.ts";
import { modelOption } from "./options.ts";
import {
  addMeasuringOptions,
  examplesOf,
  loadToMeasure,
  type MeasuringFlags,
  openOriginal,
  weightsText,
} from "./prune_model.ts";
import { progressReport } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Files of an analysis. */
export const ANALYSIS = "analysis.json";
export const IMPORTANCE = "importance.safetensors";

interface AnalyseFlags extends MeasuringFlags {
  readonly model: string;
  readonly block: readonly number[];
  readonly out: string;
  readonly json?: boolean;
}

/** `unmask prune analyse` */
export function analyseCommand(): Command {
  const command = new Command("analyse")
    .description("Tells which layers, neurons and heads a model needs least.")
    .addOption(modelOption())
    .requiredOption(
      "--out <dir>",
      "folder to write; an interrupted run goes on when it is repeated",
    )
    .option("--block <n,n>", "lengths of contiguous blocks of layers, too", lengths, [2]);
  return addMeasuringOptions(command)
    .option("--json", "print the report instead of tables")
    .addHelpText(
      "after",
      `
Layers are skipped while the model runs: no weights are copied. DIR gets analysis.json, analysis.md,
analysis.png and importance.safetensors, which prune apply reads.

Examples:
  unmask prune analyse --out analysis
  unmask prune analyse --model GSAI-ML/LLaDA-8B-Instruct --block 8 --out 8b`,
    )
    .action(run);
}

function lengths(text: string): number[] {
  const found = text.split(",").map(Number);
  if (found.every((length) => Number.isInteger(length) && length >= 1)) return found;
  throw new InvalidArgumentError("expected whole numbers such as 2,8");
}

async function run(flags: AnalyseFlags): Promise<void> {
  using original = openOriginal(flags.model);
  const { config, name } = original;
  const { examples, told, files, masking } = examplesOf(original, flags);
  using gpu = await openDevice(deviceOf(flags));
  const inOut = (file: string) => join(flags.out, file);
  Deno.mkdirSync(flags.out, { recursive: true });
  const record = new AnalysisRecord(inOut("analysis.jsonl"), {
    made_by: "unmask prune analyse",
    model: toldModel(flags.model),
    data: told,
    seed: flags.seed,
    weights: weightsText(flags),
    device: gpu.name,
  });
  using model = await loadToMeasure(gpu, original, flags);
  const blocks = contiguousBlocks(config.layers, flags.block);
  const passes = blocks.length + 2;
  const report = progressReport(`analysing ${name}`, () => `${passes} measurements`, true);
  using _ = onStop((exitCode) => {
    report.stop();
    console.error(`Interrupted. The same command goes on from here.`);
    Deno.exit(exitCode);
  });
  let before = 0;
  let total = 1;
  const progress = (done: number) => report.update(before + done, total);
  const ablations: Ablation[] = [];
  let importance;
  try {
    total = passes * examples.length * 3;
    const options = { ...masking, seed: flags.seed };
    const states = await agreementStates(model, examples, options, progress);
    const next = () => {
      before += states.count;
      progress(0);
    };
    next();
    await record.get("importance", async () => {
      const sequences = states.byRatio.flatMap((one) => one.states.map(({ ids }) => ids));
      const found = await measureImportance(model, original.checkpoint, sequences, { progress });
      await writeImportance(inOut(IMPORTANCE), found);
      return { positions: found.positions };
    }, isThere(inOut(IMPORTANCE)));
    importance = readImportance(inOut(IMPORTANCE), config);
    next();
    for (const skipped of blocks) {
      ablations.push(
        await record.get(
          `without ${skippedName(skipped)}`,
          () => ablate(model, states, skipped, progress),
        ),
      );
      next();
    }
  } finally {
    report.stop();
  }
  const analysis: Analysis = {
    model: name,
    layers: config.layers,
    ffn_size: config.ffnSize,
    examples: examples.length,
    data: files,
    seed: flags.seed,
    device: gpu.name,
    weights: weightsText(flags),
    ablations,
    positions: importance.positions,
    widths: layerWidths(importance, config),
    importance_file: IMPORTANCE,
  };
  writeText(inOut("analysis.md"), analysisMarkdown(analysis));
  Deno.writeFileSync(inOut("analysis.png"), pngOf(await drawAnalysis(gpu, analysis)));
  const json = JSON.stringify(analysis, null, 2);
  writeText(inOut(ANALYSIS), json + "\n");
  console.log(flags.json ? JSON.stringify(analysis) : tables(analysis));
}

/** Writes a file that is whole or not there. */
function writeText(file: string, text: string): void {
  Deno.writeTextFileSync(partOf(file), text);
  Deno.renameSync(partOf(file), file);
}

function tables({ ablations, widths }: Analysis): string {
  const layers = new FittedTable({ head: ablationHead(ablations), rules: "head" });
  layers.push(...ablationRows(ablations));
  const neurons = new FittedTable({ head: WIDTH_HEAD, rules: "head" });
  neurons.push(...widthRows(widths));
  return `${layers}\n${neurons}`;
}
