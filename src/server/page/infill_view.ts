/** Infill: a text with holes; what the model puts there is seen, and words can be masked again. */
import { html, nothing, render, type TemplateResult } from "lit-html";
import type { ApiRequest } from "./api.ts";
import type { PageContext, View, ViewState } from "./context.ts";
import {
  type FillAnswer,
  masked,
  type Piece,
  piecesOfEdit,
  piecesOfInfill,
  piecesOfMarked,
  spanAt,
  stepsOf,
  textOfPieces,
  traceOf,
  withMessage,
} from "./fill.ts";
import { countsOf, MARK, maskSelection, selectedSpan } from "./infill_text.ts";
import { Replay } from "./replay.ts";
import { EMPTY_TRACE, type Trace } from "./trace.ts";
import { Work } from "./work.ts";

const EXAMPLES: readonly {
  readonly name: string;
  readonly text: string;
  readonly instruction: string;
}[] = [
  { name: "Words", text: "7 * 8 ___ 56. The answer ___ 56.", instruction: "What is 7 times 8?" },
  { name: "Numbers", text: "9 * 5 = ___. The answer is ___.", instruction: "What is 9 times 5?" },
  {
    name: "Story",
    text: "Once there was an old ___ named Lily. One day Lily went to the ___.",
    instruction: "Tell a story about an old frog named Lily, a boat and a hill.",
  },
];

const TIP = "click a token, or select words and press Mask, to have them written anew";

/** Builds the view. */
export function mountInfill(host: HTMLElement, context: PageContext): View {
  return new InfillView(host, context);
}

class InfillView implements View {
  readonly #host: HTMLElement;
  readonly #context: PageContext;
  readonly #work = new Work(() => this.#draw());
  readonly #replay = new Replay({
    of: "the filled text",
    legend: true,
    onMask: ({ position }) => this.#again(spanAt(this.#pieces, position)),
  });
  #pieces: readonly Piece[] = [];
  /** What stood before, the newest last. */
  #before: (readonly Piece[])[] = [];
  #asked: ApiRequest | undefined;
  #figures = "";

  constructor(host: HTMLElement, context: PageContext) {
    this.#host = host;
    this.#context = context;
    host.addEventListener("keydown", (event) => this.#keyed(event));
    this.#draw();
    this.#use(EXAMPLES[0]);
  }

  command(name: string): void {
    if (name === "stop") this.#work.stop();
    if (name === "write") this.#field("text").focus();
    if (name === "new") {
      this.#work.stop();
      this.#before = [];
      this.#asked = undefined;
      this.#keep([]);
      this.#use({ text: "", instruction: "" });
      this.#field("text").focus();
    }
  }

  restore({ text, instruction, tokens }: ViewState): void {
    this.#use({ text: String(text ?? ""), instruction: String(instruction ?? "") });
    this.#field("tokens").value = String(tokens ?? "");
  }

  #field(name: string): HTMLTextAreaElement {
    return this.#host.querySelector<HTMLTextAreaElement>(`[name="${name}"]`)!;
  }

  #use({ text, instruction }: { readonly text: string; readonly instruction: string }): void {
    this.#field("text").value = text;
    this.#field("instruction").value = instruction;
  }

  #keyed(event: KeyboardEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    const typing = (event.target as HTMLElement).matches("textarea, input");
    const does = {
      m: () => typing ? maskSelection(this.#field("text")) : this.#mask(),
      Enter: () => this.#fill(),
      ...typing ? {} : { z: () => this.#undo() },
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  /** Masks what is selected: words of the result are filled again at once, words of the field later. */
  #mask(): void {
    const canvas = this.#replay.element.querySelector<HTMLElement>(".canvas");
    const text = textOfPieces(this.#pieces);
    const span = canvas && text !== "" ? selectedSpan(canvas, text) : undefined;
    if (span) this.#again(span);
    else maskSelection(this.#field("text"));
  }

  #shared(): Readonly<Record<string, unknown>> {
    const { temperature, seed, seedPinned } = this.#context.settings.value;
    const instruction = this.#field("instruction").value.trim();
    return {
      ...instruction === "" ? {} : { instruction },
      temperature,
      ...seedPinned ? { seed } : {},
      stream: true,
    };
  }

  async #fill(): Promise<void> {
    if (this.#work.running) return;
    const text = this.#field("text").value;
    await this.#work.run(async (signal) => {
      const holes = text.split(MARK).length - 1;
      if (holes === 0) {
        throw new Error(`Put ${MARK} where something is missing, or select words and mask them.`);
      }
      const tokens = countsOf(this.#field("tokens").value, holes);
      const body = { text, ...tokens === undefined ? {} : { tokens }, ...this.#shared() };
      const begun = piecesOfMarked(
        text,
        MARK,
        (hole) => typeof tokens === "number" ? tokens : tokens?.[hole] ?? 1,
      );
      await this.#ask({ path: "/v1/infill", body }, begun, piecesOfInfill, signal);
    });
  }

  /** Has a part of the result written anew. */
  async #again(span: { readonly start: number; readonly end: number }): Promise<void> {
    if (this.#work.running) return;
    const old = this.#pieces;
    await this.#work.run(async (signal) => {
      const body = { text: textOfPieces(old), spans: [span], ...this.#shared() };
      const pieces = (answer: FillAnswer, steps: readonly number[]) =>
        piecesOfEdit(old, answer, steps);
      await this.#ask({ path: "/v1/edits", body }, masked(old, span), pieces, signal);
    });
  }

  /** Asks, shows the masks resolve, and keeps the result; where there is none, what was before. */
  async #ask(
    request: ApiRequest,
    begun: readonly Piece[],
    piecesOf: (answer: FillAnswer, steps: readonly number[]) => readonly Piece[],
    signal: AbortSignal,
  ): Promise<void> {
    this.#asked = request;
    this.#figures = "";
    this.#replay.update(EMPTY_TRACE, true);
    this.#replay.update({ ...traceOf(begun), steps: [] }, true);
    let trace: Trace = EMPTY_TRACE;
    let answer: FillAnswer | undefined;
    const began = performance.now();
    try {
      for await (const message of this.#context.api.stream<FillAnswer>(request, signal)) {
        if (message.text !== undefined) answer = message;
        else this.#replay.update(trace = withMessage(trace, message as never), true);
      }
    } finally {
      if (!answer && this.#asked === request) this.#show(this.#pieces);
    }
    if (!answer) return;
    const pieces = piecesOf(answer, stepsOf(trace));
    this.#before.push(this.#pieces);
    this.#pieces = pieces;
    this.#replay.update(traceOf(pieces, "stop"), false);
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    this.#figures = `${answer.usage.forwards} forward passes · ${seconds} s`;
    this.#context.announce(`The text: ${answer.text}`);
    this.#context.answered();
  }

  #show(pieces: readonly Piece[]): void {
    this.#replay.update(pieces.length === 0 ? EMPTY_TRACE : traceOf(pieces, "stop"), false);
    this.#replay.show(Infinity);
  }

  #keep(pieces: readonly Piece[]): void {
    this.#pieces = pieces;
    this.#figures = "";
    this.#show(pieces);
    this.#draw();
  }

  #undo(): void {
    const before = this.#before.pop();
    if (!before || this.#work.running) return;
    this.#keep(before);
    this.#context.announce(before.length > 0 ? "Undone." : "Undone: nothing is filled.");
  }

  #share(): void {
    if (!this.#asked) return;
    const { text, instruction } = this.#asked.body;
    this.#context.share(this.#asked, {
      text,
      instruction: instruction ?? "",
      tokens: this.#field("tokens").value,
    });
  }

  #draw(): void {
    const { running, problem } = this.#work;
    const submit = (event: Event) => {
      event.preventDefault();
      this.#fill();
    };
    // Pressing a button would take the selection away.
    const still = (event: Event) => event.preventDefault();
    render(
      html`
        <div class="sheet">
          <h2 class="sheet-title">Fill what is missing</h2>
          <p class="hint">The model sees the text on both sides of every hole, and fills all holes together.
            Write <code>${MARK}</code> for a hole, or select words and press Mask.</p>
          <form class="ask card" @submit=${submit}>
            <label class="row">Text
              <textarea class="field" name="text" rows="4"
                aria-keyshortcuts="Control+M Control+Enter"></textarea></label>
            <div class="beside-each">
              <label class="row">What the text answers <span class="hint">may stay empty</span>
                <input class="field" name="instruction" autocomplete="off"></label>
              <label class="row">Tokens of each hole <span class="hint">one number, or one a hole: 3, 1</span>
                <input class="field" name="tokens" autocomplete="off"
                  placeholder="searched"></label>
            </div>
            <div class="does">
              <button type="button" class="button" @mousedown=${still}
                @click=${() => this.#mask()}>Mask <kbd>Ctrl M</kbd></button>
              <span class="hint">Examples:</span>
              ${EXAMPLES.map((example) =>
                html`<button type="button" class="button quiet" @click=${() =>
                  this.#use(example)}>${example.name}</button>`
              )}
              <span class="grow"></span>
              <button type="button" class="button stop" ?hidden=${!running}
                @click=${() => this.#work.stop()}>Stop</button>
              <button class="button primary" ?hidden=${running}>Fill <kbd>Ctrl ↵</kbd></button>
            </div>
          </form>
          ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
          ${this.#result()}
        </div>
      `,
      this.#host,
    );
  }

  #result(): TemplateResult {
    const { running } = this.#work;
    const none = this.#pieces.length === 0 && !running;
    const edit = () => {
      const field = this.#field("text");
      field.value = textOfPieces(this.#pieces);
      field.focus();
      field.setSelectionRange(0, 0);
    };
    return html`<section class="result" aria-label="Result" ?hidden=${
      none && this.#before.length === 0
    }>
      ${this.#replay.element}
      <div class="does">
        <span class="hint">${
      running ? nothing : [this.#figures, TIP].filter((one) => one !== "").join(" · ")
    }</span>
        <span class="actions">
          <button type="button" class="button quiet" ?disabled=${
      running || this.#before.length === 0
    }
            @click=${() => this.#undo()}>Undo</button>
          <button type="button" class="button quiet" ?disabled=${running || none}
            @click=${edit}>Result into the field</button>
          <button type="button" class="button quiet" ?disabled=${!this.#asked}
            @click=${() => this.#share()}>Code and link</button>
        </span>
      </div>
    </section>`;
  }
}
