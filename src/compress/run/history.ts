/** The history of a run: a line of JSON for every few steps, and for every evaluation. */

import { dirname } from "node:path";
import { isThere } from "../../weights/json_file.ts";
import { partOf } from "../../weights/safetensors_writer.ts";
import { writeError } from "../../weights/write_error.ts";
import { writeSynced } from "./checkpoint.ts";

/** How well the weights agree with the teacher, or with the text, on held-out examples. */
export interface Evaluation {
  /** By mask ratio, as in {@linkcode Evaluation.ratios}: share of masked tokens that agree. */
  readonly agreement: readonly number[];
  /** Mask ratios that were evaluated. */
  readonly ratios: readonly number[];
  /** Mean of `agreement`. */
  readonly average: number;
  /** Among sure predictions the share that agrees, mean over the ratios; null where none is sure. */
  readonly confidentCorrect: number | null;
  /** Share of predictions that are sure, mean over the ratios. */
  readonly sureShare: number;
}

/** A line of the history. */
export interface HistoryLine {
  /** Steps that are done. */
  readonly step: number;
  /** Tokens of those steps, padding included. */
  readonly tokens: number;
  /** Seconds that they took. */
  readonly seconds: number;
  /** Rate of the last of them. */
  readonly rate?: number;
  /** Mean over the steps since the line before; absent at the start. */
  readonly loss?: number;
  /** Its parts, likewise. */
  readonly terms?: Readonly<Record<string, number>>;
  /** Likewise. */
  readonly gradientNorm?: number;
  /** Absent where nothing was evaluated. */
  readonly evaluation?: Evaluation;
}

/** The file of a history. */
export class History {
  readonly #path: string;
  readonly #lines: HistoryLine[] = [];

  /**
   * Opens a history, or begins one. Lines of later steps are dropped: a run that was killed goes on
   * from its checkpoint, and makes them again.
   */
  constructor(path: string, step: number) {
    this.#path = path;
    if (!isThere(path)) return;
    const texts = Deno.readTextFileSync(path).split("\n");
    for (const text of texts) {
      const line = parsed(text);
      // A line that was cut off is of a step after the checkpoint.
      if (!line || line.step > step) break;
      this.#lines.push(line);
    }
    const kept = this.#lines.map((line) => JSON.stringify(line) + "\n").join("");
    if (kept === texts.join("\n")) return;
    telling(path, () => {
      writeSynced(partOf(path), kept);
      Deno.renameSync(partOf(path), path);
    });
  }

  /** All lines, in the order of their steps. */
  get lines(): readonly HistoryLine[] {
    return this.#lines;
  }

  /** Adds a line; it is on the disk when this returns. */
  append(line: HistoryLine): void {
    telling(this.#path, () => {
      using file = Deno.openSync(this.#path, { append: true, create: true });
      const bytes = new TextEncoder().encode(JSON.stringify(line) + "\n");
      for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
      file.syncSync();
    });
    this.#lines.push(line);
  }
}

/** Writes, and says why and what to do where the system refuses. */
function telling(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw writeError(dirname(path), error);
  }
}

function parsed(text: string): HistoryLine | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A share or a loss as tables have it; a dash where there is none. */
export function fixed(value: number | null | undefined): string {
  return value === undefined || value === null ? "-" : value.toFixed(4);
}

/** The evaluations as a Markdown table, with the columns of the drafts' published cards. */
export function historyTable(lines: readonly HistoryLine[]): string {
  const evaluated = evaluatedLines(lines);
  const [first] = evaluated;
  if (!first) return "";
  const columns = [
    "Step",
    "Tokens",
    "Avg agree",
    ...first.evaluation.ratios.map((ratio) => `Agree@${ratio}`),
    "Confident-correct",
    "Loss",
  ];
  const rows = evaluated.map(({ step, tokens, evaluation, loss }) => [
    String(step),
    tokens.toLocaleString("en-US"),
    fixed(evaluation.average),
    ...evaluation.agreement.map(fixed),
    fixed(evaluation.confidentCorrect),
    fixed(loss),
  ]);
  return [columns, columns.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** A line that has an evaluation; its loss is the mean over all steps since the one before. */
export type EvaluatedLine = HistoryLine & { readonly evaluation: Evaluation };

/** The lines with an evaluation. The loss of each is the mean over the lines since the one before. */
export function evaluatedLines(lines: readonly HistoryLine[]): EvaluatedLine[] {
  const evaluated: EvaluatedLine[] = [];
  let sum = 0;
  let steps = 0;
  let before = 0;
  for (const line of lines) {
    if (line.loss !== undefined) {
      sum += line.loss * (line.step - before);
      steps += line.step - before;
      before = line.step;
    }
    if (!line.evaluation) continue;
    const { evaluation } = line;
    evaluated.push({ ...line, evaluation, loss: steps > 0 ? sum / steps : undefined });
    sum = steps = 0;
  }
  return evaluated;
}
