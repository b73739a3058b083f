/** The card of a token: when it was decided, how surely, and what else could have stood there. */
import { html, nothing, type TemplateResult } from "lit-html";
import { bar, percent } from "./bar.ts";
import { spoken } from "./canvas.ts";
import { alternativesOf, tokenOf } from "./edit.ts";
import type { Cell, Trace } from "./trace.ts";

/** What the card does. */
export interface TokenCardOptions {
  readonly onClose: () => void;
  /** Masks the token again; absent where that cannot be done. */
  readonly onMask?: () => void;
}

/** The card of a cell. */
export function tokenCard(trace: Trace, cell: Cell, options: TokenCardOptions): TemplateResult {
  const { step, block, position, confidence } = cell;
  const chosen = tokenOf(trace, cell);
  const alternatives = alternativesOf(trace, cell);
  const keyed = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    options.onClose();
  };
  return html`
    <section class="token-card card" aria-label="Token '${spoken(cell.text)}'"
      @keydown=${keyed}>
        <header>
          <h2><q>${shown(cell.text)}</q></h2>
          <button type="button" class="button quiet" @click=${options.onClose}>Close</button>
        </header>
        <dl>
          <div><dt>Step</dt><dd>${step} of ${trace.steps.length}</dd></div>
          <div><dt>Probability</dt><dd>${percent(confidence)}</dd></div>
          <div><dt>Place</dt><dd>${position + 1}, block ${block + 1}</dd></div>
        </dl>
        ${alternatives.length === 0 ? nothing : html`
          <h3>Likeliest here, at that step</h3>
          <ol class="alternatives">${alternatives.map(({ id, text, probability }) =>
            html`<li class=${id === chosen ? "chosen" : ""}><code>${shown(text)}</code>${
              bar(probability)
            }<span>${percent(probability)}</span></li>`
          )}</ol>
        `}
        ${options.onMask
          ? html`<button type="button" class="button" @click=${options.onMask}><span
        class="cell mask active" aria-hidden="true"></span> Put a mask back here</button>`
          : nothing}
      </section>
  `;
}

/** A token's text with what cannot be seen made visible. */
function shown(text: string): string {
  return text === "" ? "…" : text.replaceAll(" ", "\u00a0").replaceAll("\n", "↵");
}
