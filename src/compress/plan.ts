/**
 * What a run takes of the GPU's memory, before anything is loaded: how many rows go through the model
 * together, whether a layer's products are kept for the backward pass or made again, and what to give
 * up where nothing fits.
 */

import type { Gpu } from "../gpu/device.ts";
import { GpuError } from "../gpu/device.ts";
import { texelBytes } from "../gpu/texels.ts";
import { paddedInner } from "../quant/scheme.ts";
import { headShape } from "../model/forward_pass.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import type { ModelConfig } from "../model/model_config.ts";
import { activationWidths } from "./pass/layer_forward.ts";
import { paddedElements, type ParameterLayout, parameterLayouts } from "./pass/parameter_layout.ts";
import { DEFAULT_LOGITS_BYTES } from "./pass/training_pass.ts";

/** What a run trains and how. */
export interface PlanRequest {
  readonly student: ModelConfig;
  /** The teacher, and the bytes of its weights as they are loaded; absent: there is none. */
  readonly teacher?: { readonly config: ModelConfig; readonly weightBytes: number };
  /** Bytes of the student's weights as they would be loaded to answer (default: of two bytes each). */
  readonly loadedBytes?: number;
  /** Adapters alone are trained, beside weights as they are loaded; absent: all weights are. */
  readonly lora?: { readonly rank: number; readonly modules: readonly string[] };
  /** Kinds of tensors that the optimiser remembers for a parameter, averages among them. */
  readonly remembered: (name: string) => readonly string[];
  /** Most tokens of a sequence: no micro-batch has fewer rows. */
  readonly sequence: number;
  /** Rows of a step; a micro-batch with more has no use. */
  readonly stepRows: number;
  /** Rows of a micro-batch, where they are given. */
  readonly rows?: number;
  /** Whether products are kept, where that is given. */
  readonly keepActivations?: boolean;
  /** Whether products read copies of their factors, as those of a software adapter do. */
  readonly texels?: boolean;
}

/** One line of a plan. */
export interface PlanPart {
  readonly name: string;
  readonly bytes: number;
}

/** What a run will take. */
export interface TrainingPlan {
  readonly rows: number;
  readonly keepActivations: boolean;
  readonly parts: readonly PlanPart[];
  /** Sum of the parts. */
  readonly bytes: number;
  /** Bytes that may be used; Infinity if not known. */
  readonly limit: number;
}

/** Rows beyond which a micro-batch is no faster: products fill any device by then. */
const MOST_ROWS = 4096;
/** Parameters of dispatches, readback, rotation, ids: about the same for every model. */
const SMALL = 3 * 2 ** 19;
/** Of a frozen matrix at most so much is in f32 at a time. */
const PIECE_BYTES = 2 ** 26;
/** Words of a row's best tokens by the teacher, at most. */
const TEACHER_WORDS = 128;
/** Where memory is not known, a plan stays below this unless even the least takes more. */
const UNKNOWN_LIMIT = 8 * 2 ** 30;

/**
 * Picks the most rows that fit, and keeps products where these fit too: making them again costs a third
 * of a step.
 * @param limit bytes that may be used; undefined if not known
 * @throws {GpuError} when nothing fits, saying what would
 */
export function planTraining(request: PlanRequest, limit: number | undefined): TrainingPlan {
  const most = limit ?? UNKNOWN_LIMIT;
  const choices = rowChoices(request).flatMap((rows) =>
    (request.keepActivations === undefined ? [true, false] : [request.keepActivations])
      .map((keepActivations) => planned(request, { rows, keepActivations }, limit ?? Infinity))
  );
  const fits = choices.find(({ bytes }) => bytes <= most);
  if (fits) return fits;
  const least = choices.at(-1)!;
  if (limit === undefined) return least;
  throw new GpuError(
    `this run takes ${binarySize(least.bytes)} of GPU memory with ${least.rows} rows in a ` +
      `micro-batch, ${binarySize(least.bytes - limit)} more than the ${
        binarySize(limit)
      } that may ` +
      `be used. ${remedy(request, limit)}`,
  );
}

/** Rows of a micro-batch, the most first. */
function rowChoices({ sequence, stepRows, rows }: PlanRequest): number[] {
  if (rows !== undefined) return [rows];
  const most = Math.max(sequence, Math.min(MOST_ROWS, stepRows));
  const choices: number[] = [];
  for (let count = most; count > sequence; count = Math.floor(count / 2)) choices.push(count);
  return [...choices, sequence];
}

/** What would make it fit, tried one after the other. */
function remedy(request: PlanRequest, limit: number): string {
  const options: string[] = [];
  const fits = (changed: PlanRequest) => {
    const rows = changed.rows ?? changed.sequence;
    return planned(changed, { rows, keepActivations: false }, limit).bytes <= limit;
  };
  const { lora, sequence, rows } = request;
  const shorter = [256, 128, 64].find((length) =>
    length < sequence && fits({ ...request, sequence: length, rows: undefined })
  );
  if (shorter) options.push(`--sequence ${shorter}`);
  if (rows !== undefined && fits({ ...request, rows: undefined })) options.push("no --rows");
  const rank = [64, 16, 4].find((rank) =>
    !lora && fits({ ...request, lora: { rank, modules: ALL_MODULES }, rows: undefined })
  );
  if (rank) options.push(`--lora ${rank}, which trains adapters alone`);
  return options.length > 0
    ? `What would fit: ${options.join("; ")}.`
    : "Nothing smaller would fit: train a smaller model, or have a smaller teacher.";
}

const ALL_MODULES = ["q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "ff_out"];

/** Bytes of everything, for given rows. */
function planned(
  request: PlanRequest,
  { rows, keepActivations }: Pick<TrainingPlan, "rows" | "keepActivations">,
  limit: number,
): TrainingPlan {
  const { student, teacher, remembered } = request;
  const layouts = parameterLayouts(student);
  const trained = trainedOf(request, layouts);
  const sum = (list: readonly ParameterLayout[], of = (_: string) => 1) =>
    4 * list.reduce((all, layout) => all + of(layout.name) * paddedElements(layout), 0);
  const largest = Math.max(...layouts.map((layout) => 4 * paddedElements(layout)));
  const weights = request.lora
    ? [
      { name: "weights, frozen", bytes: request.loadedBytes ?? sum(layouts) / 2 },
      { name: "their pieces in f32", bytes: Math.min(largest, PIECE_BYTES) },
      { name: "adapters", bytes: sum(trained) },
    ]
    : [{ name: "weights, f32", bytes: sum(layouts) }];
  const all: PlanPart[] = [
    ...weights,
    { name: "gradients", bytes: sum(trained) },
    { name: "optimiser", bytes: sum(trained, (name) => remembered(name).length) },
    { name: "optimiser's products", bytes: workingBytes(trained, remembered) },
    ...activationParts(student, rows, { keepActivations, texels: request.texels ?? false }),
    ...teacher ? teacherParts(teacher, rows) : [],
    { name: "batches and small buffers", bytes: SMALL + (teacher ? 4 * rows * TEACHER_WORDS : 0) },
  ];
  const parts = all.filter(({ bytes }) => bytes > 0);
  const bytes = parts.reduce((total, part) => total + part.bytes, 0);
  return { rows, keepActivations, parts, bytes, limit };
}

function trainedOf(
  { lora }: PlanRequest,
  layouts: readonly ParameterLayout[],
): readonly ParameterLayout[] {
  if (!lora) return layouts;
  const side = paddedInner(lora.rank);
  return layouts
    .filter(({ name }) =>
      name.includes(".blocks.") && lora.modules.some((one) => name.endsWith(`.${one}.weight`))
    )
    .flatMap((layout) => [
      { ...layout, name: layout.name.replace(/weight$/, "lora_A.weight"), rows: side },
      { ...layout, name: layout.name.replace(/weight$/, "lora_B.weight"), columns: side },
    ]);
}

/** Of one tensor at a time: Muon's products, and what changes places with its average. */
function workingBytes(
  trained: readonly ParameterLayout[],
  remembered: PlanRequest["remembered"],
): number {
  const most = (kind: string, words: (layout: ParameterLayout) => number) =>
    trained.filter(({ name }) => remembered(name).includes(kind))
      .reduce((most, layout) => Math.max(most, 4 * words(layout)), 0);
  return most(
    "momentum",
    (layout) => 2 * paddedElements(layout) + 2 * Math.min(layout.rows, layout.columns) ** 2,
  ) +
    most("average", paddedElements);
}

function activationParts(
  config: ModelConfig,
  rows: number,
  { keepActivations: keeps, texels }: {
    readonly keepActivations: boolean;
    readonly texels: boolean;
  },
): PlanPart[] {
  const { kept, shared } = activationWidths(config, headShape(config));
  const width = paddedInner(config.hiddenSize);
  const ffn = paddedInner(config.ffnSize);
  const total = (widths: Readonly<Record<string, number>>) =>
    Object.values(widths).reduce((sum, one) => sum + one, 0);
  const layers = keeps ? config.layers : 1;
  const inputs = 4 * rows * width * (config.layers + 1);
  // A GPU's backward pass of attention has two copies of queries or keys, turned for its lanes.
  const turned = 2 * kept.q + 2 * config.heads;
  const gradients = 4 * rows * (3 * width + kept.q + kept.k + kept.v + 3 * ffn + turned);
  const stride = paddedInner(config.embeddingSize);
  const logits = 4 * stride * Math.min(rows, logitRows(stride));
  const matrix = 4 * width * Math.max(stride, ffn, kept.q);
  const activation = 4 * rows * Math.max(width, ffn, kept.q);
  const copies = texelBytes(Math.max(activation, logits)) +
    texelBytes(Math.max(activation, matrix));
  return [
    { name: "inputs of layers", bytes: inputs },
    {
      name: keeps ? "kept products" : "products, made again",
      bytes: 4 * rows * (layers * total(kept) + total(shared)),
    },
    { name: "gradients of activations", bytes: gradients },
    { name: "logits of a chunk", bytes: logits + 2 * logits * width / stride },
    texels
      ? { name: "factors as texels", bytes: copies }
      : { name: "transposed matrices", bytes: matrix },
  ];
}

const logitRows = (stride: number) => Math.max(1, Math.floor(DEFAULT_LOGITS_BYTES / (4 * stride)));

/** A teacher runs forward only, as models do that answer: one layer's activations, a chunk of logits. */
function teacherParts(
  { config, weightBytes }: NonNullable<PlanRequest["teacher"]>,
  rows: number,
): PlanPart[] {
  const { kept: { q, k, v, attended } } = activationWidths(config, headShape(config));
  const width = paddedInner(config.hiddenSize);
  const stride = paddedInner(config.embeddingSize);
  const passing = 4 * rows * (3 * width + q + k + v + attended + paddedInner(config.ffnSize));
  return [
    { name: "teacher's weights", bytes: weightBytes },
    {
      name: "teacher's activations and logits",
      bytes: passing + 4 * stride * Math.min(rows, logitRows(stride)),
    },
  ];
}

/** The plan as rows of a table: what, and how much. */
export function planRows({ parts, bytes, limit }: TrainingPlan): [string, string][] {
  const of = Number.isFinite(limit) ? `of ${binarySize(limit)}` : "no limit known";
  return [
    ...parts.map(({ name, bytes }): [string, string] => [name, binarySize(bytes)]),
    ["together", `${binarySize(bytes)}, ${of}`],
  ];
}

/** One line about the plan. */
export function planLine(plan: TrainingPlan, { name }: Pick<Gpu, "name">): string {
  const { rows, keepActivations, bytes, limit } = plan;
  const of = Number.isFinite(limit) ? ` of ${binarySize(limit)}` : "";
  return `${rows} rows in a micro-batch, products ${keepActivations ? "kept" : "made again"}: ` +
    `${binarySize(bytes)}${of} on ${name}.`;
}
