/** Opens models for training steps on made-up text, and counts their operations. */

import { prepareBatch } from "../compress/pass/prepared_batch.ts";
import { recordTopTokens } from "../compress/pass/logit_source.ts";
import { ModelTeacher } from "../compress/pass/model_teacher.ts";
import { parameterLayouts } from "../compress/pass/parameter_layout.ts";
import { TrainingParameters } from "../compress/pass/parameters.ts";
import { CROSS_ENTROPY, DistilLoss, type TrainingLoss } from "../compress/pass/training_loss.ts";
import { TrainingPass } from "../compress/pass/training_pass.ts";
import { TrainingSpace } from "../compress/pass/training_space.ts";
import { planTraining, type TrainingPlan } from "../compress/plan.ts";
import { Optimiser, type OptimiserSettings, remembered } from "../compress/run/optimiser.ts";
import type { TrainingBatch } from "../compress/training_batch.ts";
import type { Gpu } from "../gpu/device.ts";
import { QueueWait } from "../gpu/mapping.ts";
import { readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import { dryRun } from "../model/memory/dry_run.ts";
import type { ModelConfig } from "../model/model_config.ts";
import { syntheticModel } from "../model/synthetic/synthetic.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import type { SyntheticShape } from "../model/synthetic/synthetic_shape.ts";

/** What is trained. */
export type TrainingSubject =
  | { readonly kind: "train"; readonly dir: string }
  | { readonly kind: "train"; readonly shape: SyntheticShape; readonly name: string }
  | { readonly kind: "distil"; readonly teacher: string; readonly dir: string };

/** A model whose training steps can be timed. Dispose of it to free it. */
export interface TrainingSteps extends Disposable {
  readonly name: string;
  /** Of the model that is trained. */
  readonly config: ModelConfig;
  /** Tokens of a sequence of the batch. */
  readonly sequence: number;
  /** Rows whose prediction enters the loss. */
  readonly asked: number;
  /** Of a step. */
  readonly operations: number;
  readonly plan: TrainingPlan;
  /** A whole step: forward, backward, optimiser; with the teacher's forward pass, if there is one. */
  readonly step: () => Promise<void>;
  /** The teacher's part alone. */
  readonly teacher?: () => Promise<void>;
  /** The optimiser alone. */
  readonly optimiser: () => Promise<void>;
}

/** Tokens of a sequence, where the model has positions for as many. */
const SEQUENCE = 256;
/** The teacher's best tokens that the loss is over, as the card of the draft has it. */
const TOP = 32;
/** As `train` and `distil` have it by default. */
const OPTIMISER: OptimiserSettings = {
  name: "adamw",
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clip: 1,
  momentum: 0.95,
  otherRate: 0.1,
  average: null,
};
/** So small that weights stay what they are in all steps. */
const RATE = 1e-9;

/**
 * Multiplications and additions of a model that answers (`forward`) or trains (`both`). The backward pass
 * of a matrix is two products, of attention five where the forward pass has two; what is made again does
 * not count. In training only the asked rows go through the last layer, but for its keys and values.
 */
export function stepOperations(
  config: ModelConfig,
  { rows, asked, pairs, askedPairs }: Work,
  passes: "forward" | "both",
): number {
  const matrices = parameterLayouts(config).filter(({ shape }) => shape.length === 2);
  const elements = (part: RegExp) =>
    matrices.filter(({ name }) => part.test(name))
      .reduce((sum, { shape: [out, inner] }) => sum + out * inner, 0);
  const layer = elements(/\.blocks\.0\./);
  const keys = elements(/\.blocks\.0\.[kv]_proj\./);
  const head = asked * config.embeddingSize * config.hiddenSize;
  const scores = 4 * config.heads * config.headDim;
  if (passes === "forward") {
    return 2 * (config.layers * rows * layer + head) + config.layers * scores * pairs;
  }
  const others = config.layers - 1;
  const products = 2 * (rows * (others * layer + keys) + asked * (layer - keys) + head);
  return 3 * products + 3.5 * scores * (others * pairs + askedPairs);
}

/** How much a batch asks for. */
export interface Work {
  readonly rows: number;
  readonly asked: number;
  /** Queries times keys, over all sequences. */
  readonly pairs: number;
  /** The same of asked queries. */
  readonly askedPairs: number;
}

/** Sequences of made-up tokens, half of them masked. */
export function madeUpBatch(
  { maskTokenId, embeddingSize }: Pick<ModelConfig, "maskTokenId" | "embeddingSize">,
  { rows, sequence }: { readonly rows: number; readonly sequence: number },
): TrainingBatch {
  const token = (row: number) => (row * 7919 + 31) % (embeddingSize - 1);
  const masked = (row: number) => (Math.imul(row + 1, 0x9e3779b1) >>> 31) === 1;
  const asked = Uint32Array.from({ length: rows }, (_, row) => row).filter(masked);
  const starts = Array.from({ length: Math.ceil(rows / sequence) }, (_, i) => i * sequence);
  return {
    ids: Uint32Array.from({ length: rows }, (_, row) => masked(row) ? maskTokenId : token(row)),
    positions: Uint32Array.from({ length: rows }, (_, row) => row % sequence),
    ranges: Uint32Array.from(starts.flatMap((start) => {
      const count = Math.min(sequence, rows - start);
      return [start, count, start, count];
    })),
    rows: asked,
    targets: asked.map(token),
    weights: new Float32Array(asked.length).fill(1 / asked.length),
  };
}

/** What a batch asks for. */
export function workOf({ ids, ranges, rows: asked }: TrainingBatch): Work {
  const work = { rows: ids.length, asked: asked.length, pairs: 0, askedPairs: 0 };
  for (let at = 0; at < ranges.length; at += 4) {
    const [first, queries, , keys] = ranges.subarray(at, at + 4);
    work.pairs += queries * keys;
    work.askedPairs += keys * asked.filter((row) => row >= first && row < first + queries).length;
  }
  return work;
}

/**
 * Plans and opens a subject's steps.
 * @param options.limit bytes that may be used; undefined if not known
 * @throws {GpuError} when it does not fit
 */
export async function openSteps(
  gpu: Gpu,
  subject: TrainingSubject,
  { rows, limit }: { readonly rows: number; readonly limit: number | undefined },
): Promise<TrainingSteps> {
  using opened = new DisposableStack();
  const made = "shape" in subject ? opened.use(syntheticModel(subject.shape)) : {
    config: readConfig(subject.dir),
    checkpoint: opened.use(openCheckpoint(subject.dir)),
  };
  const { config, checkpoint } = made;
  const sequence = Math.min(SEQUENCE, config.maxSequenceLength, rows);
  const batch = madeUpBatch(config, { rows, sequence });
  const work = workOf(batch);
  const plan = planTraining({
    student: config,
    teacher: subject.kind === "distil" ? await teacherOf(gpu, subject.teacher) : undefined,
    remembered: (name) => remembered(OPTIMISER, name),
    sequence,
    stepRows: rows,
    rows,
    texels: gpu.rowForm === "exchanged",
  }, limit);

  const space = opened.use(new TrainingSpace(gpu));
  const parameters = opened.use(TrainingParameters.of(gpu, config, checkpoint));
  const { keepActivations } = plan;
  const pass = opened.use(new TrainingPass(space, parameters, { keepActivations }));
  const optimiser = opened.use(new Optimiser(space, parameters, OPTIMISER));
  const queue = opened.use(new QueueWait(gpu));
  let loss: TrainingLoss = CROSS_ENTROPY;
  let operations = stepOperations(config, work, "both");
  let teacher: (() => Promise<void>) | undefined;
  if (subject.kind === "distil") {
    const model = opened.use(await loadModel(gpu, subject.teacher));
    const source = opened.use(new ModelTeacher(space, model));
    loss = new DistilLoss(space, source, { count: TOP });
    operations += stepOperations(model.config, work, "forward");
    teacher = async () => {
      recordTopTokens(space, source, prepareBatch(space, batch, pass), {
        count: TOP,
        name: "teacher",
      });
      space.recorder.submit();
      await queue.wait();
    };
  }
  const change = async () => {
    optimiser.record({ step: 0, rate: RATE });
    space.recorder.submit();
    await queue.wait();
  };
  const closing = opened.move();
  return {
    name: nameOf(subject),
    config,
    sequence,
    asked: work.asked,
    operations,
    plan,
    step: async () => {
      await pass.step([batch], loss);
      await change();
    },
    teacher,
    optimiser: change,
    [Symbol.dispose]: () => closing.dispose(),
  };
}

async function teacherOf(gpu: Gpu, dir: string) {
  const config = readConfig(dir);
  using checkpoint = openCheckpoint(dir);
  const { weightBytes } = await dryRun(config, checkpoint, gpu);
  return { config, weightBytes };
}

const lastOf = (path: string) => path.split(/[/\\]/).filter((part) => part !== "").at(-1)!;

function nameOf(subject: TrainingSubject): string {
  if ("shape" in subject) return `train ${subject.name}`;
  if (subject.kind === "train") return `train ${lastOf(subject.dir)}`;
  return `distil ${lastOf(subject.dir)} from ${lastOf(subject.teacher)}`;
}
