/** What an analysis finds, and how it is told: as JSON and as Markdown tables. */

import type { ModelConfig } from "../../model/model_config.ts";
import type { Ablation } from "./ablation.ts";
import { INACTIVE, inactiveNeurons, type WidthImportance } from "./width_importance.ts";

/** Shares of neurons for which it is told how much of the importance the others carry. */
const CUTS = [0.75, 0.5, 0.25] as const;

/** The neurons and heads of a layer. */
export interface LayerWidths {
  readonly layer: number;
  /** Neurons whose importance is below {@linkcode INACTIVE}. */
  readonly inactive: number;
  /** Mean importance of a neuron. */
  readonly mean: number;
  /** For each share of neurons kept: share of the layer's importance that the others carry. */
  readonly lost: readonly { readonly keep: number; readonly lost: number }[];
  /** Importance of each head. */
  readonly heads: readonly number[];
}

/** The report that analysis.json holds. */
export interface Analysis {
  readonly model: string;
  readonly layers: number;
  readonly ffn_size: number;
  readonly examples: number;
  readonly data: readonly string[];
  readonly seed: number;
  readonly device: string;
  /** Weights that were multiplied with: as stored, or quantised. */
  readonly weights: string;
  /** Every layer alone, then blocks by length. */
  readonly ablations: readonly Ablation[];
  /** Positions that importances are means over. */
  readonly positions: number;
  readonly widths: readonly LayerWidths[];
  /** Holds the importance of every neuron, beside this report. */
  readonly importance_file: string;
}

/** Sums up importances by layers. */
export function layerWidths(
  { neurons, heads }: WidthImportance,
  { ffnSize }: Pick<ModelConfig, "ffnSize">,
): LayerWidths[] {
  return neurons.map((values, layer) => {
    const sorted = Float64Array.from(values).sort();
    const total = sorted.reduce((sum, value) => sum + value, 0);
    return {
      layer,
      inactive: inactiveNeurons(values),
      mean: total / ffnSize,
      lost: CUTS.map((keep) => {
        const cut = sorted.subarray(0, ffnSize - Math.max(1, Math.round(keep * ffnSize)));
        return { keep, lost: cut.reduce((sum, value) => sum + value, 0) / total };
      }),
      heads: [...heads[layer]],
    };
  });
}

/** `3`, or `12-19` for a block. */
export function skippedName(skipped: readonly number[]): string {
  const [first, last] = [skipped[0], skipped[skipped.length - 1]];
  if (skipped.length === 0) return "none";
  const isBlock = last - first === skipped.length - 1;
  return skipped.length === 1 ? `${first}` : isBlock ? `${first}-${last}` : skipped.join(",");
}

/** Rows of the table of ablations, as the published draft's card has it. */
export function ablationRows(ablations: readonly Ablation[]): string[][] {
  return ablations.map(({ skipped, agreement, byRatio, confidentCorrect }) => [
    skippedName(skipped),
    share(agreement),
    ...byRatio.map((one) => share(one.agreement)),
    share(confidentCorrect),
  ]);
}

/** Head of {@linkcode ablationRows}. */
export function ablationHead(ablations: readonly Ablation[]): string[] {
  const ratios = ablations[0]?.byRatio ?? [];
  const at = ratios.map(({ maskRatio }) => `@${maskRatio}`);
  return ["Removed", "Avg", ...at, "Confident-correct"];
}

/** Rows of the table of neurons. */
export function widthRows(widths: readonly LayerWidths[]): string[][] {
  return widths.map(({ layer, inactive, mean, lost }) => [
    `${layer}`,
    `${inactive}`,
    mean.toPrecision(3),
    ...lost.map((one) => share(one.lost)),
  ]);
}

/** Head of {@linkcode widthRows}. */
export const WIDTH_HEAD: readonly string[] = [
  "Layer",
  `Inactive (below ${INACTIVE})`,
  "Mean importance",
  ...CUTS.map((keep) => `Lost by keeping ${100 * keep}%`),
];

/** Rows of the table of heads: one a layer, the least important head marked. */
export function headRows(widths: readonly LayerWidths[]): string[][] {
  return widths.map(({ layer, heads }) => [
    `${layer}`,
    `${heads.indexOf(Math.min(...heads))}`,
    Math.min(...heads).toPrecision(3),
    Math.max(...heads).toPrecision(3),
  ]);
}

/** Head of {@linkcode headRows}. */
export const HEAD_HEAD: readonly string[] = ["Layer", "Least head", "Its importance", "Largest"];

/** analysis.md */
export function analysisMarkdown(analysis: Analysis): string {
  const { model, examples, data, seed, device, weights, ablations, positions, widths } = analysis;
  const inactive = widths.reduce((sum, one) => sum + one.inactive, 0);
  return `# What ${model} needs

Agreement with the whole model on masked answer tokens, ${examples} examples of ${data.join(", ")},
seed ${seed}; weights ${weights}, on ${device}.

## Layers

${markdownTable(ablationHead(ablations), ablationRows(ablations))}

## Neurons

Mean of |silu(gate) x up| over ${positions} positions. ${inactive} of ${
    analysis.layers * analysis.ffn_size
  } neurons are inactive.

${markdownTable(WIDTH_HEAD, widthRows(widths))}

## Heads

${markdownTable(HEAD_HEAD, headRows(widths))}
`;
}

/** A Markdown table. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** A share of nothing is NaN, which is null where it has been JSON. */
function share(value: number | null): string {
  return value === null || Number.isNaN(value) ? "-" : value.toFixed(4);
}
