/** Who holds which pages of keys and values: a page belongs to one sequence, or is shared by several. */

import { GpuError } from "../../gpu/device.ts";
import type { PagePool, PageReservation } from "./pass_job.ts";

/** Positions of a page. */
export const PAGE_POSITIONS = 32;

/** Number of pages for so many positions. */
export function pagesFor(positions: number): number {
  return Math.ceil(positions / PAGE_POSITIONS);
}

/** The error of a canvas for which there are too few pages. */
export class PagesError extends GpuError {
  /** An error with a message for the user. */
  constructor(message: string) {
    super(message);
    this.name = "PagesError";
  }
}

/** What holds pages: the kept keys and values of one sequence. */
export interface PageHolder {
  /** Where its pages come from as long as some are left there; then from those that are free. */
  readonly reserved?: Reservation;
}

/** Pages set aside. */
class Reservation implements PageReservation {
  /** Pages that its holders have, shared or not; those beyond it come from what was free. */
  held = 0;
  #book: PageBook | undefined;

  constructor(book: PageBook, readonly pages: number) {
    this.#book = book;
  }

  /** Whether it was not released. */
  get open(): boolean {
    return this.#book !== undefined;
  }

  release(): void {
    this.#book?.closed(this);
    this.#book = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

export type { Reservation };

/**
 * Keeps account of pages, which are numbers. A page that several hold is in memory once, and counts for
 * each of them: each may have to write to it, and then needs one of its own.
 */
export class PageBook implements PagePool {
  readonly positions = PAGE_POSITIONS;
  /** Pages set aside, and those in use beyond them, one for each holder. */
  #counted = 0;
  /** Holders of each page in use. */
  readonly #holders = new Map<number, PageHolder[]>();
  /** Of shared pages, how many holders are about to leave them. */
  readonly #leaving = new Map<number, number>();
  readonly #idle: number[] = [];
  #held = 0;
  #made = 0;
  #shared = 0;
  /** Told once, when no page is in use any more. */
  #whenUnused: (() => void) | undefined;

  constructor(readonly total: number) {}

  get free(): number {
    return Math.max(0, this.total - this.#counted);
  }

  get shared(): number {
    return this.#shared;
  }

  /** Pages that exist: numbers are below this. */
  get made(): number {
    return this.#made;
  }

  /** Pages that all holders have together: as many would be in use if none were shared. */
  get held(): number {
    return this.#held;
  }

  /** Pages in use. */
  get used(): number {
    return this.#holders.size;
  }

  /** Sets pages aside; undefined if too few are free. */
  reserve(pages: number): Reservation | undefined {
    if (pages > this.free) return undefined;
    this.#counted += pages;
    return new Reservation(this, pages);
  }

  /** Told by a reservation that it ends: pages that are still held stay counted. */
  closed({ pages, held }: Reservation): void {
    this.#counted -= Math.max(0, pages - held);
  }

  /** @throws {PagesError} when there are too few, naming what was set aside */
  take(count: number, holder: PageHolder): number[] {
    const { reserved } = holder;
    const left = reserved?.open ? Math.max(0, reserved.pages - reserved.held) : 0;
    if (count > left + this.free) {
      throw new PagesError(
        `a canvas needs ${count} pages of ${this.positions} keys and values: ` +
          (reserved ? `${left} of the ${reserved.pages} set aside for it are left, and ` : "") +
          `of all ${this.total} there are ${this.free} that nobody uses or has set aside. ` +
          "Wait until a canvas is destroyed, or allow more (--cache-pages).",
      );
    }
    for (let i = 0; i < count; i++) this.#count(holder);
    return this.#handOut(count, holder);
  }

  /** One more holds a page that is in use. */
  share(page: number, holder: PageHolder): void {
    const holders = this.#holders.get(page)!;
    if (holders.push(holder) === 2) this.#shared++;
    this.#count(holder);
  }

  /** Whether others hold a page too, and stay. */
  isShared(page: number): boolean {
    return this.#holders.get(page)!.length - (this.#leaving.get(page) ?? 0) > 1;
  }

  /** Whether a holder that lets a page go is its last. */
  isLast(page: number): boolean {
    return this.#holders.get(page)!.length === 1;
  }

  /**
   * Hands out pages in place of shared ones, which their holder is about to leave. There always are
   * some: it counts already for as many.
   */
  replace(pages: readonly number[], holder: PageHolder): number[] {
    for (const page of pages) this.#leaving.set(page, (this.#leaving.get(page) ?? 0) + 1);
    return this.#handOut(pages.length, holder);
  }

  /**
   * A holder has one of two pages: that which it shared, or that which it got in its place. It lets the
   * other go.
   */
  replaced(shared: number, other: number, holder: PageHolder): void {
    const leaving = this.#leaving.get(shared)! - 1;
    if (leaving > 0) this.#leaving.set(shared, leaving);
    else this.#leaving.delete(shared);
    this.#letGo(other, holder);
  }

  /** A holder lets a page go. */
  give(page: number, holder: PageHolder): void {
    const { reserved } = holder;
    this.#held--;
    if (!reserved?.open) this.#counted--;
    else if (reserved.held-- > reserved.pages) this.#counted--;
    this.#letGo(page, holder);
  }

  /** Tells when no page is in use: now, or later, once. */
  whenUnused(told: (() => void) | undefined): void {
    this.#whenUnused = this.#holders.size === 0 ? undefined : told;
    if (this.#holders.size === 0) told?.();
  }

  /** Pages for one pass, beside those that are counted. */
  borrow(count: number): number[] {
    return Array.from({ length: count }, () => this.#idle.pop() ?? this.#made++);
  }

  /** Gives borrowed pages back. */
  giveBack(pages: readonly number[]): void {
    this.#idle.push(...pages);
  }

  /** Forgets idle pages from this number on, for which there was no room. */
  forget(from: number): void {
    const kept = this.#idle.filter((page) => page < from);
    this.#idle.splice(0, Infinity, ...kept);
    this.#made = Math.min(this.#made, from);
  }

  #handOut(count: number, holder: PageHolder): number[] {
    // The lowest first: pages that lie in a row are read a little faster.
    this.#idle.sort((a, b) => b - a);
    return Array.from({ length: count }, () => {
      const page = this.#idle.pop() ?? this.#made++;
      this.#holders.set(page, [holder]);
      return page;
    });
  }

  #letGo(page: number, holder: PageHolder): void {
    const holders = this.#holders.get(page)!;
    holders.splice(holders.indexOf(holder), 1);
    if (holders.length === 1) this.#shared--;
    if (holders.length > 0) return;
    this.#holders.delete(page);
    this.#idle.push(page);
    if (this.#holders.size === 0) this.whenUnused(this.#whenUnused);
  }

  /** Counts one more page of a holder. */
  #count({ reserved }: PageHolder): void {
    this.#held++;
    if (!reserved?.open || ++reserved.held > reserved.pages) this.#counted++;
  }
}
