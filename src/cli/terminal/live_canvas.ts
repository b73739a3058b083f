/** The canvas of an answer, drawn again at every step, on a terminal or as a line per step. */

import { stripVTControlCharacters } from "node:util";
import { createLogUpdate } from "log-update";
import stringWidth from "string-width";
import type { GenerateEvent } from "../../engine/request.ts";
import { CanvasView } from "./canvas_view.ts";
import { terminalSize, write } from "./terminal.ts";

type EndEvent = Extract<GenerateEvent, { type: "end" }>;

/** Escapes that erase the cursor's row and go to the one above. */
const ERASE_ROW = "\x1b[2K\x1b[1A";

/** Draws one generation after the other. */
export class LiveCanvas {
  readonly #redraw: boolean;
  readonly #draw = createLogUpdate(OUTPUT);
  #view: CanvasView | undefined;
  #start = 0;
  #frame = "";
  #columns = 0;

  /** @param redraw whether the terminal can be drawn on; otherwise each step is a line */
  constructor(redraw: boolean) {
    this.#redraw = redraw;
  }

  /** Shows the next event. */
  show(event: GenerateEvent): void {
    if (event.type === "start") {
      this.#view = new CanvasView(event, this.#redraw && !Deno.noColor);
      this.#start = performance.now();
    } else if (event.type === "step") {
      this.#view!.apply(event);
      if (!this.#redraw) write(`${this.#view!.stepLine()}\n`);
    }
    if (this.#redraw) this.#drawFrame(event.type === "end" ? event : undefined);
  }

  /** Leaves the last drawing where it is, and restores the terminal. */
  keep(): void {
    if (this.#redraw) this.#draw.done();
    this.#frame = "";
  }

  /** Removes the drawing, and restores the terminal. */
  clear(): void {
    if (this.#redraw) {
      this.#eraseWrapped();
      this.#draw.clear();
    }
    this.keep();
  }

  #drawFrame(end: EndEvent | undefined): void {
    const size = terminalSize();
    this.#eraseWrapped();
    const seconds = end?.stats.seconds ?? (performance.now() - this.#start) / 1000;
    this.#frame = this.#view!.frame(size, seconds, end);
    this.#columns = size.columns;
    this.#draw(this.#frame);
  }

  /** A terminal that became narrower has wrapped what was drawn: erases the rows that were added. */
  #eraseWrapped(): void {
    const { columns } = terminalSize();
    if (this.#frame === "" || columns >= this.#columns) return;
    write(ERASE_ROW.repeat(addedRows(this.#frame, columns)));
    this.#columns = columns;
  }
}

/** Rows that a frame takes more on a terminal of so many columns than it has lines. */
export function addedRows(frame: string, columns: number): number {
  return frame.split("\n").reduce((rows, line) => {
    const width = stringWidth(stripVTControlCharacters(line));
    return rows + Math.max(0, Math.ceil(width / columns) - 1);
  }, 0);
}

/** Standard output as log-update wants it. */
const OUTPUT = {
  isTTY: true,
  write,
  get columns() {
    return terminalSize().columns;
  },
  get rows() {
    return terminalSize().rows;
  },
} as unknown as Parameters<typeof createLogUpdate>[0];
