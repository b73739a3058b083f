/** The cells of an answer at one of its steps. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Cell } from "./trace.ts";

/** What can be done with the tokens of a canvas. */
export interface CanvasOptions {
  /** What the cells are, for screen readers. */
  readonly label: string;
  /** Whether the answer still comes. */
  readonly busy: boolean;
  /** The block that is worked on: its masks stand out. */
  readonly block: number;
  /** Position of the token that Tab reaches; the arrow keys lead to the others. */
  readonly current: number | undefined;
  /** Position of the token whose card is open. */
  readonly open: number | undefined;
  readonly onToken: (cell: Cell) => void;
  readonly onCurrent: (position: number) => void;
}

/** Least probabilities of the levels of confidence, the surest first, with the legend's words. */
export const LEVELS: readonly { readonly least: number; readonly words: string }[] = [
  { least: 0.99, words: "99% and more" },
  { least: 0.9, words: "90%" },
  { least: 0.7, words: "70%" },
  { least: 0.5, words: "50%" },
  { least: 0, words: "less" },
];

/** The level of a probability: 0 for the surest. */
export function levelOf(confidence: number): number {
  return LEVELS.findIndex(({ least }) => confidence >= least);
}

/** The cells. Tokens are buttons: one of them is reached by Tab, the others by arrow keys. */
export function canvas(cells: readonly Cell[], options: CanvasOptions): TemplateResult {
  const tokens = cells.filter(isButton);
  const current = tokens.find(({ position }) => position === options.current) ?? tokens[0];
  const place = (event: Event) =>
    Number((event.target as HTMLElement).closest<HTMLElement>("[data-position]")?.dataset.position);
  const chosen = (event: Event) => {
    const cell = tokens.find(({ position }) => position === place(event));
    if (cell) options.onToken(cell);
  };
  const keyed = (event: KeyboardEvent) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return chosen(event);
    }
    const at = tokens.findIndex(({ position }) => position === place(event));
    const to =
      { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[event.key];
    const next = to === undefined ? undefined : tokens[to];
    if (!next) return;
    event.preventDefault();
    options.onCurrent(next.position);
    const host = event.currentTarget as HTMLElement;
    host.querySelector<HTMLElement>(`[data-position="${next.position}"]`)?.focus();
  };
  // Between cells there must be nothing but what the tokens say.
  const views = cells.map((cell) => cellView(cell, cell === current, options));
  // deno-fmt-ignore
  return html`<div class="canvas" role="group" aria-label=${options.label}
    aria-busy=${options.busy} @click=${chosen} @keydown=${keyed}>${views}</div>`;
}

function isButton({ state }: Cell): boolean {
  return state === "token" || state === "provisional";
}

function cellView(cell: Cell, current: boolean, { block, open }: CanvasOptions): TemplateResult {
  if (cell.state === "mask") {
    const active = cell.block <= block ? " active" : "";
    return html`<span class="cell mask${active}" aria-hidden="true"></span>`;
  }
  if (cell.state === "given") return html`<span class="cell given">${cell.text}</span>`;
  if (cell.state === "fixed") {
    return html`<span class="cell fixed" title="Nothing else may stand here">${cell.text}</span>`;
  }
  if (cell.state === "end") {
    return html`<span class="cell end" aria-hidden="true" title="The answer ends here"></span>`;
  }
  if (cell.state === "guess") {
    const title = "A guess of the draft, taken back";
    return html`<span class="cell guess" aria-hidden="true" title=${title}>${cell.text}</span>`;
  }
  const kind = `cell ${cell.state}${cell.fresh ? " fresh" : ""}`;
  // deno-fmt-ignore
  return html`<span class=${kind} role="button" tabindex=${current ? 0 : -1}
    data-position=${cell.position} data-level=${levelOf(cell.confidence)}
    aria-label=${nameOf(cell)} aria-expanded=${cell.position === open}>${cell.text}</span>`;
}

/** A token as a screen reader says it. */
export function nameOf({ text, step, confidence, state }: Cell): string {
  const provisional = state === "provisional" ? ", provisional" : "";
  return `token '${spoken(text)}', step ${step}, probability ${
    confidence.toFixed(2)
  }${provisional}`;
}

/** A token's text with what cannot be seen named. */
export function spoken(text: string): string {
  if (text === "") return "part of a character";
  if (/^ +$/.test(text)) return text === " " ? "space" : `${text.length} spaces`;
  if (/^\n+$/.test(text)) return text === "\n" ? "line break" : `${text.length} line breaks`;
  return text.trim() === "" ? "white space" : text.trim();
}

/** What the tints mean; each has a line below the token too, so that colour is not all that tells. */
export function legend(fixed = false): TemplateResult {
  return html`<ul class="legend" aria-label="Legend: how sure the model was of a token">
    <li><span class="cell mask active" aria-hidden="true"></span> mask</li>
    ${
    fixed
      ? html`<li><span class="cell fixed" aria-hidden="true">Ab</span> fixed by the form</li>`
      : nothing
  }
    ${
    LEVELS.map(({ words }, level) =>
      html`<li><span class="cell token" data-level=${level} aria-hidden="true">Ab</span> ${words}</li>`
    )
  }
  </ul>`;
}
