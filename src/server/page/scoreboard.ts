/** Two answers to one question, in figures and word by word. */
import { html, nothing, type TemplateResult } from "lit-html";
import { differences, type Word } from "./differences.ts";
import type { Trace } from "./trace.ts";

/** An answer, with the name of its lane. */
export interface Runner {
  readonly name: string;
  readonly trace: Trace;
}

/** A line of the board. */
interface Score {
  readonly name: string;
  readonly digits: number;
  /** Whether more is better; undefined where neither is. */
  readonly more?: boolean;
  readonly of: (trace: Trace) => number | undefined;
}

const tokens = ({ usage }: Trace) => usage?.completion_tokens;
const diffusion = ({ usage }: Trace) => usage?.diffusion;

const SCORES: readonly Score[] = [
  { name: "Forward passes", digits: 0, more: false, of: (trace) => diffusion(trace)?.forwards },
  { name: "Tokens", digits: 0, of: tokens },
  {
    name: "Tokens per pass",
    digits: 2,
    more: true,
    of: (trace) => ratio(tokens(trace), diffusion(trace)?.forwards),
  },
  { name: "Seconds", digits: 2, more: false, of: (trace) => diffusion(trace)?.seconds },
  {
    name: "Tokens/s",
    digits: 1,
    more: true,
    of: (trace) => ratio(tokens(trace), diffusion(trace)?.seconds),
  },
];

function ratio(above?: number, below?: number): number | undefined {
  return above === undefined || !below ? undefined : above / below;
}

/** The board; figures that are not known yet are dashes. */
export function scoreboard(runners: readonly [Runner, Runner]): TemplateResult {
  // deno-fmt-ignore
  return html`<section class="result" aria-label="Scores">
    <table class="scores">
      <caption>Scores</caption>
      <thead><tr><td></td>${runners.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${SCORES.map((score) => line(score, runners))}</tbody>
    </table>
    <p class="hint">Seconds and passes are the server's own, of denoising alone
      (<code>usage.diffusion</code>); a draft's passes are not counted. It answers one request after the
      other. The first run after the server's start may be slower.</p>
    ${texts(runners)}
  </section>`;
}

function line({ name, digits, more, of }: Score, runners: readonly Runner[]): TemplateResult {
  const [left, right] = runners.map(({ trace }) => of(trace));
  const better = (own?: number, other?: number) =>
    more !== undefined && own !== undefined && other !== undefined && own !== other &&
    (own > other) === more;
  const cell = (own?: number, other?: number) => {
    const shown = own === undefined ? "–" : own.toFixed(digits);
    return better(own, other)
      ? html`<td class="better">${shown}<span class="unseen"> (better)</span></td>`
      : html`<td>${shown}</td>`;
  };
  return html`<tr><th scope="row">${name}</th>${cell(left, right)}${cell(right, left)}</tr>`;
}

function texts([left, right]: readonly [Runner, Runner]): TemplateResult | typeof nothing {
  const over = ({ trace }: Runner) => trace.finish !== undefined && trace.finish !== "stopped";
  if (!over(left) || !over(right)) return nothing;
  if (left.trace.text === right.trace.text) {
    return html`<p class="notice">Both wrote the same text.</p>`;
  }
  const [a, b] = differences(left.trace.text, right.trace.text);
  const marked = ({ text, shared }: Word) => {
    const word = text.trimStart();
    return shared ? text : html`${text.slice(0, text.length - word.length)}<mark>${word}</mark>`;
  };
  // White space counts in a text.
  // deno-fmt-ignore
  return html`<p class="notice">The texts differ. What only one of them has is marked.</p>
    <div class="texts">
      <p aria-label=${left.name}>${a.map(marked)}</p><p aria-label=${right.name}>${b.map(marked)}</p>
    </div>`;
}
