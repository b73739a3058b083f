/** What a run prints while it goes on: a bar on a terminal, lines elsewhere, and pictures of it. */

import { evaluatedLines, fixed, type HistoryLine } from "../compress/run/history.ts";
import type { RunEvent } from "../compress/run/run.ts";
import type { Length } from "../compress/run/schedule.ts";
import type { Gpu } from "../gpu/device.ts";
import { partOf } from "../weights/safetensors_writer.ts";
import { drawHistory } from "./history_picture.ts";
import { Log } from "./terminal/log.ts";
import { duration } from "./terminal/pace.ts";
import { type ProgressReport, progressReport } from "./terminal/progress.ts";
import { canRedraw } from "./terminal/terminal.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Seconds that the pace looks back. */
const WINDOW = 60;

/** Shows a run. */
export class TrainingView {
  readonly #label: string;
  readonly #length: Length;
  readonly #log = new Log();
  readonly #seen: { readonly seconds: number; readonly tokens: number; readonly done: number }[] =
    [];
  #report: ProgressReport | undefined;
  #loss = 0;

  constructor(label: string, length: Length) {
    this.#label = label;
    this.#length = length;
  }

  /** Shows what has happened. */
  show(event: RunEvent): void {
    if (event.kind === "broken") this.line(`Warning: a checkpoint is broken: ${event.why}`);
    if (event.kind === "start" && event.step > 0) this.line(`Goes on after step ${event.step}.`);
    if (event.kind === "step") {
      const { seconds, tokens, losses: { loss } } = event;
      this.#loss = this.#loss === 0 ? loss : 0.9 * this.#loss + 0.1 * loss;
      this.#seen.push({ seconds, tokens, done: this.#done(event) });
      while (this.#seen.length > 2 && seconds - this.#seen[1].seconds > WINDOW) this.#seen.shift();
      if (!canRedraw("stderr")) return;
      this.#report ??= progressReport(
        this.#label,
        (total) => "steps" in this.#length ? `${total} steps` : `${counted(total)} tokens`,
        false,
        () => `, loss ${this.#loss.toFixed(4)}${this.#pace()}`,
      );
      this.#report.update(Math.min(this.#done(event), this.#total), this.#total);
    }
    if (event.kind === "line") this.line(lineText(event.line, event.isBest, this.#pace()));
    if (event.kind === "end") this.stop();
  }

  /** Prints a line; a bar stands below it again at the next step. */
  line(text: string): void {
    this.stop();
    this.#log.error(text);
  }

  /** Removes the bar. */
  stop(): void {
    this.#report?.stop();
    this.#report = undefined;
  }

  #done({ step, tokens }: { readonly step: number; readonly tokens: number }): number {
    return "steps" in this.#length ? step : tokens;
  }

  get #total(): number {
    return "steps" in this.#length ? this.#length.steps : this.#length.tokens;
  }

  #pace(): string {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    const seconds = last ? last.seconds - first.seconds : 0;
    if (!(seconds > 0)) return "";
    const rate = (last!.tokens - first.tokens) / seconds;
    const left = (this.#total - last!.done) * seconds / (last!.done - first.done);
    return `, ${counted(Math.round(rate))} tokens/s` + (left > 0 ? `, ${duration(left)} left` : "");
  }
}

const counted = (value: number) => value.toLocaleString("en-US");

function lineText(line: HistoryLine, isBest: boolean, pace: string): string {
  const { step, loss, rate, evaluation } = line;
  const parts = [
    `step ${step}`,
    ...loss === undefined ? [] : [`loss ${loss.toFixed(4)}`, `rate ${rate!.toPrecision(3)}`],
    ...evaluation ? [agreementText(evaluation, isBest)] : [],
  ];
  return parts.join(", ") + pace;
}

function agreementText(
  { average, agreement, confidentCorrect }: NonNullable<HistoryLine["evaluation"]>,
  isBest: boolean,
): string {
  const each = agreement.map((value) => value.toFixed(4)).join(" / ");
  return `agreement ${average.toFixed(4)} (${each}), confident-correct ` +
    `${fixed(confidentCorrect)}${isBest ? ", best" : ""}`;
}

/** Draws the history into a file, which is replaced. */
export async function writeHistoryPicture(
  gpu: Gpu,
  title: string,
  lines: readonly HistoryLine[],
  file: string,
): Promise<void> {
  if (lines.every(({ loss }) => loss === undefined) && evaluatedLines(lines).length < 2) return;
  await Deno.writeFile(partOf(file), pngOf(await drawHistory(gpu, title, lines)));
  Deno.renameSync(partOf(file), file);
}
