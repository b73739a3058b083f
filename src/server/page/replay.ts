/** An answer that comes, or came: its canvas, with the control that shows any of its steps. */
import { html, nothing, render } from "lit-html";
import { canvas, legend } from "./canvas.ts";
import { scrubber } from "./scrubber.ts";
import { tokenCard } from "./token_card.ts";
import { type Cell, cellsAt, EMPTY_TRACE, type Trace } from "./trace.ts";

/** Milliseconds for which a step is seen at least. */
const PACE = 70;
/** Steps that the picture may lie behind the answer before it hurries. */
const BEHIND = 12;

/** How an answer is shown. */
export interface ReplayOptions {
  /** What it is, for screen readers: "the answer". */
  readonly of: string;
  /** Whether the legend stands below it. */
  readonly legend?: boolean;
  /** Whether some parts may be fixed by the answer's form, for the legend. */
  readonly fixed?: boolean;
  /** Puts a mask back at a token of the finished record; absent where that cannot be done. */
  readonly onMask?: (cell: Cell) => void;
}

/** Shows a record. It draws itself; `element` stands where its owner puts it. */
export class Replay {
  readonly element = document.createElement("div");
  readonly #options: ReplayOptions;
  #trace = EMPTY_TRACE;
  #running = false;
  #shown = 0;
  /** Whether the picture goes on by itself, to the newest step. */
  #playing = false;
  #timer: number | undefined;
  #current: number | undefined;
  #open: number | undefined;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.element.className = "replay";
    this.#draw();
  }

  /** The record that is shown. */
  get trace(): Trace {
    return this.#trace;
  }

  /**
   * Shows a record that has grown, or another one.
   * @param running whether more of it will come; the picture then follows, a step at a time
   */
  update(trace: Trace, running: boolean): void {
    // One that begins may follow another that was broken off.
    const begins = running && (trace.steps.length === 0 || !this.#running);
    if (begins) {
      this.#shown = 0;
      this.#playing = true;
      this.#open = undefined;
    }
    const follows = this.#playing || this.#shown >= this.#trace.steps.length;
    this.#trace = trace;
    this.#running = running;
    if (!running && !this.#playing && follows) this.#shown = trace.steps.length;
    this.#shown = Math.min(this.#shown, trace.steps.length);
    this.#tick();
    this.#draw();
  }

  /** Shows how a record that was finished goes on, from the step that it had reached. */
  extend(trace: Trace, running: boolean): void {
    this.#shown = Math.max(this.#shown, this.#trace.steps.length);
    this.#open = undefined;
    this.#playing = true;
    this.#trace = trace;
    this.#running = running;
    this.#tick();
    this.#draw();
  }

  /** Shows a step, from 0, and stays there. */
  show(step: number): void {
    this.#playing = false;
    this.#shown = Math.max(0, Math.min(step, this.#trace.steps.length));
    // At the newest step of an answer that comes, the picture follows again.
    if (this.#running && this.#shown === this.#trace.steps.length) this.#playing = true;
    this.#draw();
  }

  /** Goes on from the step that is shown, from the first one at the end; or stays. */
  play(): void {
    this.#playing = !this.#playing;
    const { length } = this.#trace.steps;
    if (this.#playing && !this.#running && this.#shown === length) this.#shown = 0;
    this.#tick();
    this.#draw();
  }

  #tick(): void {
    if (!this.#playing || this.#timer !== undefined) return;
    const behind = this.#trace.steps.length - this.#shown;
    if (behind === 0) {
      if (!this.#running) this.#playing = false;
      return;
    }
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still && this.#running) {
      this.#shown += behind;
      return;
    }
    const hurry = this.#running ? Math.max(1, Math.ceil(behind / BEHIND)) : 1;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#playing) return;
      this.#shown = Math.min(this.#shown + hurry, this.#trace.steps.length);
      this.#tick();
      this.#draw();
    }, PACE);
  }

  #draw(): void {
    const { steps } = this.#trace;
    const { of } = this.#options;
    const cells = cellsAt(this.#trace, this.#shown);
    const label = `${of[0].toUpperCase()}${of.slice(1)}, step ${this.#shown} of ${steps.length}`;
    render(
      html`${
        canvas(cells, {
          label,
          busy: this.#running,
          block: steps[this.#shown]?.block ?? steps[this.#shown - 1]?.block ?? 0,
          current: this.#current,
          open: this.#open,
          onToken: (cell) => this.#opened(cell),
          onCurrent: (position) => {
            this.#current = position;
            this.#draw();
          },
        })
      }
      ${this.#card(cells)}
      ${
        scrubber({
          steps: steps.length,
          shown: this.#shown,
          playing: this.#playing,
          of,
          onStep: (step) => this.show(step),
          onPlay: () => this.play(),
        })
      }
      ${this.#options.legend ? legend(this.#options.fixed) : nothing}`,
      this.element,
    );
  }

  #card(cells: readonly Cell[]) {
    const cell = cells.find(({ position, step }) => position === this.#open && step > 0);
    if (!cell) return nothing;
    const { onMask } = this.#options;
    const over = !this.#running && this.#shown === this.#trace.steps.length &&
      this.#trace.finish !== undefined && this.#trace.finish !== "stopped";
    return tokenCard(this.#trace, cell, {
      onClose: () => this.#opened(cell),
      onMask: onMask && over ? () => onMask(cell) : undefined,
    });
  }

  /** Opens a token's card, or closes it; the focus then goes back to the token. */
  #opened(cell: Cell): void {
    this.#current = cell.position;
    const opens = this.#open !== cell.position;
    this.#open = opens ? cell.position : undefined;
    this.#draw();
    const at = opens ? ".token-card button" : `[data-position="${cell.position}"]`;
    this.element.querySelector<HTMLElement>(at)?.focus();
  }
}
