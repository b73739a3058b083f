/** Race: one question, two ways to denoise its answer, one after the other. */
import { html, nothing, render } from "lit-html";
import type { ApiRequest } from "./api.ts";
import { ask, tracedRequest } from "./ask.ts";
import { legend } from "./canvas.ts";
import type { PageContext, View, ViewState } from "./context.ts";
import { Lane, laneFields, nameOf, readChoice } from "./race_lane.ts";
import { scoreboard } from "./scoreboard.ts";
import { readSettings } from "./settings.ts";
import { EMPTY_TRACE } from "./trace.ts";
import { Work } from "./work.ts";

const QUESTION = "What is 7 times 8?";
const LABELS = ["First", "Second"] as const;

/** Builds the view. */
export function mountRace(host: HTMLElement, context: PageContext): View {
  return new RaceView(host, context);
}

class RaceView implements View {
  readonly #host: HTMLElement;
  readonly #context: PageContext;
  readonly #work = new Work(() => this.#draw());
  #lanes = [
    new Lane(readChoice({ strategy: "plain" }), "the first answer"),
    new Lane(readChoice({ strategy: "threshold" }), "the second answer"),
  ];
  /** The lane whose answer comes. */
  #at: Lane | undefined;
  #asked: ApiRequest | undefined;

  constructor(host: HTMLElement, context: PageContext) {
    this.#host = host;
    this.#context = context;
    host.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#run();
    });
    context.settings.watch(() => this.#draw());
    this.#draw();
    this.#field().value = QUESTION;
  }

  command(name: string): void {
    if (name === "stop") this.#work.stop();
    if (name === "write") this.#field().focus();
    if (name === "new") {
      this.#work.stop();
      this.#clear();
      this.#field().value = "";
      this.#field().focus();
    }
  }

  restore({ question, lanes, settings }: ViewState): void {
    this.#work.stop();
    this.#context.settings.change(readSettings(settings));
    const kept = Array.isArray(lanes) ? lanes : [];
    this.#lanes.forEach((lane, index) => lane.choice = readChoice(kept[index]));
    this.#clear();
    this.#field().value = String(question ?? "");
  }

  #field(): HTMLTextAreaElement {
    return this.#host.querySelector("textarea")!;
  }

  #clear(): void {
    for (const lane of this.#lanes) {
      lane.problem = "";
      lane.replay.update(EMPTY_TRACE, false);
    }
    this.#asked = undefined;
    this.#draw();
  }

  #requestOf(lane: Lane): ApiRequest {
    return tracedRequest({
      messages: [{ role: "user", content: this.#field().value }],
      ...laneFields(this.#context.settings.value, lane.choice),
    });
  }

  /** Runs both lanes; one that fails does not keep the other back. */
  async #run(): Promise<void> {
    if (this.#work.running || this.#field().value.trim() === "") return;
    const runs = this.#lanes.map((lane) => ({ lane, request: this.#requestOf(lane) }));
    await this.#work.run(async (signal) => {
      this.#clear();
      this.#asked = runs[0].request;
      for (const { lane, request } of runs) {
        this.#at = lane;
        lane.replay.update(EMPTY_TRACE, true);
        this.#draw();
        try {
          await ask(this.#context.api, request, (trace) => {
            // A link may have cleared the lanes before the answer has stopped.
            if (this.#asked === runs[0].request) {
              lane.replay.update(trace, trace.finish === undefined);
            }
          }, signal);
        } catch (error) {
          lane.replay.update(lane.replay.trace, false);
          if (!signal.aborted) lane.problem = (error as Error).message;
        }
        if (signal.aborted) break;
      }
      this.#context.answered();
      if (!signal.aborted) this.#context.announce("The race is over. The scores stand below.");
    });
    this.#at = undefined;
    this.#draw();
  }

  #swap(): void {
    this.#lanes = [this.#lanes[1], this.#lanes[0]];
    this.#draw();
  }

  #reseed(): void {
    const { seed } = this.#context.settings.value;
    this.#context.settings.change({ seed: seed + 1, seedPinned: true });
    this.#run();
  }

  #share(): void {
    if (!this.#asked) return;
    this.#context.share(this.#asked, {
      question: this.#field().value,
      lanes: this.#lanes.map(({ choice }) => choice),
      settings: this.#context.settings.value,
    });
  }

  #stateOf(lane: Lane): string {
    const { finish } = lane.replay.trace;
    if (this.#at === lane) return "running";
    if (this.#work.running && finish === undefined && !lane.problem) return "waits for its turn";
    return finish === "stopped" ? "stopped" : "";
  }

  #draw(): void {
    const { running } = this.#work;
    const { seed, temperature } = this.#context.settings.value;
    const submit = (event: Event) => {
      event.preventDefault();
      this.#run();
    };
    const [left, right] = this.#lanes;
    const runner = (lane: Lane) => ({ name: nameOf(lane.choice), trace: lane.replay.trace });
    const began = this.#lanes.some(({ replay }) => replay.trace.usage !== undefined);
    render(
      html`
        <div class="sheet">
          <h2 class="sheet-title">Two strategies, one question</h2>
          <p class="hint">Both denoise with seed ${seed} and temperature ${temperature}, which the chat's
            settings hold. The server answers one request at a time, so they take turns.</p>
          <form class="ask card" @submit=${submit}>
            <label class="row">Question
              <textarea class="field" name="question" rows="2"
                aria-keyshortcuts="Control+Enter"></textarea></label>
            <div class="does">
              <button type="button" class="button" ?disabled=${running}
                @click=${() => this.#swap()}>Swap</button>
              <button type="button" class="button" ?disabled=${running}
                @click=${() => this.#reseed()}>Again with another seed</button>
              <span class="grow"></span>
              <button type="button" class="button stop" ?hidden=${!running}
                @click=${() => this.#work.stop()}>Stop</button>
              <button class="button primary" ?hidden=${running}>Race <kbd>Ctrl ↵</kbd></button>
            </div>
          </form>
          <div class="lanes">${this.#lanes.map((lane, index) =>
            lane.view(LABELS[index], this.#stateOf(lane), running, () => this.#draw())
          )}</div>
          ${legend()}
          ${began ? scoreboard([runner(left), runner(right)]) : nothing}
          <div class="does"><span class="actions"><button type="button" class="button quiet"
            ?disabled=${running || !this.#asked} @click=${() =>
              this.#share()}>Code and link</button></span></div>
        </div>
      `,
      this.#host,
    );
  }
}
