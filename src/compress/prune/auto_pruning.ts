/**
 * Chooses what to keep for a given cost: layers one by one, each time the one that is missed least, and
 * for every depth the widest feed-forward layers that the cost allows. What agrees best is taken.
 */

import type { DraftFigures } from "../../evaluate/draft_agreement.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { passShare } from "../../model/pass_cost.ts";
import type { Ablation } from "./ablation.ts";
import { choosePruning, type Importance, prunedConfig, type Pruning } from "./pruning.ts";

/** Layers that are tried in a round, those that were missed least in the round before. */
const TRIED = 8;
/**
 * Neurons are kept in whole groups, of at most so many and a 32nd of the layer: rows are padded to 8
 * anyway, and scales of quantised weights are shared by up to 64.
 */
const NEURON_GROUP = 64;
/** Narrowest feed-forward layer, as a share of the original's: below it a layer is better dropped. */
const NARROWEST = 1 / 8;

/** A depth and width that meet the cost, and how the model agrees, before any training. */
export interface Candidate {
  readonly pruning: Pruning;
  /** Share of a pass of the original. */
  readonly cost: number;
  readonly figures: DraftFigures;
}

/** What was tried and chosen. */
export interface AutoChoice {
  readonly chosen: Candidate;
  /** Of every depth that meets the cost, the deepest first. */
  readonly candidates: readonly Candidate[];
  /** The rounds of removing layers, each with the layers skipped so far. */
  readonly rounds: readonly Ablation[];
}

/** How models are measured. */
export interface AutoMeasures {
  /** Told how many measurements there will be, before the first. */
  planned?(measurements: number): void;
  /** The model without some layers. */
  ablate(skipped: readonly number[]): Promise<Ablation>;
  /** A pruned model. Called when no more layers are removed. */
  measure(pruning: Pruning): Promise<DraftFigures>;
}

/** Layers that are tried where so many are skipped already: at first all of them. */
function triedIn(layers: number, skipped: number): number {
  return skipped === 0 ? layers : Math.min(TRIED, layers - skipped);
}

/**
 * For every number of layers from `layers - 1` down to 1, the layers that are missed least, found by
 * removing one at a time.
 */
export async function* removeGreedily(
  layers: number,
  ablate: AutoMeasures["ablate"],
): AsyncGenerator<Ablation, void> {
  let skipped: readonly number[] = [];
  let order = [...Array(layers).keys()];
  while (skipped.length < layers - 1) {
    const tried: { layer: number; found: Ablation }[] = [];
    for (const layer of order.slice(0, triedIn(layers, skipped.length))) {
      const found = await ablate([...skipped, layer].sort((a, b) => a - b));
      tried.push({ layer, found });
    }
    // Of equal ones the later layer, as depth is missed least late in the model.
    const ranked = tried.sort((a, b) => b.found.agreement - a.found.agreement || b.layer - a.layer);
    const [best] = ranked;
    const behind = order.filter((layer) => !ranked.some((one) => one.layer === layer));
    order = [...ranked.slice(1).map(({ layer }) => layer), ...behind];
    skipped = best.found.skipped;
    yield best.found;
  }
}

/**
 * The most neurons with which a depth costs no more than a share of the original's pass, in whole groups;
 * undefined where even the narrowest costs more.
 */
export function widestWithin(
  config: ModelConfig,
  layers: number,
  cost: number,
): number | undefined {
  const fine = 2 ** Math.floor(Math.log2(Math.max(1, config.ffnSize / 32)));
  const group = Math.min(NEURON_GROUP, fine);
  const shareOf = (ffnSize: number) => passShare({ ...config, layers, ffnSize }, config);
  if (shareOf(config.ffnSize) <= cost) return config.ffnSize;
  const each = shareOf(1) - shareOf(0);
  let width = Math.floor((cost - shareOf(0)) / each / group) * group;
  // Rounding of the shares may be off by one group.
  while (width > 0 && shareOf(width) > cost) width -= group;
  return width >= NARROWEST * config.ffnSize ? width : undefined;
}

/**
 * Chooses by measuring.
 * @param cost share of a pass of the original, head counted
 * @throws {RangeError} when no depth and width cost so little
 */
export async function chooseWithin(
  config: ModelConfig,
  importance: Importance,
  cost: number,
  measures: AutoMeasures,
): Promise<AutoChoice> {
  const depths = [...Array(config.layers).keys()].map((i) => config.layers - i)
    .filter((layers) => widestWithin(config, layers, cost) !== undefined);
  if (depths.length === 0) {
    const least = passShare(
      { ...config, layers: 1, ffnSize: Math.ceil(NARROWEST * config.ffnSize) },
      config,
    );
    throw new RangeError(
      `a cost of ${cost} is below ${least.toFixed(3)}, that of one narrow layer and the head. ` +
        "Allow more: the head is shared by every draft.",
    );
  }
  const removed = config.layers - Math.min(...depths);
  const tried = Array.from({ length: removed }, (_, skipped) => triedIn(config.layers, skipped));
  measures.planned?.(tried.reduce((sum, count) => sum + count, depths.length));
  const rounds: Ablation[] = [];
  if (removed > 0) {
    for await (const round of removeGreedily(config.layers, measures.ablate)) {
      if (rounds.push(round) === removed) break;
    }
  }
  const candidates: Candidate[] = [];
  for (const layers of depths) {
    const dropLayers = layers === config.layers ? [] : rounds[config.layers - layers - 1].skipped;
    const width = widestWithin(config, layers, cost)!;
    const pruning = choosePruning(config, {
      dropLayers,
      ffnKeep: width / config.ffnSize,
      importance,
    });
    const figures = await measures.measure(pruning);
    candidates.push({ pruning, cost: passShare(prunedConfig(config, pruning), config), figures });
  }
  const chosen = candidates.reduce((best, other) =>
    other.figures.agreement > best.figures.agreement ? other : best
  );
  return { chosen, candidates, rounds };
}
