/** The control by which a record is replayed: play, a slider of steps, the step's number. */
import { html, type TemplateResult } from "lit-html";

/** What a scrubber shows and does. */
export interface ScrubberOptions {
  /** Steps of the record so far. */
  readonly steps: number;
  /** The step that is shown, from 0, where all is masked. */
  readonly shown: number;
  readonly playing: boolean;
  /** Which record it is of, for screen readers: "the answer". */
  readonly of: string;
  readonly onStep: (step: number) => void;
  readonly onPlay: () => void;
}

/** The control. */
export function scrubber(options: ScrubberOptions): TemplateResult {
  const { steps, shown, playing, of, onStep, onPlay } = options;
  const told = shown === 0 ? `0 of ${steps}, all masked` : `${shown} of ${steps}`;
  return html`
    <div class="scrubber">
      <button type="button" class="round" @click=${onPlay} ?disabled=${steps === 0}
        aria-label=${playing ? "Pause" : `Replay ${of}`} title=${playing ? "Pause" : "Replay"}>
        <span class=${playing ? "pause-sign" : "play-sign"} aria-hidden="true"></span>
      </button>
      <input type="range" min="0" max=${steps} .value=${String(shown)} ?disabled=${steps === 0}
        aria-label="Step of ${of}" aria-valuetext="Step ${told}"
        @input=${(event: Event) => onStep(Number((event.target as HTMLInputElement).value))}>
      <span class="step-number">${shown}<span class="of"> / ${steps}</span></span>
    </div>
  `;
}
