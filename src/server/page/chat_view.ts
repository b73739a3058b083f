/** The chat: conversations, turns with their canvases, the field for a question, the controls. */
import { html, nothing, render, type TemplateResult } from "lit-html";
import { ChatTurn, type Message, type TurnHost } from "./chat_turn.ts";
import type { PageContext, View, ViewState } from "./context.ts";
import { conversationList } from "./conversation_list.ts";
import { type Conversation, Conversations, newConversation, type Turn } from "./conversations.ts";
import { emptyState } from "./empty_state.ts";
import { figures } from "./figures.ts";
import { readSettings, type Settings } from "./settings.ts";
import { settingsPanel } from "./settings_panel.ts";

/** Milliseconds that a control rests before the last answer is asked again. */
const REST = 250;
/** Where the id of the conversation that is open is kept, for a reload. */
const OPEN = "unmask.open";

/** Builds the chat. */
export function mountChat(host: HTMLElement, context: PageContext): View {
  return new ChatView(host, context);
}

class ChatView implements View {
  readonly #host: HTMLElement;
  readonly #context: PageContext;
  readonly #conversations = new Conversations();
  readonly #turnHost: TurnHost;
  #conversation: Conversation;
  #turns: readonly ChatTurn[] = [];
  #drawer: "conversations" | "settings" | undefined;
  #renaming: string | undefined;
  #rest: number | undefined;

  constructor(host: HTMLElement, context: PageContext) {
    this.#host = host;
    this.#context = context;
    this.#turnHost = {
      api: context.api,
      settings: () => context.settings.value,
      before: (turn) => this.#before(turn),
      changed: (turn) => this.#changed(turn),
      announce: (sentence) => context.announce(sentence),
    };
    const open = sessionStorage.getItem(OPEN);
    this.#conversation = (open && this.#conversations.open(open)) || newConversation();
    this.#turns = this.#conversation.turns.map((turn) => new ChatTurn(turn, this.#turnHost));
    context.settings.watch(() => this.#draw());
    this.#draw();
    this.#scroll();
  }

  shown(): void {
    // Another field may ask for something, and on a phone a keyboard would come up.
    const free = document.activeElement === document.body;
    if (free && matchMedia("(pointer: fine)").matches) this.#field().focus();
  }

  /** Puts back turns as texts, the choices, and the last question, to be sent. */
  restore(state: ViewState): void {
    this.#context.settings.change(readSettings(state.settings));
    const turns = (Array.isArray(state.turns) ? state.turns : []).filter(isTurn)
      .map(({ question, answer }) => ({ question, answer }));
    this.#show({ ...newConversation(), turns });
    this.#field().value = typeof state.question === "string" ? state.question : "";
  }

  command(name: string): void {
    if (name === "new") this.#show(newConversation());
    if (name === "stop") this.#closeDrawer() || this.#running?.stop();
    else this.#field().focus();
  }

  get #running(): ChatTurn | undefined {
    return this.#turns.find(({ running }) => running);
  }

  #field(): HTMLTextAreaElement {
    return this.#host.querySelector<HTMLTextAreaElement>("textarea")!;
  }

  #before(turn: ChatTurn): readonly Message[] {
    return this.#turns.slice(0, this.#turns.indexOf(turn)).flatMap(({ question, answer }) => [
      { role: "user", content: question } as const,
      { role: "assistant", content: answer } as const,
    ]);
  }

  #send(question: string): void {
    if (question.trim() === "" || this.#running) return;
    const turn = new ChatTurn({ question, answer: "" }, this.#turnHost);
    this.#turns = [...this.#turns, turn];
    turn.ask();
    this.#scroll();
  }

  #changed(turn: ChatTurn): void {
    if (!this.#turns.includes(turn)) return;
    if (!turn.running) {
      this.#keep();
      this.#context.answered();
    }
    this.#draw();
  }

  #keep(): void {
    const turns = this.#turns.filter(({ answer }) => answer !== "").map(({ kept }) => kept);
    if (turns.length === 0) return;
    const title = this.#conversations.open(this.#conversation.id)?.title ?? "";
    this.#conversation = this.#conversations.keep({ ...this.#conversation, title, turns });
    sessionStorage.setItem(OPEN, this.#conversation.id);
  }

  #show(conversation: Conversation): void {
    this.#running?.stop();
    this.#conversation = conversation;
    this.#turns = conversation.turns.map((turn) => new ChatTurn(turn, this.#turnHost));
    sessionStorage.setItem(OPEN, conversation.id);
    this.#closeDrawer();
    this.#draw();
    this.#scroll();
  }

  #change(changes: Partial<Settings>): void {
    this.#context.settings.change(changes);
    clearTimeout(this.#rest);
    const last = this.#turns.at(-1);
    if (!last || !this.#context.settings.value.rerun || "rerun" in changes) return;
    this.#rest = setTimeout(() => last.ask(), REST);
  }

  #share(turn: ChatTurn): void {
    const turns = this.#turns.slice(0, this.#turns.indexOf(turn))
      .map(({ question, answer }) => ({ question, answer }));
    const { request, settings } = turn.asked;
    this.#context.share(request, { turns, question: turn.question, settings });
  }

  #scroll(): void {
    const turns = this.#host.querySelector(".turns");
    requestAnimationFrame(() => turns?.scrollTo({ top: turns.scrollHeight }));
  }

  #closeDrawer(): boolean {
    const was = this.#drawer;
    this.#drawer = undefined;
    if (was) this.#draw();
    return was !== undefined;
  }

  #draw(): void {
    render(
      html`
        ${this.#drawers()}
              <div class="talk">
                <div class="turns" tabindex="-1">${this.#turns.length === 0
                  ? emptyState((question) => this.#send(question))
                  : this.#turns.map((turn) => this.#turn(turn))}</div>
                ${this.#composer()}
              </div>
              <aside class="drawer right" id="settings" aria-label="How it is denoised"
          ?data-open=${this.#drawer === "settings"}>
                ${this.#closer()}
                <h2>How it is denoised</h2>
                ${settingsPanel({
                  settings: this.#context.settings.value,
                  onChange: (changes) => this.#change(changes),
                })}
              </aside>
      `,
      this.#host,
    );
  }

  #drawers(): TemplateResult {
    const toggle = (name: "conversations" | "settings") => {
      this.#drawer = this.#drawer === name ? undefined : name;
      this.#draw();
      this.#host.querySelector<HTMLElement>("[data-open] button, [data-open] select")?.focus();
    };
    const opener = (name: "conversations" | "settings", words: string) =>
      html`
        <button type="button" class="button opener ${name}" aria-controls=${name}
          aria-expanded=${this.#drawer === name} @click=${() => toggle(name)}>${words}</button>
      `;
    return html`
      <div class="openers">
              ${opener("conversations", "Conversations")} ${opener("settings", "Settings")}
            </div>
            ${this.#drawer
              ? html`<div class="backdrop" @click=${() => this.#closeDrawer()}></div>`
              : nothing}
            <aside class="drawer left" id="conversations" aria-label="Conversations"
        ?data-open=${this.#drawer === "conversations"}>${this.#closer()}${conversationList({
          entries: this.#conversations.list(),
          open: this.#conversation.id,
          renaming: this.#renaming,
          onNew: () => this.command("new"),
          onOpen: (id) => this.#show(this.#conversations.open(id) ?? newConversation()),
          onRenaming: (id) => this.#rename(id),
          onRename: (id, title) => {
            this.#conversations.rename(id, title);
            this.#rename(undefined);
          },
          onDelete: ({ id, title }) => {
            if (!confirm(`Delete the conversation "${title}"?`)) return;
            this.#conversations.delete(id);
            if (id === this.#conversation.id) this.#show(newConversation());
            this.#draw();
          },
        })}</aside>
    `;
  }

  /** Seen where the sides are drawers. */
  #closer(): TemplateResult {
    return html`
      <button type="button" class="button quiet closer"
        @click=${() => this.#closeDrawer()}>Close</button>
    `;
  }

  #rename(id: string | undefined): void {
    this.#renaming = id;
    this.#draw();
    this.#host.querySelector<HTMLInputElement>("input.rename")?.select();
  }

  #turn(turn: ChatTurn): TemplateResult {
    return html`<article class="turn">
      <p class="question">${turn.question}</p>
      ${turn.hasTrace ? turn.replay.element : html`<p class="canvas">${turn.answer}</p>`}
      ${this.#advice(turn)}
      ${turn.problem ? html`<p class="problem" role="alert">${turn.problem}</p>` : nothing}
      <footer class="turn-end">
        ${figures(turn.replay.trace)}
        <span class="actions">
          <button type="button" class="button quiet" ?disabled=${this.#running !== undefined}
            @click=${() => turn.ask()}>Ask again</button>
          <button type="button" class="button quiet" @click=${() => this.#share(turn)}>Code and
            link</button>
        </span>
      </footer>
    </article>`;
  }

  /** What helps where a model that knows single questions is asked another one. */
  #advice(turn: ChatTurn): TemplateResult | typeof nothing {
    const { finish, text } = turn.replay.trace;
    if (turn.running || finish !== "stop" || text !== "") return nothing;
    if (this.#before(turn).length === 0) return html`<p class="notice">The answer is empty.</p>`;
    return html`<p class="notice">The answer is empty. Small models know single questions alone: ask it
      in a <button type="button" class="link" @click=${() => {
      this.command("new");
      this.#field().value = turn.question;
    }}>new conversation</button>.</p>`;
  }

  #composer(): TemplateResult {
    const send = () => {
      const field = this.#field();
      if (field.value.trim() === "" || this.#running) return;
      this.#send(field.value);
      field.value = "";
    };
    const submit = (event: SubmitEvent) => {
      event.preventDefault();
      send();
    };
    const keyed = (event: KeyboardEvent) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    };
    const running = this.#running;
    return html`
      <form class="composer card" @submit=${submit}>
        <textarea name="question" rows="1" aria-label="Your message" @keydown=${keyed}
          placeholder="Ask something" aria-keyshortcuts="/"></textarea>
        <button type="button" class="button stop" ?hidden=${!running}
          @click=${() => running?.stop()}>Stop</button>
        <button class="button primary" ?hidden=${running !== undefined}>Send</button>
      </form>
    `;
  }
}

function isTurn(value: unknown): value is Turn {
  const { question, answer } = (value ?? {}) as Partial<Turn>;
  return typeof question === "string" && typeof answer === "string";
}
