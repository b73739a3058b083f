/**
 * `unmask bench pair`: a target and its draft of full size, with random weights, denoise one
 * answer. It shows that they fit, that they finish, and that memory use does not grow.
 */

import { newSequence } from "../denoise/sequence.ts";
import { commitVerify } from "../denoise/strategies/commit_verify.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Model } from "../model/model.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import type { TileLookup } from "../model/tiles/tiled_matrix.ts";
import { loadSynthetic } from "../model/synthetic/synthetic.ts";
import { SYNTHETIC_SHAPES, type SyntheticShapeName } from "../model/synthetic/synthetic_shape.ts";
import { quantised, type QuantisedName } from "../quant/scheme.ts";
import { gigabytes } from "../weights/disk_space.ts";
import { type ShowProgress, SILENT } from "./progress.ts";

/** Options of the pair bench. */
export interface PairOptions {
  readonly target: SyntheticShapeName;
  readonly draft: SyntheticShapeName;
  /** How both models' weights are stored; undefined: bf16. */
  readonly weights?: QuantisedName;
  /** Number of layers instead of the shapes' own; fewer give a quick look. */
  readonly layers?: number;
  readonly promptTokens: number;
  readonly tokens: number;
  readonly blockLength: number;
}

/** The result of the pair bench. */
export interface PairReport extends PairOptions {
  readonly adapter: string;
  readonly weightBytes: number;
  readonly loadSeconds: number;
  readonly seconds: number;
  readonly targetForwards: number;
  readonly draftForwards: number;
  readonly tokensPerSecond: number;
  /** Share of the time in which the program did not wait for the GPU. */
  readonly hostShare: number;
  /**
   * Resident memory of this process after each round; with a software adapter it includes the
   * device's.
   */
  readonly residentBytes: readonly number[];
  readonly peakBytes: number;
}

/**
 * Loads the pair, denoises one answer by `commit_verify`, and prints each round.
 * @param more.tiles tiles of the matrices that were tuned; default: none were
 */
export async function benchPair(
  gpu: Gpu,
  options: PairOptions,
  { tiles, progress = SILENT }: {
    readonly tiles?: TileLookup;
    readonly progress?: ShowProgress;
  } = {},
): Promise<PairReport> {
  const { promptTokens, tokens, blockLength, weights } = options;
  const start = performance.now();
  let weightBytes = 0;
  const load = async (name: SyntheticShapeName, seed: number): Promise<Model> => {
    const report = progress(`filling ${name}`, binarySize, true);
    const shape = SYNTHETIC_SHAPES[name];
    let bytes = 0;
    try {
      return await loadSynthetic(gpu, { ...shape, layers: options.layers ?? shape.layers }, {
        seed,
        tiles,
        quantisation: weights && { scheme: quantised(weights, 32), head: true },
        onProgress(done, total) {
          bytes = total;
          report.update(done, total);
        },
      });
    } finally {
      weightBytes += bytes;
      report.stop();
    }
  };
  using target = await load(options.target, 1);
  using draft = await load(options.draft, 2);
  const loadSeconds = (performance.now() - start) / 1000;
  const resident = [Deno.memoryUsage().rss];
  console.log(
    `${options.target} and ${options.draft}, ${weights ?? "bf16"}: ${gigabytes(weightBytes)} of ` +
      `weights on ${gpu.name} in ${loadSeconds.toFixed(0)} s, ${gigabytes(resident[0])} resident`,
  );

  const { maskTokenId, eosTokenId } = target.config;
  const prompt = Uint32Array.from({ length: promptTokens }, (_, i) => 101 + 7919 * i % 50000);
  const sequence = newSequence(prompt, tokens, maskTokenId);
  // A model with random weights is never confident. With thresholds of 0 the draft fills a block in
  // one step and every guess is kept.
  const run = commitVerify(sequence, target, draft, {
    blockLength,
    steps: tokens,
    seeds: [0],
    eosToken: eosTokenId,
    endTokens: [],
    stopAtEnd: false,
    depth: 1,
    draftThreshold: 0,
    targetThreshold: 0,
    backThreshold: 0,
  });
  const waited = () => target.readback.waitedMilliseconds + draft.readback.waitedMilliseconds;
  const waitedBefore = waited();
  const begin = performance.now();
  let committed = 0;
  let next = await run.next();
  while (!next.done) {
    committed += next.value.commits[0].length;
    resident.push(Deno.memoryUsage().rss);
    const seconds = ((performance.now() - begin) / 1000).toFixed(0);
    console.log(
      `${committed} of ${tokens} tokens after ${seconds} s, ${
        gigabytes(resident.at(-1)!)
      } resident`,
    );
    next = await run.next();
  }
  const seconds = (performance.now() - begin) / 1000;
  const hostShare = 1 - (waited() - waitedBefore) / (1000 * seconds);
  const { sequence: answer, targetForwards, draftForwards } = next.value;
  if (answer.ids.includes(maskTokenId, promptTokens)) throw new Error("the answer holds masks");
  const peakBytes = Math.max(...resident);
  console.log(
    `${tokens} tokens in ${seconds.toFixed(0)} s: ${targetForwards} target and ${draftForwards} ` +
      `draft forwards, host share ${(100 * hostShare).toFixed(2)}%; at most ${
        gigabytes(peakBytes)
      } resident`,
  );
  return {
    ...options,
    adapter: gpu.name,
    weightBytes,
    loadSeconds,
    seconds,
    targetForwards,
    draftForwards,
    tokensPerSecond: tokens / seconds,
    hostShare,
    residentBytes: resident,
    peakBytes,
  };
}
