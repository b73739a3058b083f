/** An answer's figures in a line. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Trace } from "./trace.ts";

/** Tokens, passes, speed; nothing until they are known. */
export function figures({ usage, finish, steps }: Trace): TemplateResult | typeof nothing {
  if (finish === "stopped") {
    return html`<span class="hint">stopped after ${steps.length} steps</span>`;
  }
  const { diffusion, completion_tokens: tokens } = usage ?? {};
  if (!diffusion || tokens === undefined) return nothing;
  const { forwards, seconds, strategy } = diffusion;
  const parts = [
    count(tokens, "token"),
    count(forwards, "forward pass", "forward passes"),
    `${(tokens / Math.max(1, forwards)).toFixed(2)} tokens per pass`,
    ...seconds > 0 ? [`${(tokens / seconds).toFixed(1)} tokens/s`] : [],
    strategy,
    ...finish === "length" ? ["cut at the limit"] : [],
  ];
  return html`<span class="hint">${parts.join(" · ")}</span>`;
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
