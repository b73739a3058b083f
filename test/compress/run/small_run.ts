/**
 * Runs of a model of two layers on the GPU. As a program it goes on with the run in the folder of its
 * first argument, and prints the steps that are done.
 */

import { join } from "node:path";
import { openDistil } from "../../../src/compress/distil.ts";
import { type Run, train } from "../../../src/compress/run/run.ts";
import {
  completed,
  type DistilSettings,
  distilSettings,
  type Given,
  overlaid,
  type TrainSettings,
  trainSettings,
} from "../../../src/compress/run/settings.ts";
import type { OpenedRun } from "../../../src/compress/run/opened_run.ts";
import { openTrain } from "../../../src/compress/train.ts";
import { acquireGpu, type Gpu } from "../../../src/gpu/device.ts";
import { syntheticFolder } from "../../../src/model/synthetic/synthetic.ts";
import { SYNTHETIC_SHAPES } from "../../../src/model/synthetic/synthetic_shape.ts";
import { planFolder, writeFolder } from "../../../src/weights/folder_writer.ts";
import { fileURLToPath } from "node:url";

/** The embedded model, whose tokenizer the small ones have. */
export const TARGET = fileURLToPath(new URL("../../../models/tiny-target", import.meta.url));

/** Writes a model of two layers, and its data: eight questions. */
export async function writeSmall(dir: string): Promise<void> {
  const shape = {
    ...SYNTHETIC_SHAPES["tiny-target"],
    layers: 2,
    hiddenSize: 32,
    heads: 2,
    ffnSize: 64,
  };
  using content = syntheticFolder(shape, {
    shardBytes: 1e9,
    dtype: "F32",
    copies: ["tokenizer.json", "tokenizer_config.json"].map((name) => join(TARGET, name)),
  });
  await writeFolder(planFolder(join(dir, "small"), content));
  const answers = {
    cat: "4",
    dog: "7",
    bird: "2",
    cow: "9",
    fish: "0",
    hen: "3",
    pig: "8",
    fox: "6",
  };
  const lines = Object.entries(answers).map(([prompt, digit]) =>
    JSON.stringify({ prompt, answer: `The ${prompt} has ${digit}.` })
  );
  Deno.writeTextFileSync(join(dir, "data.jsonl"), lines.join("\n") + "\n");
}

const shared = (dir: string): Given => ({
  data: [{ path: join(dir, "data.jsonl") }],
  heldOut: join(dir, "data.jsonl"),
  sequence: 64,
  rows: 128,
  keepActivations: false,
  batch: { samples: 8 },
  padding: { to: [16] },
  evaluation: { every: 4, response: 16 },
  length: { steps: 10 },
  schedule: { rate: 3e-3 },
});

type Opened<S> = S & { readonly rows: number; readonly keepActivations: boolean };

/** Settings of a training run of the model of {@linkcode writeSmall}. */
export function smallTrain(dir: string, changes: Given = {}): Opened<TrainSettings> {
  const own = {
    from: join(dir, "small"),
    start: "fresh",
    optimizer: { name: "muon", average: 0.9 },
  };
  const given = overlaid(overlaid(shared(dir), own), changes);
  return completed(trainSettings, given, "test") as Opened<TrainSettings>;
}

/** Settings of a distillation of that model, by the embedded target. */
export function smallDistil(dir: string, changes: Given = {}): Opened<DistilSettings> {
  const own = { teacher: TARGET, student: join(dir, "small") };
  const given = overlaid(overlaid(shared(dir), own), changes);
  return completed(distilSettings, given, "test") as Opened<DistilSettings>;
}

/** A run of what is open, in a folder. */
export function runOf(opened: OpenedRun, dir: string, gpu: Gpu): Run {
  return { ...opened.run, dir, checkpointEvery: 2, lineEvery: 1, device: gpu.name };
}

if (import.meta.main) {
  const [dir, run, kind] = Deno.args;
  using gpu = await acquireGpu();
  using opened = kind === "distil"
    ? await openDistil(gpu, smallDistil(dir))
    : await openTrain(gpu, smallTrain(dir));
  for await (const event of train(runOf(opened, run, gpu))) {
    if (event.kind === "step") console.log(event.step);
  }
}
