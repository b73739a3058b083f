/** Opens what a run needs on a device: the model, its optimiser, data and held-out examples. */

import type { Gpu } from "../../gpu/device.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import type { Predictor } from "../../denoise/predictor.ts";
import { readConfig } from "../../model/loading/config.ts";
import { dryRun } from "../../model/memory/dry_run.ts";
import { freeHostBytes } from "../../model/memory/host_memory.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { GROUP_SIZES, quantised, type QuantScheme } from "../../quant/scheme.ts";
import { openCheckpoint } from "../../weights/checkpoint.ts";
import { openTrainingData, readSamples, type TrainingData } from "../data/training_data.ts";
import { type SampleEncoder, sampleEncoder } from "../data/sample.ts";
import { ADAPTED_MODULES, Adapters } from "../pass/adapters.ts";
import { type Parameter, TrainingParameters } from "../pass/parameters.ts";
import type { TrainingLoss } from "../pass/training_loss.ts";
import { TrainingPass } from "../pass/training_pass.ts";
import { TrainingSpace } from "../pass/training_space.ts";
import { type PlanRequest, planTraining, type TrainingPlan } from "../plan.ts";
import { answeredPrompts, evaluationOf } from "./evaluation.ts";
import { ModelTrainee } from "./model_trainee.ts";
import { Optimiser, remembered } from "./optimiser.ts";
import type { Run } from "./run.ts";
import type { Length } from "./schedule.ts";
import { type CommonSettings, maskingFrom } from "./settings.ts";
import { studentOf } from "./student.ts";

/** What stays open while a run goes on. Dispose of it to free it. */
export interface OpenedRun extends Disposable {
  readonly space: TrainingSpace;
  readonly parameters: TrainingParameters;
  readonly adapters?: Adapters;
  readonly trainee: ModelTrainee;
  readonly data: TrainingData;
  /** The tensor that is written for a parameter: the weight, or its average. */
  readonly weightsOf: (parameter: Parameter) => Tensor;
  /** What {@linkcode train} takes of it. */
  readonly run: Pick<Run, "trainee" | "batches" | "length" | "schedule" | "evaluate"> & {
    readonly evaluateEvery: number;
  };
}

/** Settings whose rows are decided. */
export type PlannedSettings = CommonSettings & {
  readonly rows: number;
  readonly keepActivations: boolean;
};

/** A step by tokens has more than the average now and then; it should stay one micro-batch. */
const LONGER_STEP = 1.25;

/** Bytes of a folder's weights as they are loaded to answer. */
export async function loadedBytes(
  gpu: Gpu,
  dir: string,
  config: ModelConfig,
  layers?: QuantScheme,
): Promise<number> {
  using checkpoint = openCheckpoint(dir);
  return (await dryRun(config, checkpoint, gpu, { layers })).weightBytes;
}

/** The scheme of matrices beside adapters; undefined where they stay as they are stored. */
function frozenScheme({ lora }: CommonSettings): QuantScheme | undefined {
  return lora?.weights && quantised(lora.weights, GROUP_SIZES[0]);
}

/**
 * The plan of a run of these settings.
 * @param dir folder of the model that is trained
 * @throws {GpuError} when nothing fits, saying what would
 */
export async function planOf(
  gpu: Gpu,
  settings: CommonSettings,
  dir: string,
  options: { readonly teacher?: PlanRequest["teacher"]; readonly gpuMemory?: number },
): Promise<TrainingPlan> {
  const student = checkStudent(dir, settings);
  const { sequence, batch, rows, keepActivations, lora, masking } = settings;
  const samples = "samples" in batch
    ? batch.samples * sequence
    : Math.ceil(LONGER_STEP * batch.tokens);
  return planTraining({
    student,
    loadedBytes: await loadedBytes(gpu, dir, student, frozenScheme(settings)),
    teacher: options.teacher,
    lora: lora && { rank: lora.rank, modules: lora.modules ?? ADAPTED_MODULES },
    remembered: (name) => remembered(settings.optimizer, name),
    sequence,
    stepRows: samples * (masking.complementary ? 2 : 1),
    rows,
    keepActivations,
    texels: gpu.rowForm === "exchanged",
  }, options.gpuMemory ?? freeHostBytes(gpu));
}

/** Checks what a model and a run's settings must agree on. @throws {Error} naming it */
export function checkStudent(
  dir: string,
  { sequence, rows }: Pick<CommonSettings, "sequence" | "rows">,
): ModelConfig {
  if (rows !== undefined && rows < sequence) {
    throw new Error(
      `rows is ${rows}, expected at least the ${sequence} of a sequence. Give more --rows, or a ` +
        "shorter --sequence.",
    );
  }
  const config = readConfig(dir);
  if (sequence > config.maxSequenceLength) {
    throw new Error(
      `sequence is ${sequence}, and ${dir} has ${config.maxSequenceLength} positions. Give a ` +
        "shorter --sequence.",
    );
  }
  return config;
}

/**
 * Opens a run.
 * @param dir folder of the model that is trained
 * @param using what the loss needs, and the teacher to agree with; called once the model is there
 */
export async function openRun(
  gpu: Gpu,
  dir: string,
  settings: PlannedSettings,
  using_: (space: TrainingSpace) => Promise<{
    readonly loss: TrainingLoss;
    readonly teacher?: Predictor;
  }>,
  start?: (parameters: TrainingParameters) => void,
): Promise<OpenedRun> {
  using opened = new DisposableStack();
  const { lora, sequence, rows, keepActivations, seed, optimizer } = settings;
  const space = opened.use(new TrainingSpace(gpu));
  checkStudent(dir, settings);
  const parameters = opened.use(
    lora
      ? await TrainingParameters.frozen(gpu, dir, { scheme: frozenScheme(settings) })
      : TrainingParameters.load(gpu, dir),
  );
  start?.(parameters);
  const adapters = lora && opened.use(new Adapters(parameters, { ...lora, seed }));
  const pass = opened.use(new TrainingPass(space, parameters, { adapters, keepActivations }));
  const { loss, teacher } = await using_(space);
  const optimiser = opened.use(new Optimiser(space, parameters, optimizer));
  const trainee = new ModelTrainee(space, parameters, { pass, loss, optimiser });
  const encoder = sampleEncoder(dir);
  const data = opened.use(dataOf(settings, encoder));
  const student = studentOf(space, pass, Math.max(rows, sequence));
  const evaluate = await heldOutEvaluation(settings, encoder, teacher, trainee.evaluated(student));
  const closing = opened.move();
  return {
    space,
    parameters,
    adapters,
    trainee,
    data,
    weightsOf: (parameter) => optimiser.of(parameter, "average") ?? parameter.weight,
    run: {
      trainee,
      batches: (step) => data.stepBatches(step),
      length: lengthOf(settings, data),
      schedule: settings.schedule,
      evaluate,
      evaluateEvery: settings.evaluation.every,
    },
    [Symbol.dispose]: () => closing.dispose(),
  };
}

function dataOf(settings: PlannedSettings, encoder: SampleEncoder): TrainingData {
  const { data, sequence, batch, rows, seed, padding } = settings;
  return openTrainingData(data, encoder, {
    sequence,
    batch,
    rows,
    seed,
    ...padding,
    masking: maskingFrom(settings),
  });
}

function lengthOf({ length }: CommonSettings, data: TrainingData): Length {
  if (!("epochs" in length)) return length;
  return { steps: Math.max(1, Math.ceil(length.epochs * data.samples / data.samplesPerStep)) };
}

async function heldOutEvaluation(
  { heldOut, evaluation, sequence }: PlannedSettings,
  encoder: SampleEncoder,
  teacher: Predictor | undefined,
  student: Predictor,
) {
  if (heldOut === undefined) return undefined;
  const { examples, response, ratios, seed } = evaluation;
  const { maskTokenId, eosTokenId: paddingTokenId } = encoder;
  const prompts = answeredPrompts(readSamples(heldOut, encoder, examples)).filter(
    ({ prompt, answer }) => prompt.length + Math.max(response, answer.length) <= sequence,
  );
  if (prompts.length === 0) {
    throw new Error(
      `${heldOut}: none of the first ${examples} examples has a prompt and, with an answer padded ` +
        `to ${response} tokens (evaluation.response), fits a --sequence of ${sequence}. Leave out ` +
        "--held-out to train without evaluations.",
    );
  }
  const masks = { maskTokenId, paddingTokenId, responseLength: response, seed };
  return await evaluationOf(prompts, masks, teacher, student, ratios);
}
