/** Conversations, kept in this browser. */
import type { Trace } from "./trace.ts";

/** A question and its answer. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
  /** How the answer was denoised; dropped from old conversations where the browser has no room. */
  readonly trace?: Trace;
}

/** A conversation. */
export interface Conversation {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly changed: number;
  readonly turns: readonly Turn[];
}

/** What the list shows of a conversation. */
export type Entry = Omit<Conversation, "turns">;

const LIST = "unmask.conversations";
const placeOf = (id: string) => `unmask.conversation.${id}`;
/** Characters of a title that comes from a question. */
const TITLE = 48;

/** A conversation without turns. It is kept once it has one. */
export function newConversation(): Conversation {
  return { id: crypto.randomUUID(), title: "", changed: Date.now(), turns: [] };
}

/** The conversations of a browser. */
export class Conversations {
  readonly #storage: Storage;

  constructor(storage: Storage = localStorage) {
    this.#storage = storage;
  }

  /** All of them, the last changed first. */
  list(): readonly Entry[] {
    const entries = read<Entry[]>(this.#storage, LIST) ?? [];
    return entries.toSorted((a, b) => b.changed - a.changed);
  }

  /** A conversation; undefined if it was deleted. */
  open(id: string): Conversation | undefined {
    return read<Conversation>(this.#storage, placeOf(id));
  }

  /** Keeps a conversation; the oldest others lose their records where there is no room. */
  keep(conversation: Conversation): Conversation {
    const { turns } = conversation;
    const title = conversation.title || (turns[0]?.question.trim().slice(0, TITLE) ?? "");
    const kept = { ...conversation, title, changed: Date.now() };
    this.#write(placeOf(kept.id), kept);
    const { turns: _, ...entry } = kept;
    this.#write(LIST, [entry, ...this.list().filter(({ id }) => id !== kept.id)]);
    return kept;
  }

  /** Gives a conversation another title. */
  rename(id: string, title: string): void {
    const conversation = this.open(id);
    if (conversation && title.trim() !== "") this.keep({ ...conversation, title: title.trim() });
  }

  /** Deletes a conversation. */
  delete(id: string): void {
    this.#storage.removeItem(placeOf(id));
    this.#write(LIST, this.list().filter((entry) => entry.id !== id));
  }

  #write(place: string, value: unknown): void {
    for (const oldest of [...this.list()].reverse()) {
      try {
        return this.#storage.setItem(place, JSON.stringify(value));
      } catch {
        this.#lighten(oldest.id);
      }
    }
    try {
      this.#storage.setItem(place, JSON.stringify(value));
    } catch {
      // No room at all: the conversation lives as long as the page.
    }
  }

  /** Keeps a conversation's texts alone. */
  #lighten(id: string): void {
    const conversation = this.open(id);
    if (!conversation) return;
    const turns = conversation.turns.map(({ question, answer }) => ({ question, answer }));
    this.#storage.removeItem(placeOf(id));
    this.#storage.setItem(placeOf(id), JSON.stringify({ ...conversation, turns }));
  }
}

function read<T>(storage: Storage, place: string): T | undefined {
  try {
    return JSON.parse(storage.getItem(place) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}
