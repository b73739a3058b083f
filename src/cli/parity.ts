/** `unmask parity`: compares this implementation with recorded reference data. */

import { join } from "node:path";
import { Command } from "commander";
import type { DeviceChoice } from "../gpu/device_choice.ts";
import { loadModel } from "../model/loading/load.ts";
import type { Model } from "../model/model.ts";
import { tileLookup, type TunedTiles } from "../model/tiles/tuned_tiles.ts";
import {
  type FastCase,
  type ForwardFile,
  forwardNames,
  type ParityResult,
  readGolden,
  type SamplingCase,
  type ScheduleFile,
  type SpeculativeCase,
  type TemperatureCase,
} from "../evaluate/parity/golden_files.ts";
import { pruningCases } from "../compress/parity/pruning_cases.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { measuredTuning, measuredTuningOption } from "./options.ts";
import { forwardCases } from "../evaluate/parity/forward_cases.ts";
import { samplingCase, scheduleCases, temperatureCase } from "../evaluate/parity/sampling_cases.ts";
import { likelihoodCases } from "../evaluate/parity/likelihood_cases.ts";
import { fastCase, speculativeCase } from "../evaluate/parity/strategy_cases.ts";
import { distilCases } from "../compress/parity/loss_cases.ts";
import { pretrainCases } from "../compress/parity/pretrain_cases.ts";
import type { Gpu } from "../gpu/device.ts";

/** What cases run on: a device, and checkpoints of the folder by name. */
interface ParityMeans {
  readonly gpu: Gpu;
  load(checkpoint: string): Promise<Model>;
}

/** Files of golden data that have a generator of cases each; it runs where the file is there. */
const SUBJECTS: readonly {
  /** Path in the folder, without `.json`. */
  readonly file: string;
  cases(dir: string, means: ParityMeans): AsyncIterable<ParityResult>;
}[] = [
  { file: "pruning/pruning", cases: (dir, { load }) => pruningCases(dir, load) },
  { file: "losses/distil", cases: (dir, { gpu }) => distilCases(dir, gpu) },
  { file: "losses/pretrain", cases: (dir, { gpu }) => pretrainCases(dir, gpu) },
  { file: "losses/likelihood", cases: (dir, { load }) => likelihoodCases(dir, load) },
];

interface ParityFlags extends DeviceFlags {
  readonly plain?: boolean;
  readonly matrixUnits: boolean;
  readonly tuning?: string;
}

/** `unmask parity` */
export function parityCommand(): Command {
  const command = new Command("parity")
    .argument("<dir>", "folder laid out like test/golden");
  return addDeviceOptions(command)
    .addOption(measuredTuningOption())
    .option("--no-matrix-units", "run without matrix units, even where the adapter has them")
    .option("--plain", "run without matrix units and without subgroups")
    .addHelpText(
      "after",
      "\nThe exit code is 1 if a case fails or no case is found.\n\nExample:\n" +
        "  unmask parity test/golden",
    )
    .action(async (dir: string, flags: ParityFlags) => {
      const { plain } = flags;
      const options = {
        ...deviceOf(flags),
        plain,
        matrixUnits: flags.matrixUnits && !plain,
        tuned: measuredTuning(flags.tuning),
      };
      const count = { passed: 0, failed: 0 };
      const start = performance.now();
      for await (
        const { name, passed, detail } of parityCases(dir, options)
      ) {
        count[passed ? "passed" : "failed"]++;
        console.log(`${passed ? "ok  " : "FAIL"} ${name}: ${detail}`);
      }
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(`in ${seconds} s`);
      console.log(`${count.passed} passed, ${count.failed} failed`);
      if (count.passed + count.failed === 0) {
        throw new Error(
          `${dir}: no golden data found, expected forward, sampling, speculative, pruning or losses`,
        );
      }
      if (count.failed > 0) Deno.exitCode = 1;
    });
}

/** Which variants of the kernels run. */
export interface ParityOptions extends DeviceChoice {
  /** Whether to run without subgroups and matrix units. */
  readonly plain?: boolean;
  /** False to run without matrix units. */
  readonly matrixUnits?: boolean;
  /** Tile sizes that `unmask tune` found; default: chosen by a fixed rule. */
  readonly tuned?: TunedTiles;
}

/** Runs all cases of a folder; a case that throws counts as failed. */
export async function* parityCases(
  dir: string,
  options: ParityOptions = {},
): AsyncGenerator<ParityResult, void, void> {
  // A file that cannot be read counts as failed; the other files still run.
  const unreadable: ParityResult[] = [];
  const read = <T>(...path: string[]): T | undefined => {
    try {
      return readGolden<T>(dir, ...path);
    } catch (error) {
      unreadable.push({
        name: path.join("/"),
        passed: false,
        detail: error instanceof Error ? error.message : String(error),
      });
    }
  };
  const schedule = read<ScheduleFile>("sampling", "schedule.json");
  if (schedule) yield* failing("sampling/schedule", scheduleCases(schedule));
  const temperature = read<{ cases: TemperatureCase[] }>("sampling", "temperature.json");
  for (const golden of temperature?.cases ?? []) {
    yield* failing(
      `sampling/temperature ${golden.temperature}`,
      one(() => temperatureCase(golden)),
    );
  }
  const sampling = read<{ cases: SamplingCase[] }>("sampling", "llada.json")?.cases ?? [];
  const fast = read<{ cases: FastCase[] }>("sampling", "fast.json")?.cases ?? [];
  const speculative =
    read<{ cases: SpeculativeCase[] }>("speculative", "step-verify.json")?.cases ?? [];
  const forward = new Map<string, string>();
  for (const name of forwardNames(dir)) {
    const checkpoint = read<ForwardFile>("forward", `${name}.json`)?.checkpoint;
    if (checkpoint !== undefined) forward.set(name, checkpoint);
  }
  const subjects = SUBJECTS.filter(({ file }) => read(`${file}.json`) !== undefined);
  yield* unreadable;
  const checkpoints = new Set([
    ...forward.values(),
    ...[...sampling, ...fast].map((golden) => golden.checkpoint),
  ]);
  if (checkpoints.size + speculative.length + subjects.length === 0) return;
  const { plain = false, matrixUnits = !plain } = options;
  using gpu = await openDevice(options, { subgroups: !plain, matrixUnits });
  const tiles = options.tuned && tileLookup(options.tuned, gpu);
  const load = (checkpoint: string) =>
    loadModel(gpu, join(dir, "checkpoints", checkpoint), { kvCache: "f32", tiles });
  for (const checkpoint of checkpoints) {
    const names = [...forward].filter(([, of]) => of === checkpoint).map(([name]) => name);
    const cases = sampling.filter((golden) => golden.checkpoint === checkpoint);
    const fastCases = fast.filter((golden) => golden.checkpoint === checkpoint);
    let model: Model;
    try {
      model = await load(checkpoint);
    } catch (error) {
      for (const name of [...names, ...[...cases, ...fastCases].map((golden) => golden.name)]) {
        yield { name: `${checkpoint} ${name}`, passed: false, detail: (error as Error).message };
      }
      continue;
    }
    using loaded = model;
    for (const name of names) {
      yield* failing(`forward/${name}`, forwardCases(dir, name, loaded));
    }
    for (const golden of cases) {
      yield* failing(`sampling/llada ${golden.name}`, one(() => samplingCase(golden, loaded)));
    }
    for (const golden of fastCases) {
      yield* failing(`sampling/fast ${golden.name}`, one(() => fastCase(golden, loaded)));
    }
  }
  for (const golden of speculative) {
    const run = async () => {
      using target = await load(golden.target);
      using draft = await load(golden.draft);
      return await speculativeCase(golden, target, draft);
    };
    yield* failing(`speculative/step-verify ${golden.name}`, one(run));
  }
  for (const { file, cases } of subjects) yield* failing(file, cases(dir, { gpu, load }));
}

async function* one(
  run: () => ParityResult | Promise<ParityResult>,
): AsyncGenerator<ParityResult, void, void> {
  yield await run();
}

/** Turns an error into a failed case; later cases of the same file are not run. */
async function* failing(
  name: string,
  cases: AsyncIterable<ParityResult> | Iterable<ParityResult>,
): AsyncGenerator<ParityResult, void, void> {
  try {
    yield* cases;
  } catch (error) {
    yield { name, passed: false, detail: error instanceof Error ? error.message : String(error) };
  }
}
