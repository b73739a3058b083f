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
  /** Pages of it that are in use. */
  used = 0;
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
 * Keeps account of pages, which are numbers. A page that several hold is counted for the first of
 * them; if that one lets go, it is counted for the next.
 */
export class PageBook implements PagePool {
  readonly positions = PAGE_POSITIONS;
  /** Pages set aside, in use or not. */
  #reserved = 0;
  /** Pages in use that nobody set aside. */
  #loose = 0;
  /** Holders of each page in use. */
  readonly #holders = new Map<number, PageHolder[]>();
  /** The reservation for which a page in use is counted, that of its first holder; none if loose. */
  readonly #counted = new Map<number, Reservation>();
  readonly #idle: number[] = [];
  #made = 0;
  #shared = 0;
  /** Told once, when no page is in use any more. */
  #whenUnused: (() => void) | undefined;

  constructor(readonly total: number) {}

  get free(): number {
    return Math.max(0, this.total - this.#reserved - this.#loose);
  }

  get shared(): number {
    return this.#shared;
  }

  /** Pages that exist: numbers are below this. */
  get made(): number {
    return this.#made;
  }

  /** Pages in use. */
  get used(): number {
    return this.#holders.size;
  }

  /** Sets pages aside; undefined if too few are free. */
  reserve(pages: number): Reservation | undefined {
    if (pages > this.free) return undefined;
    this.#reserved += pages;
    return new Reservation(this, pages);
  }

  /** Told by a reservation that it ends: pages of it that are still held stay so, as if loose. */
  closed(reservation: Reservation): void {
    this.#reserved -= reservation.pages;
    this.#loose += reservation.used;
  }

  /** @throws {PagesError} when there are too few, naming what was set aside */
  take(count: number, holder: PageHolder): number[] {
    const { reserved } = holder;
    const left = reserved?.open ? reserved.pages - reserved.used : 0;
    if (count > left + this.free) {
      throw new PagesError(
        `a canvas needs ${count} pages of ${this.positions} keys and values: ` +
          (reserved ? `${left} of the ${reserved.pages} set aside for it are left, and ` : "") +
          `of all ${this.total} there are ${this.free} that nobody uses or has set aside. ` +
          "Wait until a canvas is destroyed, or allow more (--cache-pages).",
      );
    }
    // The lowest first: pages that lie in a row are read a little faster.
    this.#idle.sort((a, b) => b - a);
    return Array.from({ length: count }, () => {
      const page = this.#idle.pop() ?? this.#made++;
      this.#holders.set(page, [holder]);
      this.#count(page, holder);
      return page;
    });
  }

  /** One more holds a page that is in use. */
  share(page: number, holder: PageHolder): void {
    const holders = this.#holders.get(page)!;
    if (holders.push(holder) === 2) this.#shared++;
  }

  /** Whether others hold a page too. */
  isShared(page: number): boolean {
    return this.#holders.get(page)!.length > 1;
  }

  /** A holder lets a page go. */
  give(page: number, holder: PageHolder): void {
    const holders = this.#holders.get(page)!;
    const at = holders.indexOf(holder);
    holders.splice(at, 1);
    if (at === 0) {
      const reserved = this.#counted.get(page);
      if (reserved?.open) reserved.used--;
      else this.#loose--;
      this.#counted.delete(page);
      if (holders.length > 0) this.#count(page, holders[0]);
    }
    if (holders.length === 1) this.#shared--;
    if (holders.length > 0) return;
    this.#holders.delete(page);
    this.#idle.push(page);
    if (this.#holders.size === 0) this.whenUnused(this.#whenUnused);
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

  /** Counts a page for its first holder. */
  #count(page: number, { reserved }: PageHolder): void {
    if (reserved?.open && reserved.used < reserved.pages) {
      reserved.used++;
      this.#counted.set(page, reserved);
    } else this.#loose++;
  }
}
