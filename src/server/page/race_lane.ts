/** A lane of the race: how its answer is denoised, and its canvas. */
import { html, nothing, type TemplateResult } from "lit-html";
import { Replay } from "./replay.ts";
import { fieldsOf, FIRST_SETTINGS, readSettings, type Settings, STRATEGIES } from "./settings.ts";

const CACHES = ["none", "prefix", "dual"] as const;
const BLOCKS = [4, 8, 16, 32, 64] as const;

/** What a lane chooses for itself; the rest comes from the settings. */
export type LaneChoice =
  & Pick<Settings, "strategy" | "quality" | "threshold" | "factor" | "blockLength">
  & { readonly cache?: string };

/** A choice from plain values, such as a link's. */
export function readChoice(value: unknown): LaneChoice {
  const { strategy, quality, threshold, factor, blockLength } = {
    ...FIRST_SETTINGS,
    ...readSettings(value),
  };
  const { cache } = (value ?? {}) as { readonly cache?: unknown };
  const known = CACHES.find((one) => one === cache);
  return {
    strategy,
    quality,
    threshold,
    factor,
    blockLength,
    ...known ? { cache: known } : {},
  };
}

/** A request's fields for a lane. */
export function laneFields(
  settings: Settings,
  { cache, ...choice }: LaneChoice,
): Readonly<Record<string, unknown>> {
  return {
    ...fieldsOf({ ...settings, stepsPerBlock: undefined, ...choice, seedPinned: true }),
    ...cache === undefined ? {} : { cache },
  };
}

/** What a lane is called, in a few words. */
export function nameOf(
  { strategy, quality, threshold, factor, cache, blockLength }: LaneChoice,
): string {
  return [
    strategy,
    ...strategy === "auto" ? [quality] : [],
    ...strategy === "threshold" ? [threshold.toFixed(2)] : [],
    ...strategy === "factor" ? [factor.toFixed(1)] : [],
    ...cache === undefined ? [] : [`cache ${cache}`],
    ...blockLength === undefined ? [] : [`blocks of ${blockLength}`],
  ].join(", ");
}

/** A lane. */
export class Lane {
  readonly replay: Replay;
  choice: LaneChoice;
  /** Why its answer failed; empty where it did not. */
  problem = "";

  constructor(choice: LaneChoice, of: string) {
    this.choice = choice;
    this.replay = new Replay({ of });
  }

  /** Its controls, its canvas. */
  view(label: string, state: string, disabled: boolean, onChange: () => void): TemplateResult {
    const change = (changes: Partial<LaneChoice>) => {
      this.choice = { ...this.choice, ...changes };
      onChange();
    };
    return html`<section class="lane card" aria-label=${label}>
      <div class="lane-head"><h3>${label}</h3><span class="hint">${state}</span></div>
      <fieldset class="bare" ?disabled=${disabled}><legend class="unseen">${label}: choices</legend>
        ${this.#controls(change)}</fieldset>
      ${this.replay.element}
      ${this.problem ? html`<p class="problem" role="alert">${this.problem}</p>` : nothing}
    </section>`;
  }

  #controls(change: (changes: Partial<LaneChoice>) => void): TemplateResult {
    const { strategy, quality, threshold, factor, cache, blockLength } = this.choice;
    const number = (name: "threshold" | "factor", value: number, step: string, most: string) =>
      html`<label class="row">${name === "threshold" ? "Threshold" : "Factor"}
        <input class="field" type="number" min="0" max=${most} step=${step} .value=${String(value)}
          @change=${(event: Event) => {
        const { valueAsNumber } = event.target as HTMLInputElement;
        change({ [name]: Math.min(Number(most), Math.max(0, valueAsNumber || 0)) });
      }}></label>`;
    return html`<div class="beside-each">
      ${select("Strategy", Object.keys(STRATEGIES), strategy, (one) => change({ strategy: one }))}
      ${
      strategy === "auto"
        ? select("Quality", ["exact", "fast"], quality, (one) => {
          change({ quality: one === "fast" ? "fast" : "exact" });
        })
        : nothing
    }
      ${strategy === "threshold" ? number("threshold", threshold, "0.01", "1") : nothing}
      ${strategy === "factor" ? number("factor", factor, "0.1", "100") : nothing}
      ${
      select("Cache", ["auto", ...CACHES], cache ?? "auto", (one) => {
        change({ cache: one === "auto" ? undefined : one });
      })
    }
      ${
      select(
        "Block length",
        ["auto", ...BLOCKS.map(String)],
        String(blockLength ?? "auto"),
        (one) => {
          change({ blockLength: one === "auto" ? undefined : Number(one) });
        },
      )
    }
    </div>`;
  }
}

function select(
  name: string,
  options: readonly string[],
  value: string,
  onChange: (value: string) => void,
): TemplateResult {
  return html`<label class="row">${name}
    <select class="field" .value=${value} @change=${(event: Event) =>
    onChange((event.target as HTMLSelectElement).value)}>${
    options.map((one) => html`<option value=${one} ?selected=${one === value}>${one}</option>`)
  }</select></label>`;
}
