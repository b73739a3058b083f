/** The model card of a pruned folder: what was removed, what that costs, and the commands. */

import type { DraftFigures } from "../../evaluate/draft_agreement.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { passShare } from "../../model/pass_cost.ts";
import {
  ablationHead,
  ablationRows,
  type Analysis,
  markdownTable,
  skippedName,
} from "./analysis.ts";
import type { AutoChoice } from "./auto_pruning.ts";
import { prunedConfig, type Pruning } from "./pruning.ts";

/** What a card tells. */
export interface CardContent {
  /** Name of the original. */
  readonly original: string;
  readonly name: string;
  readonly config: ModelConfig;
  readonly pruning: Pruning;
  /** Parameters before and after. */
  readonly parameters: readonly [before: number, after: number];
  /** The command that made the folder. */
  readonly command: string;
  /** Agreement before any training, where it was measured. */
  readonly figures?: DraftFigures;
  /** How importances came about; undefined where no neuron was removed. */
  readonly importance?: string;
  /** The analysis that the choice was made by. */
  readonly analysis?: Analysis;
  readonly auto?: AutoChoice;
}

/** README.md of the folder. */
export function prunedCard(content: CardContent): string {
  const { original, name, config, pruning, parameters: [before, after], command } = content;
  const pruned = prunedConfig(config, pruning);
  const removed = [...Array(config.layers).keys()]
    .filter((layer) => !pruning.layers.includes(layer));
  const percent = (part: number) => `${(100 * part).toFixed(1)}%`;
  const rows = [
    ["Layers", `${config.layers}`, `${pruned.layers}`],
    ["FFN neurons of a layer", `${config.ffnSize}`, `${pruned.ffnSize}`],
    ["Hidden size", `${config.hiddenSize}`, `${pruned.hiddenSize}`],
    ["Parameters", grouped(before), grouped(after)],
    ["Multiplications of a pass, head included", "100%", percent(passShare(pruned, config))],
  ];
  const parts = [
    `---\nbase_model: ${JSON.stringify(original)}\n---`,
    `# ${name}`,
    `${original} with less: a draft for it, not yet trained. Kept weights are copied unchanged.`,
    markdownTable(["", original, name], rows),
    `Layers removed: ${skippedName(removed)}. Layers kept (original indices): ` +
    `${pruning.layers.join(", ")}. Kept neurons are listed in config.json, under \`pruning\`.`,
  ];
  if (content.importance !== undefined) {
    parts.push(
      `Neurons kept are those of the largest importance in each layer: the mean of ` +
        `|silu(gate) x up| ${content.importance}.`,
    );
  }
  if (content.figures) {
    parts.push(
      "## Before training",
      markdownTable(
        ablationHead([{ skipped: [], ...content.figures }]).slice(1),
        ablationRows([{ skipped: [], ...content.figures }]).map((row) => row.slice(1)),
      ),
    );
  }
  if (content.auto) parts.push(...autoParts(content.auto, config));
  if (content.analysis && content.analysis.ablations.length > 0) {
    const { ablations, examples, data } = content.analysis;
    parts.push(
      "## Ablation",
      `Agreement of ${original} with itself when layers are left out, on ${examples} examples of ` +
        `${data.join(", ")}.`,
      markdownTable(ablationHead(ablations), ablationRows(ablations)),
    );
  }
  parts.push(
    "## Commands",
    "```\n" + command + `\nunmask distil --teacher ${original} --student ${name} --data FILE\n` +
      "```",
  );
  return parts.join("\n\n") + "\n";
}

function autoParts({ chosen, candidates, rounds }: AutoChoice, config: ModelConfig): string[] {
  const rows = candidates.map((candidate) => [
    `${candidate.pruning.layers.length}`,
    `${candidate.pruning.neurons[0].length}`,
    candidate.cost.toFixed(4),
    candidate.figures.agreement.toFixed(4),
    candidate === chosen ? "chosen" : "",
  ]);
  const parts = [
    "## Choice",
    "Depths and widths that cost no more than was asked for, before training:",
    markdownTable(["Layers", "Neurons", "Cost", "Avg agreement", ""], rows),
  ];
  if (rounds.length > 0) {
    parts.push(
      `Layers removed one by one from ${config.layers}, each time the one that is missed least:`,
      markdownTable(ablationHead(rounds), ablationRows(rounds)),
    );
  }
  return parts;
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
