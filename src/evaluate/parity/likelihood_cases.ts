/** The likelihood case of `unmask parity`: losses/likelihood.json. */

import type { Model } from "../../model/model.ts";
import { batchLoss, type LikelihoodModel, maskedCounts } from "../likelihood.ts";
import { type ParityResult, readGolden } from "./golden_files.ts";
import { sameNumbers } from "./sampling_cases.ts";

/** losses/likelihood.json */
export interface LikelihoodFile {
  readonly checkpoint: string;
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  readonly batch_size: number;
  readonly batches: readonly {
    readonly k: number;
    readonly masked_counts: readonly number[];
    readonly noisy_ids: readonly (readonly number[])[];
  }[];
  readonly results: readonly {
    readonly cfg_scale: number;
    readonly batch_losses: readonly number[];
    readonly log_likelihood: number;
  }[];
  readonly masked_counts_rule: readonly {
    readonly answer_length: number;
    readonly batch_size: number;
    readonly k: number;
    readonly masked_counts: readonly number[];
  }[];
  readonly tolerance: { readonly rel: number };
}

/**
 * Runs the cases of losses/likelihood.json.
 * @param load loads a checkpoint of the folder by its name
 */
export async function* likelihoodCases(
  dir: string,
  load: (checkpoint: string) => Promise<Model>,
): AsyncGenerator<ParityResult, void, void> {
  const golden = readGolden<LikelihoodFile>(dir, "losses", "likelihood.json")!;
  yield* maskedCountCases(golden);
  using model = await load(golden.checkpoint);
  yield* boundCases(golden, model);
}

/** The rule of the numbers of masks: every entry, and those of the batches. */
function* maskedCountCases(golden: LikelihoodFile): Generator<ParityResult, void, void> {
  const { answer, batch_size } = golden;
  const rules = [
    ...golden.masked_counts_rule,
    ...golden.batches.map((batch) => ({ ...batch, answer_length: answer.length, batch_size })),
  ];
  for (const { answer_length, batch_size, k, masked_counts } of rules) {
    const found = maskedCounts(answer_length, batch_size, k);
    yield {
      name: `losses/likelihood masks of ${answer_length} in ${batch_size} from ${k}`,
      passed: sameNumbers(found, masked_counts),
      detail: `[${found}]`,
    };
  }
}

/** Every result: the loss of each batch on the recorded masks, and the likelihood. */
export async function* boundCases(
  golden: LikelihoodFile,
  model: LikelihoodModel & Pick<Model, "config">,
): AsyncGenerator<ParityResult, void, void> {
  const example = {
    prompt: Uint32Array.from(golden.prompt),
    answer: Uint32Array.from(golden.answer),
  };
  const { maskTokenId } = model.config;
  for (const { cfg_scale, batch_losses, log_likelihood } of golden.results) {
    const losses: number[] = [];
    for (const { noisy_ids } of golden.batches) {
      const rows = noisy_ids.map((ids) => Uint32Array.from(ids));
      losses.push(await batchLoss(model, example, rows, { maskTokenId, cfgScale: cfg_scale }));
    }
    const found = -losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    const pairs = [...losses.map((loss, i) => [loss, batch_losses[i]]), [found, log_likelihood]];
    const error = Math.max(...pairs.map(([a, b]) => Math.abs(a - b) / Math.abs(b)));
    yield {
      name: `losses/likelihood cfg ${cfg_scale}`,
      passed: losses.length === batch_losses.length && error <= golden.tolerance.rel,
      detail: `log-likelihood ${found.toFixed(4)}, relative error ${error.toExponential(1)}`,
    };
  }
}
