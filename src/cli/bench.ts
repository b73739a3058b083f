/** `unmask bench`: what it can time, and the options of each timing. */

import { Command, Option } from "commander";
import { EMBEDDED_DRAFT, EVAL_PUBLIC } from "../engine/embedded_models.ts";
import { parseAccuracyFile } from "../evaluate/accuracy.ts";
import type { Gpu } from "../gpu/device.ts";
import { syntheticFolder } from "../model/synthetic/synthetic.ts";
import { WEIGHT_CHOICES, type WeightChoice } from "../model/memory/plan_request.ts";
import type { TileLookup } from "../model/tiles/tiled_matrix.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { SYNTHETIC_SHAPES, type SyntheticShapeName } from "../model/synthetic/synthetic_shape.ts";
import { benchKernelsAndModels } from "../bench/kernels_and_models.ts";
import { benchLoad } from "../bench/loading.ts";
import { benchPair } from "../bench/pair.ts";
import { benchRoofline, ROOFLINE_ROWS } from "../bench/roofline.ts";
import { benchStrategies, chosenSettings } from "../bench/strategies.ts";
import { benchTraining } from "../bench/training.ts";
import type { TrainingSubject } from "../bench/training_steps.ts";
import { PEER_WEIGHTS, type PeerWeights, quantisedName } from "../bench/peers/runner.ts";
import { type DeviceBenchFlags, runDeviceBench } from "./bench_device.ts";
import { runServingBench, SERVING } from "./bench_serving.ts";
import { addDeviceOptions, deviceOf, openDevice, tellProvider } from "./device_options.ts";
import {
  byteCount,
  measuredTuning,
  measuredTuningOption,
  modelOption,
  numberBetween,
  wholeNumber,
} from "./options.ts";
import { refuseAllBut, refuseIgnored } from "./ignored_options.ts";
import { profiled } from "./terminal/profile.ts";
import { progressReport } from "./terminal/progress.ts";
import { writeWithReport } from "./write_folder.ts";

/** Ids of the model that is compared with other runtimes. */
const PEERS_IDS = { vocabSize: 2048, maskTokenId: 2047, eosTokenId: 2046 };

/** Shape of the model that load or peers makes, unless asked otherwise. */
const LIKE: SyntheticShapeName = "mid";

/** Flags that each timing uses, besides those of the device. */
const USED: Readonly<Record<string, readonly string[]>> = {
  "": ["model", "json", "profile", "synthetic", "tuning"],
  device: [
    ...["model", "data", "limit", "like", "layers", "minutes", "gpuMemory", "acceptance"],
    ...["tuning", "picture", "json"],
  ],
  strategies: ["model", "draft", "data", "limit", "only", "steps", "tuning", "json"],
  drafts: ["model", "data", "limit", "drafts", "steps", "tuning", "picture", "json"],
  serving: [
    ...["model", "data", "limit", "concurrency", "only", "rounds", "steps"],
    ...["blockLength", "tuning", "picture", "json"],
  ],
  pair: ["weights", "layers", "tuning", "json"],
  roofline: ["rows", "json"],
  simulate: ["only", "picture", "json"],
  training: ["model", "like", "layers", "rows", "rounds", "json"],
  load: ["like", "layers", "rounds", "only", "json"],
  peers: ["like", "layers", "rows", "rounds", "only", "weights", "json"],
};

interface BenchFlags extends DeviceBenchFlags {
  readonly json?: string;
  readonly synthetic: boolean;
  readonly weights?: PeerWeights;
  readonly rows?: string;
  readonly only?: readonly string[];
  readonly draft?: string;
  readonly drafts?: readonly string[];
  readonly concurrency?: string;
  readonly steps?: number;
  readonly blockLength?: number;
  readonly rounds?: number;
  readonly profile?: boolean;
}

async function strategies(flags: BenchFlags): Promise<void> {
  const { model, draft, data, limit, only, steps, json } = flags;
  chosenSettings(only);
  const items = parseAccuracyFile(await Deno.readTextFile(data), data);
  const report = await benchStrategies(model, items, {
    draft,
    limit,
    only,
    steps,
    ...deviceOf(flags),
    tuned: measuredTuning(flags.tuning),
    progress: progressReport,
    onProvider: tellProvider,
  });
  await writeReport(json, report);
}

async function drafts(flags: BenchFlags): Promise<void> {
  if (!flags.drafts) throw new Error("bench drafts: expected --drafts DIR,DIR,...");
  // Imported only here, so that other commands start without what compares drafts.
  const { runDraftsBench } = await import("./bench_drafts.ts");
  const report = await runDraftsBench({ ...flags, drafts: flags.drafts });
  await writeReport(flags.json, report);
}

async function simulation(flags: BenchFlags): Promise<void> {
  // Imported only here, for the recorded answers.
  const { runSimulation } = await import("./bench_simulate.ts");
  await writeReport(flags.json, await runSimulation(flags));
}

/** Writes a report to the file of `--json`; does nothing without one. */
async function writeReport(file: string | undefined, report: unknown): Promise<void> {
  if (file) await Deno.writeTextFile(file, JSON.stringify(report, null, 2) + "\n");
}

/** The tuning that `--tuning` names, for the commands that load models. */
function tilesOf({ tuning }: BenchFlags, gpu: Gpu): TileLookup | undefined {
  const tuned = measuredTuning(tuning);
  return tuned && tileLookup(tuned, gpu);
}

async function pair(flags: BenchFlags): Promise<void> {
  const { json, weights = "q4", layers } = flags;
  using gpu = await openDevice(deviceOf(flags));
  const report = await benchPair(gpu, {
    target: "llada-8b",
    draft: "llada-24l",
    weights: quantisedName(weights),
    layers,
    promptTokens: 16,
    tokens: 128,
    blockLength: 32,
  }, { tiles: tilesOf(flags, gpu), progress: progressReport });
  await writeReport(json, report);
}

async function roofline(flags: BenchFlags): Promise<void> {
  const { json, rows } = flags;
  const asked = rows?.split(",").map(Number) ?? ROOFLINE_ROWS;
  if (!asked.every((count) => Number.isInteger(count) && count >= 1)) {
    throw new Error(`--rows ${rows}: expected whole numbers from 1, such as 32,128`);
  }
  using gpu = await openDevice(deviceOf(flags));
  const report = await benchRoofline(gpu, asked);
  await writeReport(json, report);
}

/** Rows of a training step, unless asked otherwise. */
const TRAINING_ROWS = "1024";

async function training(flags: BenchFlags): Promise<void> {
  const { model, json, like, layers, rows = TRAINING_ROWS, rounds = 5 } = flags;
  const count = Number(rows);
  if (!Number.isInteger(count) || count < 2) {
    throw new Error(`--rows ${rows}: expected one number from 2`);
  }
  const shape = like && SYNTHETIC_SHAPES[like];
  const subjects: TrainingSubject[] = shape
    ? [{ kind: "train", name: like, shape: { ...shape, layers: layers ?? shape.layers } }]
    : [
      { kind: "train", dir: model },
      { kind: "distil", teacher: model, dir: EMBEDDED_DRAFT },
    ];
  using gpu = await openDevice(deviceOf(flags));
  await writeReport(
    json,
    await benchTraining(gpu, { subjects, rows: count, rounds, products: true }),
  );
}

async function peers(flags: BenchFlags): Promise<void> {
  const { json, like = LIKE, layers, rows = "128", rounds = 5, only, weights = "bf16" } = flags;
  // Imported only here, so that other commands start without its libraries.
  const { PEERS, requirePeers } = await import("../bench/peers/peer_runtimes.ts");
  const { benchPeers } = await import("../bench/peers.ts");
  requirePeers();
  const unknown = only?.find((name) => !PEERS.some((peer) => peer === name));
  if (unknown) throw new Error(`--only ${unknown}: expected of ${PEERS.join(", ")}`);
  const count = Number(rows);
  const shape = SYNTHETIC_SHAPES[like];
  if (!Number.isInteger(count) || count < 1 || count > shape.maxSequenceLength) {
    throw new Error(`--rows ${rows}: expected one number from 1 to ${shape.maxSequenceLength}`);
  }
  using gpu = await openDevice(deviceOf(flags));
  const report = await benchPeers(gpu, {
    // A small vocabulary, so that the layers take most of the time.
    shape: { ...shape, ...PEERS_IDS, layers: layers ?? (gpu.software ? 2 : shape.layers) },
    rows: count,
    asked: Math.min(32, count),
    weights,
    rounds,
    only: PEERS.filter((peer) => !only || only.includes(peer)),
  });
  await writeReport(json, report);
}

async function load(dir: string | undefined, flags: BenchFlags): Promise<void> {
  const { json, like = LIKE, layers, rounds = 3, only = WEIGHT_CHOICES } = flags;
  const unknown = only.find((name) => !WEIGHT_CHOICES.some((choice) => choice === name));
  if (unknown) throw new Error(`--only ${unknown}: expected of ${WEIGHT_CHOICES.join(", ")}`);
  const choices = only as readonly WeightChoice[];
  using gpu = await openDevice(deviceOf(flags));
  const made = dir === undefined ? await Deno.makeTempDir({ prefix: "unmask_load_" }) : undefined;
  try {
    if (made !== undefined) {
      const shape = SYNTHETIC_SHAPES[like];
      using folder = syntheticFolder({ ...shape, layers: layers ?? shape.layers }, {
        shardBytes: 5e9,
      });
      await writeWithReport(made, folder);
    }
    const report = await benchLoad(gpu, dir ?? made!, {
      choices,
      rounds,
      progress: progressReport,
    });
    await writeReport(json, report);
  } finally {
    if (made !== undefined) await Deno.remove(made, { recursive: true });
  }
}

/** `unmask bench` */
export function benchCommand(): Command {
  const command = new Command("bench")
    .argument(
      "[what]",
      "device: what to expect of this device, in at most four minutes; " +
        "strategies: compares denoising strategies; drafts: speed against agreement of several " +
        "drafts; serving: requests by one client and by several at once; pair: an 8B target and its draft of random " +
        "weights denoise 128 tokens; roofline: linear layers of the 8B pair against the device's " +
        "peak rates; training: steps of training a model and of distilling the embedded draft from it; " +
        "load: loads a model folder, against the disk's rate; simulate: ways to serve many requests, " +
        "under simulated load; peers: the same model " +
        "in other runtimes (deno task peers); default: kernels and models",
    )
    .argument(
      "[dir]",
      "model folder for device (default: random weights) or load (default: a synthetic one, made " +
        "for the run)",
    )
    .addOption(modelOption());
  return addDeviceOptions(command)
    .addOption(measuredTuningOption())
    .option("--data <file>", "prompts for strategies, drafts and serving", EVAL_PUBLIC)
    .option("--limit <n>", "only the first n prompts", wholeNumber(1))
    .addOption(
      new Option(
        "--weights <scheme>",
        "weights of the models of pair (default q4) or peers (default bf16)",
      )
        .choices(PEER_WEIGHTS),
    )
    .option(
      "--rows <list>",
      "numbers of rows for roofline, such as 32,128 (default 32,64,128,512); " +
        `number of rows for training (default ${TRAINING_ROWS}) or peers (default 128)`,
    )
    .option(
      "--layers <n>",
      "layers of the models of device, pair, training, load or peers; fewer give a quick look, from which " +
        "device tells the times of all",
      wholeNumber(1),
    )
    .addOption(
      new Option(
        "--like <shape>",
        `shape of the model that load or peers makes (default ${LIKE}), that training trains, ` +
          `or that device times (default llada-8b, where it fits; ${LIKE} on a software adapter)`,
      )
        .choices(Object.keys(SYNTHETIC_SHAPES)),
    )
    .option(
      "--minutes <n>",
      "minutes after which device begins nothing more",
      numberBetween(0.01, 1440),
      4,
    )
    .addOption(
      new Option("--gpu-memory <size>", "most GPU memory that device may use, such as 24GiB")
        .argParser(byteCount),
    )
    .option(
      "--acceptance <n>",
      "tokens per forward pass that device reckons with (default: measured on --model)",
      numberBetween(1, 1024),
    )
    .option(
      "--picture <file>",
      "also draw the times of device, the speeds of drafts, what serving measures, or latency " +
        "against load of simulate, as a PNG",
    )
    .option("--draft <dir>", "draft of strategies (default: the embedded draft, for its target)")
    .option(
      "--drafts <dirs>",
      "folders of the drafts of --model that drafts compares, such as draft-a,draft-b",
      (names) => names.split(","),
    )
    .option(
      "--concurrency <list>",
      `numbers of clients of serving (default ${SERVING.concurrency})`,
    )
    .option(
      "--rounds <n>",
      "rounds of load (default 3), training or peers (default 5), of which the median is reported, " +
        `or of serving (default ${SERVING.rounds}), of which the fastest is`,
      wholeNumber(1),
    )
    .option("--steps <n>", "denoising steps of a strategy's answer", wholeNumber(1))
    .option("--block-length <n>", "tokens of a block of serving's answers", wholeNumber(1))
    .option(
      "--only <names>",
      "only these settings. Of strategies and serving: such as plain,threshold+dual,auto+fast " +
        `(serving by default: ${SERVING.only}; it also has plain+schema); of simulate, costs of passes: such as ` +
        "llada-8b-bf16; of load: " +
        `${WEIGHT_CHOICES.join(",")}; of peers: ` +
        "onnxruntime-web,onnxruntime-node,node-llama-cpp-vulkan,node-llama-cpp",
      (names) => names.split(","),
    )
    .option("--json <file>", "also write all figures to a file")
    .option("--profile", "also print rates by kernel, of a forward pass of 128 rows")
    .option("--no-synthetic", "without the synthetic d_model 1024 model")
    .addHelpText(
      "after",
      `
Examples:
  unmask bench --json bench.json
  unmask bench device --json device.json --picture device.png
  unmask bench device ~/models/LLaDA-8B-Instruct --gpu-memory 24GiB
  unmask bench strategies --limit 10 --only plain,threshold+dual,auto+fast
  unmask bench serving --concurrency 1,16 --only plain --picture serving.png
  unmask bench load models/llada-8b --only stored,q4`,
    )
    .action(async (what = "", dir: string | undefined, flags: BenchFlags, command: Command) => {
      const used = Object.hasOwn(USED, what) ? USED[what] : undefined;
      if (!used) {
        const names = Object.keys(USED).filter((name) => name !== "");
        throw new Error(`bench ${what}: expected ${names.join(", ")}, or nothing`);
      }
      if (dir !== undefined && what !== "load" && what !== "device") {
        throw new Error(`bench ${what} ${dir}: only device and load take a folder`);
      }
      refuseAllBut(command, used, `by bench ${what || "without a name"}`);
      if (dir !== undefined && what === "load") {
        refuseIgnored(command, ["like", "layers"], "with a folder");
      }
      if (what === "load") return await load(dir, flags);
      if (what === "device") {
        return await runDeviceBench(dir, flags, (report) => writeReport(flags.json, report));
      }
      if (what === "strategies") return await strategies(flags);
      if (what === "drafts") return await drafts(flags);
      if (what === "serving") {
        return await runServingBench(flags, (report) => writeReport(flags.json, report));
      }
      if (what === "simulate") return await simulation(flags);
      if (what === "pair") return await pair(flags);
      if (what === "roofline") return await roofline(flags);
      if (what === "training") return await training(flags);
      if (what === "peers") return await peers(flags);
      using gpu = await openDevice(deviceOf(flags));
      const report = await benchKernelsAndModels(gpu, {
        ...flags,
        profile: flags.profile ? profiled : undefined,
        tiles: tilesOf(flags, gpu),
      });
      await writeReport(flags.json, report);
      if (flags.json) console.log(`written to ${flags.json}`);
    });
}
