/** Constraint: an answer of a given form; its fixed parts stand, the holes fill. */
import { html, nothing, render, type TemplateResult } from "lit-html";
import type { ApiRequest } from "./api.ts";
import { ask, tracedRequest } from "./ask.ts";
import type { PageContext, View, ViewState } from "./context.ts";
import { figures } from "./figures.ts";
import { FORMS } from "./forms.ts";
import { Replay } from "./replay.ts";
import { fieldsOf } from "./settings.ts";
import { EMPTY_TRACE } from "./trace.ts";
import { Work } from "./work.ts";

/** Strategies that can serve a constraint. */
const STRATEGIES = ["auto", "plain", "threshold"];
/** Room for an answer, where the settings name none. */
const ROOM = 192;

/** Builds the view. */
export function mountConstraint(host: HTMLElement, context: PageContext): View {
  return new ConstraintView(host, context);
}

class ConstraintView implements View {
  readonly #host: HTMLElement;
  readonly #context: PageContext;
  readonly #work = new Work(() => this.#draw());
  readonly #replay = new Replay({ of: "the answer", legend: true, fixed: true });
  #form = "schema";
  #asked: { readonly request: ApiRequest; readonly form: string } | undefined;

  constructor(host: HTMLElement, context: PageContext) {
    this.#host = host;
    this.#context = context;
    this.#host.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#ask();
    });
    this.#choose("schema");
  }

  command(name: string): void {
    if (name === "stop") this.#work.stop();
    if (name === "write") this.#field("question").focus();
    if (name === "new") this.#choose(this.#form);
  }

  restore({ form, written, question }: ViewState): void {
    if (typeof form === "string" && Object.hasOwn(FORMS, form)) this.#choose(form);
    this.#use({ form: String(written ?? ""), question: String(question ?? "") });
  }

  #field(name: string): HTMLTextAreaElement {
    return this.#host.querySelector<HTMLTextAreaElement>(`[name="${name}"]`)!;
  }

  #use({ form, question }: { readonly form: string; readonly question: string }): void {
    this.#field("form").value = form;
    this.#field("question").value = question;
  }

  #choose(form: string): void {
    this.#work.stop();
    this.#work.problem = "";
    this.#form = form;
    this.#asked = undefined;
    this.#replay.update(EMPTY_TRACE, false);
    this.#draw();
    this.#use(Object.values(FORMS[form].examples)[0]);
  }

  async #ask(): Promise<void> {
    if (this.#work.running) return;
    const form = this.#form;
    const written = this.#field("form").value;
    const question = this.#field("question").value;
    await this.#work.run(async (signal) => {
      this.#asked = undefined;
      this.#replay.update(EMPTY_TRACE, true);
      const { settings } = this.#context;
      const { strategy, maxTokens = ROOM } = settings.value;
      const request = tracedRequest({
        messages: [{ role: "user", content: question }],
        ...FORMS[form].fields(written),
        ...fieldsOf({
          ...settings.value,
          strategy: STRATEGIES.includes(strategy) ? strategy : "auto",
          maxTokens,
          stepsPerBlock: undefined,
        }),
      });
      this.#asked = { request, form };
      // Another form may have been chosen before the answer has stopped.
      const { text } = await ask(this.#context.api, request, (trace) => {
        if (this.#asked?.request === request) {
          this.#replay.update({ ...trace, constrained: true }, trace.finish === undefined);
        }
      }, signal).catch((error) => {
        this.#replay.update(this.#replay.trace, false);
        throw error;
      });
      this.#context.answered();
      if (!signal.aborted) this.#context.announce(`The answer: ${text}`);
    });
  }

  #share(): void {
    if (!this.#asked) return;
    this.#context.share(this.#asked.request, {
      form: this.#form,
      written: this.#field("form").value,
      question: this.#field("question").value,
    });
  }

  #draw(): void {
    const { running, problem, status } = this.#work;
    const form = FORMS[this.#form];
    // What the server says of a form stands at its field.
    const wrong = problem !== "" && (status === 400 || status === 0);
    const submit = (event: Event) => {
      event.preventDefault();
      this.#ask();
    };
    const said = html`<p class="problem" role="alert" id="form-problem">${problem}</p>`;
    render(
      html`
        <div class="sheet">
          <h2 class="sheet-title">Say what the answer must be</h2>
          <p class="hint">No token that breaks the form is ever committed. What must follow stands at once,
            without the model; the model fills the rest.</p>
          <form class="ask card" @submit=${submit}>
            <div class="choices" role="group" aria-label="Kind of form">${Object.entries(FORMS).map(
              ([name, { label }]) =>
                html`
                  <button type="button" class="button" aria-pressed=${name === this.#form}
                    @click=${() => this.#choose(name)}>${label}</button>
                `,
            )}</div>
            <label class="row">${form.what}
              <textarea class="field code" name="form" rows="9" spellcheck="false"
                aria-invalid=${wrong} aria-describedby=${wrong ? "form-problem" : nothing}
                aria-keyshortcuts="Control+Enter"></textarea></label>
            ${wrong ? said : nothing}
            <label class="row">Question
              <input class="field" name="question" autocomplete="off"></label>
            <div class="does">
              <span class="hint">Examples:</span>
              ${Object.entries(form.examples).map(([name, example]) =>
                html`
                  <button type="button" class="button quiet"
                    @click=${() => this.#use(example)}>${name}</button>
                `
              )}
              <span class="grow"></span>
              <button type="button" class="button stop" ?hidden=${!running}
                @click=${() => this.#work.stop()}>Stop</button>
              <button class="button primary" ?hidden=${running}>Ask <kbd>Ctrl ↵</kbd></button>
            </div>
          </form>
          ${problem !== "" && !wrong ? said : nothing}
          ${this.#result()}
        </div>
      `,
      this.#host,
    );
  }

  #result(): TemplateResult | typeof nothing {
    const { running, problem } = this.#work;
    if (!running && (!this.#asked || problem !== "")) return nothing;
    const { trace } = this.#replay;
    return html`<section class="result" aria-label="Result">
      ${this.#replay.element}
      ${running ? nothing : this.#verdict()}
      <div class="does">${figures(trace)}<span class="actions">
        <button type="button" class="button quiet" ?disabled=${running}
          @click=${() => this.#share()}>Code and link</button></span></div>
    </section>`;
  }

  #verdict(): TemplateResult | typeof nothing {
    const { text, finish } = this.#replay.trace;
    if (finish === undefined || !this.#asked) return nothing;
    if (finish === "stopped") {
      return html`<p class="notice">Stopped: this is a part of an answer.</p>`;
    }
    const { form } = this.#asked;
    const promise = `By the server's promise this is ${
      FORMS[form].promise
    }; what it says is the model's.`;
    if (form !== "schema") return html`<p class="notice">${promise}</p>`;
    try {
      const pretty = JSON.stringify(JSON.parse(text), null, 2);
      return html`
        <p class="notice">${promise} This page has parsed it: it is JSON.</p>
        <pre class="pretty" tabindex="0" aria-label="The answer, indented"><code>${pretty}</code></pre>
      `;
    } catch (error) {
      return html`<p class="problem" role="alert">This page cannot parse the answer: ${
        (error as Error).message
      }</p>`;
    }
  }
}
