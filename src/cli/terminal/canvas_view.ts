/** The canvas of masked and committed tokens as text for a terminal. */

import { styleText } from "node:util";
import stringWidth from "string-width";
import type { CommittedToken, GenerateEvent } from "../../engine/request.ts";
import { pictureOf, type TerminalSize } from "./terminal.ts";

type StartEvent = Extract<GenerateEvent, { type: "start" }>;
type StepEvent = Extract<GenerateEvent, { type: "step" }>;
type EndEvent = Extract<GenerateEvent, { type: "end" }>;

/** How a masked position is drawn. */
const MASK = "░";
/** How a control token is drawn: its name would be longer than the rest of the answer. */
const CONTROL_TOKEN = "∎";
const LEGEND = `${MASK} masked  ⏎ line end  ${CONTROL_TOKEN} control token`;
/** A token below this probability is drawn as unsure. */
const UNSURE = 0.5;
/** Columns of the progress bar. */
const BAR_COLUMNS = 16;
/** Rows that are not canvas: status, legend, the cursor's row, and two that say what is hidden. */
const OTHER_ROWS = 5;

type Look = "masked" | "fresh" | "unsure" | "sure";

/** Style of each kind of token, when colours are on. */
const STYLES: Readonly<Record<Look, Parameters<typeof styleText>[0] | undefined>> = {
  masked: "gray",
  fresh: "inverse",
  unsure: "yellow",
  sure: undefined,
};

/** One character of a token, as it is drawn. */
interface Cell {
  readonly text: string;
  readonly width: number;
  readonly look: Look;
}

/** Follows one generation and draws it. */
export class CanvasView {
  readonly #start: StartEvent;
  readonly #colours: boolean;
  readonly #tokens: (CommittedToken | undefined)[];
  #fresh: ReadonlySet<number> = new Set();
  #step: StepEvent | undefined;
  #committed = 0;

  /** @param colours whether to style the text */
  constructor(start: StartEvent, colours: boolean) {
    this.#start = start;
    this.#colours = colours;
    this.#tokens = new Array(start.generationLength).fill(undefined);
  }

  /** Applies the commits of a step to the canvas. */
  apply(step: StepEvent): void {
    this.#step = step;
    this.#fresh = new Set(step.commits.map(({ position }) => position));
    while (this.#tokens.length < (step.grown ?? 0)) this.#tokens.push(undefined);
    for (const commit of step.commits) this.#tokens[commit.position] = commit;
    this.#committed += step.commits.length;
  }

  /** One line about the last step, for output that cannot be redrawn. */
  stepLine(): string {
    const { step, block, commits } = this.#step!;
    const tokens = commits.map(({ position, text, confidence }) =>
      `${position} ${JSON.stringify(text)} ${confidence.toFixed(3)}`
    );
    return `step ${step + 1}/${this.#steps} block ${block + 1}/${this.#blocks}: ` +
      `${tokens.join(", ") || "nothing"} (${this.#committed}/${this.#tokens.length} tokens)`;
  }

  /**
   * The canvas as it is now, one line per row. A canvas that is too high for the terminal is cut to
   * the rows around the current block.
   * @param seconds since the first forward pass
   * @param end the end event, once there is one: the last commits are then drawn like the others
   */
  frame({ columns, rows }: TerminalSize, seconds: number, end?: EndEvent): string {
    const width = Math.max(20, columns - 1);
    const current = this.#step?.block ?? 0;
    const lines: string[] = [];
    let currentRow = 0;
    for (let block = 0; block < this.#blocks; block++) {
      if (block === current) currentRow = lines.length;
      lines.push(...this.#blockLines(block, width, end !== undefined));
    }
    return [
      this.#status(seconds, end, width),
      ...cutOut(lines, currentRow, Math.max(1, rows - OTHER_ROWS)),
      this.#paint(LEGEND.slice(0, width), "masked"),
    ].join("\n");
  }

  /** Steps planned: one more for every position that the canvas grew. */
  get #steps(): number {
    return this.#start.steps + this.#tokens.length - this.#start.generationLength;
  }

  get #blocks(): number {
    return Math.ceil(this.#tokens.length / this.#start.blockLength);
  }

  #status(seconds: number, end: EndEvent | undefined, width: number): string {
    const steps = this.#steps;
    const done = (this.#step?.step ?? -1) + 1;
    const forwards = end?.stats.forwards ?? done;
    const bar = "█".repeat(Math.floor(done / steps * BAR_COLUMNS)).padEnd(BAR_COLUMNS, "·");
    const rate = seconds > 0 ? (this.#committed / seconds).toFixed(1) : "-";
    const status = `${end ? `finished: ${end.finishReason}` : bar}  step ${done}/${steps}  ` +
      `${forwards} forwards  ${this.#committed}/${this.#tokens.length} tokens  ${rate} tokens/s`;
    return status.slice(0, width);
  }

  /** The lines of a block: it begins on a new line, with its number in front. */
  #blockLines(block: number, width: number, over: boolean): string[] {
    const { blockLength } = this.#start;
    const numberWidth = String(this.#blocks).length;
    const first = block * blockLength;
    const cells = this.#tokens.slice(first, first + blockLength)
      .flatMap((token, i) => this.#cells(token, !over && this.#fresh.has(first + i)));
    return wrap(apart(cells), width - numberWidth - 3).map((line, i) => {
      const label = i === 0 ? String(block + 1) : "";
      return `${this.#paint(`${label.padStart(numberWidth)} │ `, "masked")}${this.#draw(line)}`;
    });
  }

  #cells(token: CommittedToken | undefined, fresh: boolean): Cell[] {
    if (!token) return [{ text: MASK, width: 1, look: "masked" }];
    const look = fresh ? "fresh" : token.confidence < UNSURE ? "unsure" : "sure";
    return visibleCharacters(token.text).map((text) => ({ text, width: stringWidth(text), look }));
  }

  #draw(line: readonly Cell[]): string {
    let drawn = "";
    for (let first = 0; first < line.length;) {
      const { look } = line[first];
      let end = first;
      while (end < line.length && line[end].look === look) end++;
      drawn += this.#paint(line.slice(first, end).map(({ text }) => text).join(""), look);
      first = end;
    }
    return drawn;
  }

  #paint(text: string, look: Look): string {
    const style = STYLES[look];
    if (!this.#colours || style === undefined) return text;
    return styleText(style, text, { validateStream: false });
  }
}

const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/**
 * Splits a token's text into characters that do not join with their neighbours. Line feeds and
 * other control characters become pictures, and a combining mark gets a dotted circle to stand on.
 */
export function visibleCharacters(text: string): string[] {
  if (/^<\|.*\|>$/su.test(text)) return [CONTROL_TOKEN];
  const safe = text
    .replaceAll("\n", "⏎")
    .replaceAll("\t", "⇥")
    .replace(/\p{Cc}/gu, pictureOf)
    // Joiners, direction marks and the like would change how neighbouring tokens are drawn.
    .replace(/[\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
  const visible = Array.from(
    characters.segment(safe),
    ({ segment }) =>
      stringWidth(segment) === 0 || /^\p{M}/u.test(segment) ? `◌${segment}` : segment,
  );
  return visible.length > 0 ? visible : ["·"];
}

/**
 * Keeps neighbouring cells from joining: a cell that a terminal would join to the one before it (a
 * skin tone, half a flag) gets a dotted circle in front.
 */
function apart(cells: readonly Cell[]): Cell[] {
  return cells.map((cell, i) => {
    const before = cells[i - 1]?.text ?? "";
    const joined = `${before}${cell.text}`;
    if (
      /^[ -~]*$/.test(joined) ||
      characters.segment(joined).containing(before.length)?.index === before.length
    ) {
      return cell;
    }
    const text = `◌${cell.text}`;
    return { ...cell, text, width: stringWidth(text) };
  });
}

/** Wraps cells into lines of at most `width` columns; there is at least one line. */
function wrap(cells: readonly Cell[], width: number): Cell[][] {
  const lines: Cell[][] = [[]];
  let used = 0;
  for (const cell of cells) {
    if (used + cell.width > width && used > 0) {
      lines.push([]);
      used = 0;
    }
    lines[lines.length - 1].push(cell);
    used += cell.width;
  }
  return lines;
}

/** Cuts lines to at most `most`, starting just above `around`; two lines say what is left out. */
function cutOut(lines: readonly string[], around: number, most: number): string[] {
  if (lines.length <= most) return [...lines];
  const first = Math.max(0, Math.min(around - 1, lines.length - most));
  const below = lines.length - first - most;
  return [
    ...first > 0 ? [`… ${first} lines above`] : [],
    ...lines.slice(first, first + most),
    ...below > 0 ? [`… ${below} lines below`] : [],
  ];
}
