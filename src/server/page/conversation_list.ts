/** The list of conversations: open, new, rename, delete. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Entry } from "./conversations.ts";

/** What the list shows and does. */
export interface ConversationListOptions {
  readonly entries: readonly Entry[];
  /** Id of the conversation that is open. */
  readonly open: string;
  /** Id of the one whose title is edited. */
  readonly renaming: string | undefined;
  readonly onNew: () => void;
  readonly onOpen: (id: string) => void;
  readonly onRenaming: (id: string | undefined) => void;
  readonly onRename: (id: string, title: string) => void;
  readonly onDelete: (entry: Entry) => void;
}

/** The list. */
export function conversationList(options: ConversationListOptions): TemplateResult {
  const { entries, onNew } = options;
  return html`<div class="conversations">
    <button type="button" class="button" @click=${onNew}>New conversation</button>
    ${
    entries.length === 0
      ? html`<p class="hint">Conversations stay in this browser.</p>`
      : html`<ul>${entries.map((entry) => item(entry, options))}</ul>`
  }
  </div>`;
}

function item(entry: Entry, options: ConversationListOptions): TemplateResult {
  const { id, title } = entry;
  if (id === options.renaming) return renameForm(entry, options);
  return html`
    <li class="conversation">
      <button type="button" class="name" aria-current=${id === options.open ? "true" : nothing}
        @click=${() => options.onOpen(id)}>${title}</button>
      <span class="edits">
        <button type="button" class="button quiet" aria-label="Rename ${title}" title="Rename"
          @click=${() => options.onRenaming(id)}>✎</button>
        <button type="button" class="button quiet" aria-label="Delete ${title}" title="Delete"
          @click=${() => options.onDelete(entry)}>✕</button>
      </span>
    </li>
  `;
}

function renameForm({ id, title }: Entry, options: ConversationListOptions): TemplateResult {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    options.onRename(id, String(new FormData(form).get("title")));
  };
  const keyed = (event: KeyboardEvent) => event.key === "Escape" && options.onRenaming(undefined);
  return html`
    <li class="conversation">
      <form @submit=${submit} @keydown=${keyed}>
        <input class="field rename" name="title" .value=${title} aria-label="Title" maxlength="80">
      </form>
    </li>
  `;
}
