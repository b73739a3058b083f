/** A bar that shows a share; what it shows stands beside it in words. */
import { html, type TemplateResult } from "lit-html";

/** @param share 0 to 1 */
export function bar(share: number, kind = ""): TemplateResult {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return html`
    <svg class="bar ${kind}" viewBox="0 0 100 6" preserveAspectRatio="none"
      aria-hidden="true">
      <rect class="bar-all" width="100" height="6" />
      <rect class="bar-share"
        width=${width} height="6" />
    </svg>
  `;
}

/** A probability as a percentage, with as many digits as tell it from 0 and 100. */
export function percent(probability: number): string {
  const digits = probability > 0.9995 || probability < 0.0005 ? 3 : 1;
  return `${(100 * probability).toFixed(digits)}%`;
}
