/** `unmask prune apply`: a model folder without some layers and neurons of another. */

import { basename, dirname, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { ablate } from "../compress/prune/ablation.ts";
import type { Analysis } from "../compress/prune/analysis.ts";
import {
  type AutoChoice,
  type AutoMeasures,
  chooseWithin,
} from "../compress/prune/auto_pruning.ts";
import { prunedCard } from "../compress/prune/pruned_card.ts";
import { prunedCheckpoint } from "../compress/prune/pruned_checkpoint.ts";
import { asRanges, fromRanges, prunedFolder } from "../compress/prune/pruned_folder.ts";
import {
  choosePruning,
  type Importance,
  prunedConfig,
  type Pruning,
} from "../compress/prune/pruning.ts";
import { measureImportance, readNeuronImportance } from "../compress/prune/width_importance.ts";
import type { DraftFigures } from "../evaluate/draft_agreement.ts";
import {
  agreementOn,
  type AgreementStates,
  agreementStates,
} from "../evaluate/agreement_states.ts";
import type { Gpu } from "../gpu/device.ts";
import type { ModelConfig } from "../model/model_config.ts";
import { passShare } from "../model/pass_cost.ts";
import { checkFree } from "../weights/folder_writer.ts";
import { isThere } from "../weights/json_file.ts";
import type { Checkpoint } from "../weights/checkpoint.ts";
import { FittedTable } from "../bench/fitted_table.ts";
import { DEVICE_FLAGS, refuseIgnored } from "./ignored_options.ts";
import { deviceOf, openDevice } from "./device_options.ts";
import { addShardOption, modelOption, numberBetween } from "./options.ts";
import { ANALYSIS } from "./prune_analyse.ts";
import {
  addMeasuringOptions,
  examplesOf,
  loadToMeasure,
  type MeasuringFlags,
  openOriginal,
  type OriginalFolder,
} from "./prune_model.ts";
import { progressReport } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { writeWholeWithReport } from "./write_folder.ts";

interface ApplyFlags extends MeasuringFlags {
  readonly model: string;
  readonly out: string;
  readonly dropLayers?: readonly number[];
  readonly ffnKeep?: number;
  readonly importance?: string;
  readonly auto?: boolean;
  readonly cost?: number;
  readonly shardSize: number;
  /** Whether the examples were named, so that what they tell is wanted. */
  readonly asked: boolean;
}

/** `unmask prune apply` */
export function applyCommand(): Command {
  const command = new Command("apply")
    .description("Writes a model folder without some layers and neurons of another.")
    .addOption(modelOption())
    .requiredOption("--out <dir>", "folder to write; it appears when it is complete")
    .option("--drop-layers <list>", "layers to leave out, such as 12-19 or 3,5-7", layerList)
    .option("--ffn-keep <share>", "share of each layer's neurons to keep", numberBetween(0, 1))
    .option("--importance <file>", "importance.safetensors that prune analyse wrote")
    .addOption(
      new Option("--auto", "choose layers and width by measuring, for --cost")
        .conflicts(["dropLayers", "ffnKeep"]),
    )
    .option("--cost <share>", "most of the original's pass, head included", numberBetween(0, 1));
  return addShardOption(addMeasuringOptions(command))
    .addHelpText(
      "after",
      `
Neurons of least importance go, other ones in each layer. Without --importance it is measured on the
examples, and so is how the result agrees before any training. Kept weights are copied unchanged, and
config.json tells which they are. Heads stay: LLaDA's config.json cannot say that a layer has fewer.

Examples:
  unmask prune apply --drop-layers 3-4 --ffn-keep 0.75 --out draft
  unmask prune apply --auto --cost 0.25 --data text.jsonl --out draft
  unmask prune apply --ffn-keep 0.5 --importance FILE --out b`,
    )
    .action(run);
}

function layerList(text: string): number[] {
  try {
    return fromRanges(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** What was decided, and what is known of it. */
interface Decision {
  readonly pruning: Pruning;
  readonly figures?: DraftFigures;
  readonly auto?: AutoChoice;
  /** What the importances are means over; undefined where no neuron goes. */
  readonly importance?: string;
}

async function run(given: Omit<ApplyFlags, "asked">, command: Command): Promise<void> {
  const flags: ApplyFlags = { ...given, asked: command.getOptionValueSource("data") === "cli" };
  checkFlags(flags, command);
  checkFree(flags.out);
  using original = openOriginal(flags.model);
  const { name, config, checkpoint, dir } = original;
  const decision = await decide(original, flags);
  const { pruning } = decision;
  using pruned = prunedCheckpoint(checkpoint, config, pruning);
  const card = prunedCard({
    original: name,
    name: basename(resolve(flags.out)),
    config,
    parameters: [parametersOf(checkpoint), parametersOf(pruned)],
    command: commandOf(flags, name),
    analysis: flags.importance === undefined ? undefined : analysisBeside(flags.importance, name),
    ...decision,
  });
  const { shardSize: shardBytes } = flags;
  await writeWholeWithReport(
    flags.out,
    prunedFolder(dir, config, checkpoint, { pruning, shardBytes, card }),
  );
  const after = prunedConfig(config, pruning);
  console.log(
    `${after.layers} of ${config.layers} layers, ${after.ffnSize} of ${config.ffnSize} neurons in ` +
      `each: ${(100 * passShare(after, config)).toFixed(1)} % of a pass` +
      (decision.figures
        ? `; agreement ${decision.figures.agreement.toFixed(4)} before training`
        : ""),
  );
}

/** @throws {Error} naming an option that is missing, or would not be used */
function checkFlags(flags: ApplyFlags, command: Command): void {
  if (flags.auto) {
    if (flags.cost === undefined) throw new Error("--auto: expected --cost, such as --cost 0.25");
    return;
  }
  refuseIgnored(command, ["cost"], "without --auto, which chooses for it");
  if (flags.dropLayers === undefined && flags.ffnKeep === undefined) {
    throw new Error("prune apply: expected --drop-layers, --ffn-keep or --auto");
  }
  if (flags.ffnKeep === 0) throw new Error("--ffn-keep 0: a layer needs a neuron. Keep more.");
  if (measures(flags)) return;
  const unused = ["limit", "seed", "weights", "group", "head", ...DEVICE_FLAGS];
  refuseIgnored(command, unused, "without --data, as nothing is measured");
}

/** Whether anything is asked of the model. */
function measures({ auto, asked, ffnKeep = 1, importance }: ApplyFlags): boolean {
  return auto === true || asked || (ffnKeep < 1 && importance === undefined);
}

async function decide(original: OriginalFolder, flags: ApplyFlags): Promise<Decision> {
  const { config } = original;
  const { dropLayers = [], ffnKeep = 1, importance: file } = flags;
  const read = file === undefined ? undefined : readNeuronImportance(file, config);
  const given = file === undefined ? undefined : `in ${basename(file)}`;
  if (!measures(flags)) {
    const pruning = choosePruning(config, { dropLayers, ffnKeep, importance: read });
    return { pruning, importance: ffnKeep < 1 ? given : undefined };
  }
  // What is asked for is checked before the model is loaded.
  if (!flags.auto) choosePruning(config, { dropLayers, ffnKeep: 1 });
  const { examples, files, masking } = examplesOf(original, flags);
  using gpu = await openDevice(deviceOf(flags));
  using _ = onStop((exitCode) => {
    console.error(`Interrupted: ${flags.out} was not written.`);
    Deno.exit(exitCode);
  });
  using model = new DisposableStack();
  const whole = model.use(await loadToMeasure(gpu, original, flags));
  const states = await told(
    "asking the model",
    3 * examples.length,
    (progress) => agreementStates(whole, examples, { ...masking, seed: flags.seed }, progress),
  );
  const sequences = states.byRatio.flatMap((one) => one.states.map(({ ids }) => ids));
  const needed = flags.auto || ffnKeep < 1;
  let importance: Importance | undefined = read;
  let source = needed ? given : undefined;
  if (needed && !read) {
    const measured = await told(
      "importance of neurons",
      sequences.length,
      (progress) => measureImportance(whole, original.checkpoint, sequences, { progress }),
    );
    importance = measured.neurons;
    source = `over ${measured.positions} positions of ${files.join(", ")}`;
  }
  if (!flags.auto) {
    model.dispose();
    const pruning = choosePruning(config, { dropLayers, ffnKeep, importance });
    const figures = await measurePruned(gpu, original, pruning, states, flags);
    return { pruning, figures, importance: source };
  }
  const auto = await chooseShown(config, importance!, flags.cost!, {
    ablate: (skipped) => ablate(whole, states, skipped),
    measure(pruning) {
      model.dispose();
      return measurePruned(gpu, original, pruning, states, flags, false);
    },
  });
  console.log(candidateTable(auto));
  return { ...auto.chosen, auto, importance: source };
}

/** Chooses with a progress bar. */
async function chooseShown(
  config: ModelConfig,
  importance: Importance,
  cost: number,
  measures: AutoMeasures,
): Promise<AutoChoice> {
  let [done, total] = [0, 1];
  const report = progressReport("choosing", () => `${total} measurements`, true);
  const counted = async <T>(measuring: Promise<T>): Promise<T> => {
    const found = await measuring;
    report.update(++done, total);
    return found;
  };
  try {
    return await chooseWithin(config, importance, cost, {
      planned: (measurements) => total = measurements,
      ablate: (skipped) => counted(measures.ablate(skipped)),
      measure: (pruning) => counted(measures.measure(pruning)),
    });
  } finally {
    report.stop();
  }
}

/** How a pruned model agrees: it is loaded as the folder would be. */
async function measurePruned(
  gpu: Gpu,
  { checkpoint, config, name }: OriginalFolder,
  pruning: Pruning,
  states: AgreementStates,
  flags: ApplyFlags,
  isShown = true,
): Promise<DraftFigures> {
  using pruned = prunedCheckpoint(checkpoint, config, pruning);
  const after = prunedConfig(config, pruning);
  const label = `${name}, ${after.layers} layers of ${after.ffnSize} neurons`;
  const weights = { name: label, config: after, checkpoint: pruned };
  using model = await loadToMeasure(gpu, weights, flags, isShown);
  if (!isShown) return await agreementOn(states, model);
  return await told(label, states.count, (progress) => agreementOn(states, model, progress));
}

/** Runs a task with a progress bar. */
async function told<T>(
  label: string,
  total: number,
  task: (progress: (done: number) => void) => Promise<T>,
): Promise<T> {
  const report = progressReport(label, (count) => `${count} states`, false);
  try {
    return await task((done) => report.update(done, total));
  } finally {
    report.stop();
  }
}

function candidateTable({ candidates, chosen }: AutoChoice): string {
  const table = new FittedTable({
    head: ["layers kept", "neurons", "cost", "agreement", ""],
    rules: "head",
  });
  for (const candidate of candidates) {
    const { pruning, cost, figures } = candidate;
    table.push([
      pruning.layers.join(","),
      pruning.neurons[0].length,
      cost.toFixed(4),
      figures.agreement.toFixed(4),
      candidate === chosen ? "chosen" : "",
    ]);
  }
  return `${table}`;
}

function parametersOf(checkpoint: Checkpoint): number {
  let parameters = 0;
  for (const { shape } of checkpoint.tensors.values()) {
    parameters += shape.reduce((product, size) => product * size, 1);
  }
  return parameters;
}

/** The report of an analysis that lies beside its importances, if it is of this model. */
function analysisBeside(importance: string, model: string): Analysis | undefined {
  const file = join(dirname(importance), ANALYSIS);
  if (!isThere(file)) return undefined;
  const analysis: Analysis = JSON.parse(Deno.readTextFileSync(file));
  return analysis.model === model ? analysis : undefined;
}

/** The command as the card tells it, with names in place of paths. */
function commandOf(flags: ApplyFlags, model: string): string {
  const { dropLayers, ffnKeep, importance, auto, cost, data, asked, out } = flags;
  const parts = ["unmask prune apply --model", model];
  if (dropLayers) parts.push("--drop-layers", asRanges(dropLayers));
  if (ffnKeep !== undefined) parts.push("--ffn-keep", `${ffnKeep}`);
  if (auto) parts.push("--auto --cost", `${cost}`);
  if (importance !== undefined) parts.push("--importance", basename(importance));
  if (asked) parts.push("--data", ...data.map((file) => basename(file)));
  if (measures(flags)) parts.push("--limit", `${flags.limit}`, "--seed", `${flags.seed}`);
  return [...parts, "--out", basename(resolve(out))].join(" ");
}
