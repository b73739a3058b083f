/** `unmask bench peers`: times the same model and rows in this runtime and others, in turn. */

import type { Gpu } from "../gpu/device.ts";
import { loadSynthetic, syntheticModel } from "../model/synthetic/synthetic.ts";
import type { SyntheticShape } from "../model/synthetic/synthetic_shape.ts";
import { quantised } from "../quant/scheme.ts";
import { forwardOperations, median } from "./model.ts";
import { writeGguf } from "./peers/gguf_llada.ts";
import { type OnnxRows, writeOnnx } from "./peers/onnx_llada.ts";
import { openPeer, ourRunner, type PeerName } from "./peers/peer_runtimes.ts";
import {
  LOGITS_TOLERANCE,
  type PeerWeights,
  type Precision,
  quantisedName,
  type Runner,
} from "./peers/runner.ts";
import { VERSION } from "../engine/version.ts";
import { FittedTable } from "./fitted_table.ts";

/** Idle time before each timed pass, so that threads of other runtimes stop polling for work. */
const PAUSE_MILLISECONDS = 100;

/** Options of the comparison. */
export interface PeersOptions extends OnnxRows {
  readonly shape: SyntheticShape;
  readonly weights: PeerWeights;
  readonly rounds: number;
  readonly only: readonly PeerName[];
}

/** The figures of one runtime. */
export interface PeerFigures {
  readonly name: string;
  readonly device: string;
  /** Time of a forward pass in each round. */
  readonly milliseconds: readonly number[];
  /** Rate at the median time. */
  readonly gflopPerSecond: number;
  /** Quartiles of the ratio of its time to ours in the same round; above 1 it is slower. */
  readonly timeToOurs: readonly [lower: number, median: number, upper: number];
  readonly precision: Precision;
  /** Distance of its logits from ours, as a share of ours; at most {@linkcode LOGITS_TOLERANCE}. */
  readonly logitsDistance: number;
  /** Number of asked positions at which its likeliest token is the same as ours. */
  readonly sameTokens: number;
}

/** The report that `--json` writes. */
export interface PeersReport {
  readonly version: string;
  readonly date: string;
  readonly processors: number;
  readonly shape: SyntheticShape;
  readonly rows: number;
  readonly asked: number;
  readonly weights: PeerWeights;
  /** Operations of a forward pass, in units of 10^9. */
  readonly gflop: number;
  /** Figures of all runtimes, ours first. */
  readonly runtimes: readonly PeerFigures[];
  /** Reasons why runtimes are missing. */
  readonly missing: Readonly<Partial<Record<PeerName, string>>>;
}

/**
 * Times a random model's forward pass here and in the peers, in turn, round by round.
 * @throws {Error} when a peer's logits differ from ours, since then it computes something else
 */
export async function benchPeers(gpu: Gpu, options: PeersOptions): Promise<PeersReport> {
  const { shape, rows, asked, weights, rounds, only } = options;
  const codes = quantisedName(weights);
  const quantisation = codes && { scheme: quantised(codes, 32), head: false };
  const drawing = { quantisation };
  const dir = await Deno.makeTempDir({ prefix: "unmask_peers_" });
  const runners: Runner[] = [];
  const missing: Partial<Record<PeerName, string>> = {};
  let gflop = 0;
  try {
    using drawn = syntheticModel(shape, drawing);
    const asks = (family: string) => only.some((name) => name.startsWith(family));
    if (asks("onnxruntime")) writeOnnx(dir, drawn.config, drawn.checkpoint, options);
    if (asks("node-llama-cpp")) writeGguf(dir, drawn.config, drawn.checkpoint);
    const ids = Int32Array.from({ length: rows }, (_, i) => (i * 31) % (shape.vocabSize - 2));
    using models = new DisposableStack();
    const ours = quantisation ? ["f32", "int8"] as const : ["f32"] as const;
    for (const precision of ours) {
      const options = { ...drawing, precision: { arithmetic: precision } };
      const model = models.use(await loadSynthetic(gpu, shape, options));
      runners.push(ourRunner(model, ids, asked, { weights, precision }));
      gflop = forwardOperations(model, rows, asked) / 1e9;
    }
    for (const name of only) {
      try {
        runners.push(await openPeer(name, dir, { ids, asked }, weights));
      } catch (error) {
        missing[name] = (error as Error).message.split("\n")[0];
      }
    }
    if (runners.length === ours.length) {
      const reasons = Object.entries(missing).map(([name, why]) => `${name}: ${why}`);
      throw new Error(
        `no other runtime could be loaded. ${reasons.join("; ")}\nThey are downloaded from ` +
          "registry.npmjs.org at the first start of `deno task peers`.",
      );
    }
    const checks = await checkAgreement(runners);
    const times = await timeInTurn(runners, rounds);
    const report: PeersReport = {
      version: VERSION,
      date: new Date().toISOString(),
      processors: navigator.hardwareConcurrency,
      shape,
      rows,
      asked,
      weights,
      gflop,
      runtimes: runners.map(({ name, device, precision }, i) => ({
        name,
        device,
        precision,
        ...checks[i],
        ...peerFigures(gflop, times[i], times[0]),
      })),
      missing,
    };
    print(report);
    return report;
  } finally {
    for (const runner of runners) await runner.close();
    await Deno.remove(dir, { recursive: true });
  }
}

/**
 * Compares each runtime's predictions with those of our first runner in f32 or in int8. It also
 * compiles what a pass needs.
 * @throws {Error} when their distance is more than {@linkcode LOGITS_TOLERANCE}
 */
export async function checkAgreement(runners: readonly Runner[]) {
  const checks = [];
  const ours = new Map<boolean, { logits: Float32Array; tokens: ArrayLike<number | bigint> }>();
  for (const runner of runners) {
    const { name, precision } = runner;
    const tokens = await runner.tokens();
    const logits = centred(await runner.logits(), tokens.length);
    const rounded = precision === "int8";
    if (!ours.has(rounded)) ours.set(rounded, { logits, tokens });
    const expected = ours.get(rounded)!;
    const logitsDistance = distance(logits, expected.logits);
    const most = LOGITS_TOLERANCE[precision];
    if (!(logitsDistance <= most)) {
      throw new Error(
        `${name}: its logits are off by ${logitsDistance.toExponential(1)} of ours, ` +
          `expected at most ${most}: it does not compute the same`,
      );
    }
    const same = (token: number | bigint, i: number) =>
      Number(token) === Number(expected.tokens[i]);
    checks.push({ logitsDistance, sameTokens: Array.from(tokens).filter(same).length });
  }
  return checks;
}

/** Subtracts each row's mean, since adding a constant to a row of logits changes no prediction. */
function centred(logits: Float32Array, rows: number): Float32Array {
  const ids = logits.length / rows;
  const means = Float64Array.from({ length: rows }, (_, row) => {
    const values = logits.subarray(row * ids, (row + 1) * ids);
    return values.reduce((sum, value) => sum + value, 0) / ids;
  });
  return logits.map((value, i) => value - means[Math.floor(i / ids)]);
}

/** Euclidean norm of `a - b` divided by that of `b`. NaN if lengths differ or a value is NaN. */
export function distance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return NaN;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

/**
 * Times runtimes in turn.
 * @returns milliseconds by runtime and round; each round starts with another
 */
async function timeInTurn(runners: readonly Runner[], rounds: number): Promise<number[][]> {
  const times = runners.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < runners.length; turn++) {
      const i = (round + turn) % runners.length;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
      const start = performance.now();
      await runners[i].tokens();
      times[i].push(performance.now() - start);
    }
  }
  return times;
}

/** Computes a runtime's figures from its times. @param ours our times in the same rounds */
export function peerFigures(
  gflop: number,
  milliseconds: readonly number[],
  ours: readonly number[],
): Pick<PeerFigures, "milliseconds" | "gflopPerSecond" | "timeToOurs"> {
  const ratios = milliseconds.map((time, round) => time / ours[round]).sort((a, b) => a - b);
  const at = (share: number) => ratios[Math.round(share * (ratios.length - 1))];
  return {
    milliseconds,
    gflopPerSecond: gflop * 1000 / median(milliseconds),
    timeToOurs: [at(0.25), at(0.5), at(0.75)],
  };
}

function print({ shape, rows, asked, gflop, runtimes, missing }: PeersReport): void {
  const { hiddenSize, layers, heads, ffnSize, vocabSize } = shape;
  console.log(
    `${layers} layers of d_model ${hiddenSize}, ${heads} heads, FFN ${ffnSize}; ${rows} rows, ` +
      `${asked} predictions among ${vocabSize} ids: ${gflop.toFixed(1)} GFLOP`,
  );
  const table = new FittedTable({
    head: [
      "runtime",
      "on",
      "computed in",
      "ms",
      "GFLOP/s",
      "time to ours, quartiles",
      "logits off",
      "same tokens",
    ],
  });
  runtimes.forEach((one, i) => {
    table.push([
      one.name,
      one.device,
      one.precision,
      median(one.milliseconds).toFixed(1),
      one.gflopPerSecond.toFixed(1),
      i === 0 ? "" : one.timeToOurs.map((ratio) => ratio.toFixed(2)).join("  "),
      one.logitsDistance ? one.logitsDistance.toExponential(1) : "",
      `${one.sameTokens} of ${asked}`,
    ]);
  });
  console.log(`${table}`);
  for (const [name, why] of Object.entries(missing)) console.log(`${name} is missing: ${why}`);
}
