/** The controls of how answers are denoised. */
import { html, nothing, type TemplateResult } from "lit-html";
import { FIRST_SETTINGS, type Settings, STRATEGIES } from "./settings.ts";

/** What a change leads to: `slid` asks for the last answer again. */
export interface SettingsPanelOptions {
  readonly settings: Settings;
  readonly onChange: (changes: Partial<Settings>) => void;
}

/** The panel. */
export function settingsPanel({ settings, onChange }: SettingsPanelOptions): TemplateResult {
  const { strategy, quality, stepsPerBlock, blockLength, maxTokens } = settings;
  const longest = blockLength ?? 32;
  return html`<form class="settings" @submit=${(event: Event) => event.preventDefault()}>
    <label class="row">Strategy
      <select class="field" @change=${(event: Event) =>
    onChange({ strategy: (event.target as HTMLSelectElement).value })}>${
    Object.entries(STRATEGIES).map(([name, words]) =>
      html`<option value=${name} ?selected=${name === strategy}>${name}: ${words}</option>`
    )
  }</select>
    </label>
    ${
    strategy === "auto"
      ? toggle("Fast: may change the answer", quality === "fast", (fast) => {
        onChange({ quality: fast ? "fast" : "exact" });
      })
      : nothing
  }
    ${
    strategy === "threshold"
      ? slider({
        name: "Threshold",
        hint: "Tokens at least so probable are decided in one step",
        value: settings.threshold,
        least: 0.3,
        most: 1,
        step: 0.01,
        words: settings.threshold.toFixed(2),
        onInput: (threshold) => onChange({ threshold }),
      })
      : nothing
  }
    ${
    strategy === "factor"
      ? slider({
        name: "Factor",
        hint: "The larger, the more tokens are decided in one step",
        value: settings.factor,
        least: 0.1,
        most: 4,
        step: 0.1,
        words: settings.factor.toFixed(1),
        onInput: (factor) => onChange({ factor }),
      })
      : nothing
  }
    ${
    slider({
      name: "Steps per block",
      hint: "Fewer steps decide several tokens at once; the answer's length is then fixed",
      value: stepsPerBlock === undefined ? 0 : Math.min(stepsPerBlock, longest),
      least: 0,
      most: longest,
      step: 1,
      words: stepsPerBlock === undefined ? "auto" : String(Math.min(stepsPerBlock, longest)),
      onInput: (steps) => onChange({ stepsPerBlock: steps === 0 ? undefined : steps }),
    })
  }
    ${
    slider({
      name: "Block length",
      hint: "Tokens that are finished before those behind them",
      value: blockLength === undefined ? 2 : Math.log2(blockLength),
      least: 2,
      most: 6,
      step: 1,
      words: blockLength === undefined ? "auto" : String(blockLength),
      onInput: (power) => onChange({ blockLength: power === 2 ? undefined : 2 ** power }),
    })
  }
    ${
    slider({
      name: "Temperature",
      hint: "0 always takes the likeliest token",
      value: settings.temperature,
      least: 0,
      most: 1.5,
      step: 0.05,
      words: settings.temperature.toFixed(2),
      onInput: (temperature) => onChange({ temperature }),
    })
  }
    ${
    toggle("Same seed for every answer", settings.seedPinned, (seedPinned) => {
      onChange({ seedPinned });
    })
  }
    ${
    settings.seedPinned
      ? numberField("Seed", settings.seed, 0, (seed) => onChange({ seed: seed ?? 0 }))
      : nothing
  }
    ${numberField("Most tokens", maxTokens, 1, (most) => onChange({ maxTokens: most }))}
    ${toggle("Ask again when a control moves", settings.rerun, (rerun) => onChange({ rerun }))}
    <button type="button" class="button quiet" @click=${() =>
    onChange({
      stepsPerBlock: undefined,
      blockLength: undefined,
      maxTokens: undefined,
      ...FIRST_SETTINGS,
    })}>Back to the beginning</button>
  </form>`;
}

/** A slider, with its value in words. */
interface Slider {
  readonly name: string;
  readonly hint: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step: number;
  readonly words: string;
  readonly onInput: (value: number) => void;
}

function slider({ name, hint, value, least, most, step, words, onInput }: Slider): TemplateResult {
  return html`
    <label class="row" title=${hint}>
      <span class="row-name">${name} <span class="row-value">${words}</span></span>
      <input type="range" min=${least} max=${most} step=${step} .value=${String(value)}
        aria-valuetext=${words}
        @input=${(event: Event) => onInput(Number((event.target as HTMLInputElement).value))}>
    </label>
  `;
}

function toggle(words: string, on: boolean, onChange: (on: boolean) => void): TemplateResult {
  return html`<label class="toggle"><input type="checkbox" .checked=${on}
    @change=${(event: Event) => onChange((event.target as HTMLInputElement).checked)}> ${words}
  </label>`;
}

function numberField(
  name: string,
  value: number | undefined,
  least: number,
  onChange: (value: number | undefined) => void,
): TemplateResult {
  const changed = (event: Event) => {
    const { valueAsNumber } = event.target as HTMLInputElement;
    onChange(Number.isSafeInteger(valueAsNumber) ? Math.max(least, valueAsNumber) : undefined);
  };
  return html`<label class="row beside">${name}
    <input class="field" type="number" min=${least} step="1" placeholder="auto"
      .value=${value === undefined ? "" : String(value)} @change=${changed}>
  </label>`;
}
