/** `unmask info`: the adapter, and what a model folder holds and would need. */

import { Command } from "commander";
import { defaultLengths, folderDefaults } from "../engine/generation_plan.ts";
import { modelId } from "../engine/load.ts";
import { type AdapterFound, findAdapters } from "../gpu/adapters.ts";
import {
  acquireGpu,
  type Gpu,
  GpuError,
  OPTIONAL_FEATURES,
  prepareEnvironment,
} from "../gpu/device.ts";
import { openProvider, type Provider } from "../gpu/provider.ts";
import { chosenRowForm } from "../gpu/row_form.ts";
import { type ModelConfig, readConfig } from "../model/loading/config.ts";
import { checkTensors } from "../model/loading/tensors.ts";
import { type Checkpoint, openCheckpoint } from "../weights/checkpoint.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import { schemeText } from "../quant/scheme.ts";
import { UNLIMITED } from "../model/memory/counting_gpu.ts";
import { type AnswerShape, type DryRun, dryRun } from "../model/memory/dry_run.ts";
import { planRequest } from "./plan_request.ts";
import { KnownMemory } from "../model/memory/model_memory.ts";
import { plannedMatrices } from "../model/memory/planned_matrices.ts";
import type { PlanRequest } from "../model/memory/plan_request.ts";
import { tunedEntry, UNTUNED } from "../model/tiles/tuned_tiles.ts";
import {
  choicesTable,
  describeChoices,
  describePlan,
  plainTable,
  planTable,
} from "./terminal/memory_table.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf } from "./device_options.ts";
import { addDraftOptions, addMemoryOptions, type MemoryFlags, modelOption } from "./options.ts";
import { defaultTuningFile, readTuning } from "../engine/tuning_file.ts";

/** Limits that decide how large a tensor and how long a sequence may be. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeWorkgroupStorageSize",
] as const;

interface InfoFlags extends MemoryFlags, DeviceFlags {
  readonly model: string;
  readonly draft?: string | boolean;
  readonly json?: boolean;
}

/** `unmask info` */
export function infoCommand(): Command {
  return addDeviceOptions(addMemoryOptions(addDraftOptions(new Command("info"))))
    .addOption(modelOption())
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Weights are not loaded. Memory is planned as serve plans it, with room for kept keys and values;
generate without a cache takes less. Exit code 1 when there is no adapter.

Examples:
  unmask info
  unmask info --model ~/models/LLaDA-8B-Instruct --gpu-memory 8GiB`,
    )
    .action(run);
}

async function run(flags: InfoFlags): Promise<void> {
  let gpu: Gpu | undefined;
  let provider: Provider | undefined;
  let adapters: AdapterFound[] = [];
  let missing: string | undefined;
  try {
    const choice = deviceOf(flags);
    provider = await openProvider(choice.provider, choice.adapter);
    adapters = await adaptersOf(provider.gpu);
    gpu = await acquireGpu({ ...choice, provider: provider.gpu });
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    missing = error.message;
  }
  using _gpu = gpu;
  const adapter = gpu && provider && describeAdapter(gpu, provider, flags);
  const model = await describeModel(flags.model, gpu);
  using known = new KnownMemory(gpu ?? UNLIMITED);
  const request = planRequest(flags, gpu);
  const plan = await describePlan(gpu, request, known);
  const choices = await describeChoices(gpu, request, plan.context_tokens, known);
  const tuning = gpu ? await describeTuning(gpu, request, known) : null;
  if (flags.json) {
    const all = {
      adapter: adapter ?? null,
      adapters: adapters.map(({ index, name, software }) => ({ index, name, software })),
      ...{ error: missing, model, plan, choices, tuning },
    };
    console.log(JSON.stringify(all, null, 2));
  } else {
    console.log(modelTable(model, gpu));
    console.log(choicesTable(choices, request.gpuMemory ?? request.available));
    console.log(planTable(plan));
    if (plan.line !== undefined) console.log(plan.line);
    if (adapter) console.log(adapterTable(adapter, adapters, tuning));
    else console.error(`unmask: ${missing}`);
  }
  if (missing !== undefined) Deno.exitCode = 1;
}

/** The adapters that `--adapter` chooses from. */
async function adaptersOf(provider: GPU | undefined): Promise<AdapterFound[]> {
  prepareEnvironment();
  return await findAdapters(provider ?? navigator.gpu);
}

function describeAdapter(gpu: Gpu, { name, reason }: Provider, { kernelForm }: InfoFlags) {
  return {
    name: gpu.name,
    provider: name === "native" ? `Deno ${Deno.version.deno}` : "Dawn",
    provider_reason: reason,
    features: Object.fromEntries(
      OPTIONAL_FEATURES.map((name) => [name, gpu.features.includes(name)]),
    ),
    subgroups_used: gpu.subgroups,
    kernel_form: gpu.rowForm,
    kernel_form_reason: chosenRowForm(gpu.software, kernelForm).reason,
    matrix_units: gpu.matrixUnits?.shape ?? null,
    matrix_units_reason: gpu.noMatrixUnits,
    limits: Object.fromEntries(LIMITS.map((name) => [name, gpu.limits[name]])),
  };
}

/** Counts the matrices that take tiles, and those that are tuned; null when no plan fits. */
export async function describeTuning(gpu: Gpu, request: PlanRequest, known: KnownMemory) {
  const file = defaultTuningFile();
  const { tuned, warning } = file === undefined ? { tuned: UNTUNED } : readTuning(file);
  try {
    const matrices = await plannedMatrices(gpu, request, known);
    const found = matrices.filter((matrix) => tunedEntry(tuned, gpu, matrix)).length;
    return { file: file ?? null, matrices: matrices.length, tuned: found, warning };
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return null;
  }
}

/**
 * Describes a model folder for `unmask info`.
 * @param gpu device whose limits decide how tensors are split into buffers; without one, none is
 * split
 */
async function describeModel(dir: string, gpu: Gpu | undefined) {
  const config = readConfig(dir);
  const { maxTokens, blockLength } = defaultLengths(folderDefaults(dir, config), config);
  using checkpoint = openCheckpoint(dir);
  checkTensors(config, checkpoint);
  const planned = await dryRun(config, checkpoint, gpu ?? UNLIMITED);
  const longest = config.maxSequenceLength - maxTokens;
  const usual = {
    promptTokens: Math.max(1, Math.min(maxTokens, longest)),
    maxTokens,
    blockLength,
  };
  const generations = await Array.fromAsync(
    new Set([usual.promptTokens, longest]),
    (promptTokens) => describeGeneration(planned, { ...usual, promptTokens }),
  );
  return {
    id: modelId(dir),
    parameters: parametersOf(checkpoint),
    dtypes: dtypesOf(checkpoint),
    file_bytes: checkpoint.byteLength,
    config: { ...config },
    memory: {
      weight_bytes: planned.weightBytes,
      largest_matrix: planned.largest,
      loading_gpu_bytes: planned.loadingBytes,
      loading_host_bytes: planned.hostBytes,
      generations,
    },
  };
}

/** Bytes a generation needs besides the weights, or the error when the device cannot hold it. */
async function describeGeneration(planned: DryRun, request: AnswerShape) {
  const lengths = { prompt_tokens: request.promptTokens, answer_tokens: request.maxTokens };
  try {
    return { ...lengths, bytes: await planned.activationBytes(request) };
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return { ...lengths, bytes: null, error: error.message };
  }
}

function parametersOf({ tensors }: Checkpoint): number {
  let parameters = 0;
  for (const { shape } of tensors.values()) parameters += shape.reduce((a, b) => a * b, 1);
  return parameters;
}

/** Bytes by dtype, as stored in the files. */
function dtypesOf({ tensors }: Checkpoint): Record<string, number> {
  const bytes: Record<string, number> = {};
  for (const { dtype, byteLength } of tensors.values()) {
    bytes[dtype] = (bytes[dtype] ?? 0) + byteLength;
  }
  return bytes;
}

type ModelDescription = Awaited<ReturnType<typeof describeModel>>;

function modelTable(model: ModelDescription, gpu: Gpu | undefined): string {
  const { config, memory } = model;
  const { largest_matrix: largest } = memory;
  const table = plainTable();
  table.push(
    ["model", `${model.id}, ${millions(model.parameters)} parameters`],
    ["stored as", `${storedAs(model)}, ${binarySize(model.file_bytes)} in files`],
    ["layers", `${config.layers} of hidden size ${config.hiddenSize}, FFN ${config.ffnSize}`],
    ["heads", headsOf(config)],
    ["vocabulary", `${config.vocabSize} of ${config.embeddingSize}, ${headOf(config)}`],
    ["context", `${config.maxSequenceLength} tokens`],
    ["weights on the GPU", binarySize(memory.weight_bytes)],
    [
      "largest matrix",
      `${largest.name}: ${binarySize(largest.bytes)} of ${largest.scheme}, ` +
      (gpu ? `in ${counted(largest.parts, "buffer")}` : "split as the adapter asks for"),
    ],
    ...memory.generations.map(({ prompt_tokens, answer_tokens, bytes, ...generation }) => [
      `prompt ${prompt_tokens}, answer ${answer_tokens}`,
      bytes === null ? `${"error" in generation && generation.error}` : `${binarySize(bytes)} more`,
    ]),
    [
      "while loading",
      `${binarySize(memory.loading_gpu_bytes)} more on the GPU, ` +
      `${binarySize(memory.loading_host_bytes)} on their way to it`,
    ],
  );
  return table.toString();
}

/** Text such as `q4 in groups of 32, head too (BF16, F16, U8)`; only the types for floats. */
function storedAs({ dtypes, config: { quantisation } }: ModelDescription): string {
  const types = Object.keys(dtypes).join(", ");
  if (!quantisation) return types;
  const { scheme, head } = quantisation;
  return `${schemeText(scheme)}, head ${head ? "too" : "as it was"} (${types})`;
}

function headsOf({ heads, kvHeads, headDim }: ModelConfig): string {
  return `${heads} of ${headDim} channels` + (kvHeads === heads ? "" : `, ${kvHeads} for keys`);
}

function headOf({ tiedHead }: ModelConfig): string {
  return tiedHead ? "head tied to the embedding" : "head of its own";
}

function adapterTable(
  adapter: ReturnType<typeof describeAdapter>,
  adapters: readonly AdapterFound[],
  tuning: Awaited<ReturnType<typeof describeTuning>>,
): string {
  const table = plainTable();
  const features = Object.entries(adapter.features)
    .map(([name, granted]) => `${name}: ${granted ? "yes" : "no"}`);
  table.push(
    ["adapter", adapter.name],
    ...adapters.map(({ index, name }) => [`  --adapter ${index}`, name]),
    [
      "provider",
      adapter.provider + (adapter.provider_reason ? `: ${adapter.provider_reason}` : ""),
    ],
    ["features tried", features.join(", ")],
    [
      "kernels",
      `${adapter.subgroups_used ? "with" : "without"} subgroups, rows ${adapter.kernel_form}: ` +
      adapter.kernel_form_reason,
    ],
    [
      "matrix units",
      adapter.matrix_units ??
        "none" + (adapter.matrix_units_reason ? `: ${adapter.matrix_units_reason}` : ""),
    ],
    ...tuning && tuning.matrices > 0 ? [["tile sizes", tilesOf(tuning)]] : [],
    ...Object.entries(adapter.limits).map(([name, value]) => [name, limit(name, value)]),
  );
  return table.toString();
}

function tilesOf(
  { matrices, tuned, warning }: NonNullable<Awaited<ReturnType<typeof describeTuning>>>,
): string {
  if (warning !== undefined) return warning;
  const how = tuned < matrices ? "; the others follow a fixed rule: see unmask tune" : "";
  return `${tuned} of ${counted(matrices, "kind")} of matrices tuned for this adapter${how}`;
}

function limit(name: string, value: number): string {
  return name.endsWith("Size") ? binarySize(value) : String(value);
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

function millions(count: number): string {
  return count >= 1e9
    ? `${(count / 1e9).toFixed(2)} billion`
    : `${(count / 1e6).toFixed(2)} million`;
}
