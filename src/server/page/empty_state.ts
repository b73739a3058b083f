/** What stands where no question was asked yet. */
import { html, type TemplateResult } from "lit-html";

const TRIES = [
  "What is 7 times 8?",
  "Tell a story about an old frog named Lily, a boat and a hill.",
  "Write a Python function named solve that returns the sum of the list scores.",
];

/** An invitation. */
export function emptyState(onTry: (question: string) => void): TemplateResult {
  // deno-fmt-ignore
  return html`<section class="empty">
    <h2><span class="unseen">Words appear in any order.</span><span aria-hidden="true"
      class="hero">Words <span class="hero-cell first">appear</span> in <span
      class="hero-cell second">any</span> order.</span></h2>
    <p>A diffusion language model begins with masks and decides the words it is surest of first,
      wherever they stand. Ask something, watch the grey blocks resolve, then replay every step and
      click a word to see what else could have stood there.</p>
    <ul class="tries" aria-label="Try">${TRIES.map((question) => html`<li><button type="button"
      class="button try" @click=${() => onTry(question)}><span class="hint">Try:</span>
      ${question}</button></li>`)}</ul>
  </section>`;
}
