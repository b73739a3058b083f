/** The page of a model that a run has made: how, from what, and how well. */

import type { ModelConfig } from "../../model/model_config.ts";
import { parameterLayouts } from "../pass/parameter_layout.ts";
import { evaluatedLines, fixed, type HistoryLine, historyTable } from "./history.ts";
import type { Given } from "./settings.ts";

/** What a card tells of. */
export interface CardFacts {
  readonly name: string;
  /** `distil` or `train`. */
  readonly command: string;
  readonly student: ModelConfig;
  readonly teacher?: { readonly name: string; readonly config: ModelConfig };
  /** Samples and size of each file of data. */
  readonly files: readonly {
    readonly path: string;
    readonly samples: number;
    readonly share?: number;
  }[];
  readonly settings: Given;
  /** The command that made it, as it was given. */
  readonly given: string;
  readonly lines: readonly HistoryLine[];
  /** Step of the weights that are written. */
  readonly step: number;
  readonly device: string;
}

function parametersOf(config: ModelConfig): number {
  return parameterLayouts(config)
    .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

const counted = (value: number) => value.toLocaleString("en-US");
const row = (...cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |\n`;

/** Settings in which a path is only its last name: where files lay says nothing to a reader. */
function withoutFolders(settings: unknown): unknown {
  if (typeof settings === "string") return settings.split(/[/\\]/).at(-1);
  if (Array.isArray(settings)) return settings.map(withoutFolders);
  if (typeof settings !== "object" || settings === null) return settings;
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, withoutFolders(value)]),
  );
}

/** The page, in Markdown. */
export function cardOf(facts: CardFacts): string {
  const { name, command, student, teacher, files, settings, given, lines, step, device } = facts;
  const evaluated = evaluatedLines(lines);
  const chosen = evaluated.find((line) => line.step === step);
  const last = lines.at(-1);
  const models = teacher ? [teacher.config, student] : [student];
  const shape = (label: string, of: (config: ModelConfig) => string | number) =>
    row(label, ...models.map(of));
  const against = teacher
    ? `its most likely token is that of ${teacher.name}`
    : "its most likely token is the answer's own";
  const status = chosen
    ? row("Agreement (avg)", chosen.evaluation.average.toFixed(4)) +
      chosen.evaluation.ratios.map((ratio, i) =>
        row(`Agreement @ mask ${ratio}`, chosen.evaluation.agreement[i].toFixed(4))
      ).join("") +
      row("Confident-correct (avg)", fixed(chosen.evaluation.confidentCorrect)) +
      row("Share of positions with confidence > 0.9", chosen.evaluation.sureShare.toFixed(4))
    : "";
  return `# ${name}

Made by \`unmask ${command}\`${teacher ? ` from ${teacher.name}` : ""}.

| Metric | Value |
| --- | --- |
${row("Steps", `${step} of ${last?.step ?? step}`)}${
    row("Tokens (with padding)", counted(last?.tokens ?? 0))
  }${status}
${
    chosen
      ? `Agreement: share of masked answer tokens (up to and with the token that ends the answer, ` +
        `padding not counted) where ${against}, prompt visible, on held-out examples with the ` +
        `response padded and masked at random at the given ratio. Confident-correct: the same share ` +
        `where its probability is above 0.9; mean over the ratios.\n`
      : "Nothing was evaluated: no held-out examples were given.\n"
  }
## Architecture

${row("", ...teacher ? ["Teacher", "Student"] : ["Model"])}${
    row("---", ...models.map(() => "---"))
  }${shape("Layers", ({ layers }) => layers)}${shape("Attention heads", ({ heads }) => heads)}${
    shape("Head dim", ({ headDim }) => headDim)
  }${shape("FFN intermediate dim", ({ ffnSize }) => ffnSize)}${
    shape("Hidden dim (d_model)", ({ hiddenSize }) => hiddenSize)
  }${shape("Vocab size", ({ vocabSize }) => vocabSize)}${
    shape("Total params", (config) => counted(parametersOf(config)))
  }
## How it was made

On ${device}, in ${((last?.seconds ?? 0) / 60).toFixed(1)} minutes. Data:

| File | Samples | Share |
| --- | --- | --- |
${
    files.map(({ path, samples, share }) =>
      row(path.split(/[/\\]/).at(-1)!, counted(samples), share ?? "all")
    ).join("")
  }
${historyTable(lines)}
\`\`\`sh
${given}
\`\`\`

with these settings:

\`\`\`json
${JSON.stringify(withoutFolders(settings), null, 2)}
\`\`\`
`;
}
