/** The kept keys and values of one sequence: the row of the pool in which each of its positions lies. */

import { PAGE_POSITIONS, type PageBook, type PageHolder, pagesFor } from "./page_book.ts";
import type { Reservation } from "./page_book.ts";

/** A page that is copied: from one to another. */
export type PageCopy = readonly [from: number, to: number];

/**
 * What pages hold: two that are the same page of one content hold the same keys and values. Those of
 * any position depend on all tokens that the pass saw, so that equal prompts alone do not make equal
 * pages.
 */
export class KnownPages {
  /** By content, which may be long and stands here once, the page for each index. */
  readonly #pages = new Map<string, Map<number, number>>();
  readonly #contents = new Map<number, { readonly content: string; readonly index: number }>();

  /** The page of this index with a content. */
  find(content: string, index: number): number | undefined {
    return this.#pages.get(content)?.get(index);
  }

  /** A page holds that page of a content from now on. */
  set(page: number, content: string, index: number): void {
    this.forget(page);
    const pages = this.#pages.get(content) ?? new Map<number, number>();
    this.#pages.set(content, pages.set(index, page));
    this.#contents.set(page, { content, index });
  }

  /** What a page holds is not known any more. */
  forget(page: number): void {
    const before = this.#contents.get(page);
    if (!before) return;
    this.#contents.delete(page);
    const pages = this.#pages.get(before.content)!;
    pages.delete(before.index);
    if (pages.size === 0) this.#pages.delete(before.content);
  }
}

/** Visible positions `[first, end)`. */
export type Span = readonly [first: number, end: number];

/** Pages that a sequence takes in place of those that it shares. */
export interface OwnPages {
  /** What must be copied before they are adopted: pages that a run reads before it writes them. */
  readonly copies: readonly PageCopy[];
  /** They replace the shared ones. */
  adopt(): void;
  /** They are given back. */
  drop(): void;
}

/** Indices of the pages in which some visible positions lie. */
function pagesOf(first: number, end: number): number[] {
  if (end <= first) return [];
  const begin = Math.floor(first / PAGE_POSITIONS);
  return Array.from({ length: pagesFor(end) - begin }, (_, i) => begin + i);
}

/** Pages of one sequence. */
export class KeptTable implements PageHolder {
  readonly #book: PageBook;
  readonly #known: KnownPages;
  #pages: number[] = [];
  /** Positions, of the visible ones, whose keys and values are kept. */
  filled = 0;

  /** @param positions visible positions of the sequence */
  constructor(
    book: PageBook,
    known: KnownPages,
    readonly positions: number,
    readonly reserved?: Reservation,
  ) {
    this.#book = book;
    this.#known = known;
  }

  /** Whether it has pages. */
  get begun(): boolean {
    return this.#pages.length > 0;
  }

  /** The pages, in the order of positions. */
  get pages(): readonly number[] {
    return this.#pages;
  }

  /** Row of the pool of a visible position. */
  rowOf(position: number): number {
    return this.#pages[Math.floor(position / PAGE_POSITIONS)] * PAGE_POSITIONS +
      position % PAGE_POSITIONS;
  }

  /** Takes pages for all positions. @throws {PagesError} */
  begin(): void {
    this.#pages = this.#book.take(pagesFor(this.positions), this);
  }

  /**
   * Takes pages of its own for those that it shares and that a run will write to. They are its pages
   * once they are adopted.
   * @param spans visible positions that the passes of a run write to, in their order
   */
  pagesToOwn(spans: readonly Span[]): OwnPages {
    const written = new Set(spans.flatMap(([first, end]) => pagesOf(first, end)));
    const shared = [...written].filter((i) => this.#book.isShared(this.#pages[i]));
    const taken = this.#book.replace(shared.map((i) => this.#pages[i]), this);
    // Every pass reads all keys: what a page holds is needed unless the first one writes all of it.
    const needed = (i: number) => !this.#isWhole(i, ...spans[0]);
    const swaps = shared.map((i, j) => ({ i, from: this.#pages[i], to: taken[j] }));
    return {
      copies: swaps.filter(({ i }) => needed(i)).map(({ from, to }) => [from, to]),
      adopt: () => {
        for (const { i, from, to } of swaps) {
          if (this.#book.isLast(from)) this.#known.forget(from);
          this.#book.replaced(from, from, this);
          this.#pages[i] = to;
        }
        // What the passes leave there is known to nobody.
        for (const i of written) this.#known.forget(this.#pages[i]);
      },
      drop: () => swaps.forEach(({ from, to }) => this.#book.replaced(from, to, this)),
    };
  }

  /** Whether all positions that a page has are in `[first, end)`. */
  #isWhole(page: number, first: number, end: number): boolean {
    return first <= page * PAGE_POSITIONS &&
      end >= Math.min(this.positions, (page + 1) * PAGE_POSITIONS);
  }

  /**
   * A refresh has written to all visible positions below `end`. Its pages hold what `content` says,
   * except those to which something was written later; where another page holds that too, it is shared.
   */
  refreshed(end: number, content: string, later: readonly Span[]): void {
    this.filled = Math.max(this.filled, end);
    const spoilt = new Set(later.flatMap(([first, end]) => pagesOf(first, end)));
    for (const i of pagesOf(0, end)) {
      if (spoilt.has(i) || !this.#isWhole(i, 0, end)) continue;
      const own = this.#pages[i];
      const other = this.#known.find(content, i);
      if (other === own) continue;
      if (other === undefined) {
        this.#known.set(own, content, i);
        continue;
      }
      this.#book.share(other, this);
      this.#letGo(own);
      this.#pages[i] = other;
    }
  }

  /** Gives all pages back. */
  end(): void {
    for (const page of this.#pages) this.#letGo(page);
    this.#pages = [];
    this.filled = 0;
  }

  /** Holds a page no more. What it holds is forgotten if nobody does: others may write to it. */
  #letGo(page: number): void {
    if (this.#book.isLast(page)) this.#known.forget(page);
    this.#book.give(page, this);
  }
}
