/** The pages that a run writes to: each canvas has its own there before the run begins. */

import type { CanvasRow, HostCanvas } from "./host_canvas.ts";
import type { Question, Unit } from "./jobs.ts";
import type { KeptTable, OwnPages, Span } from "./kept_table.ts";
import type { KeyValuePool } from "./key_value_pool.ts";
import { PAGE_POSITIONS, pagesFor } from "./page_book.ts";

/** Keys and values of the canvases of a run, and of states that have their own for a pass. */
export class CanvasKeys {
  readonly #pool: KeyValuePool;
  readonly #borrowed: number[];
  /** The first borrowed row of each state. */
  readonly #firstBorrowed = new Map<Question, number>();

  private constructor(pool: KeyValuePool, units: readonly Unit[]) {
    this.#pool = pool;
    let rows = 0;
    for (const unit of units) {
      if (unit.borrowed === 0 || unit.kind !== "question") continue;
      this.#firstBorrowed.set(unit, rows);
      rows += unit.borrowed;
    }
    this.#borrowed = pool.book.borrow(pagesFor(rows));
  }

  /**
   * Makes the pages ready.
   * @throws {PagesError} {@linkcode GpuMemoryError} when there are too few, with every canvas as it was
   */
  static async prepare(
    pool: KeyValuePool,
    units: readonly Unit[],
    passes: number,
  ): Promise<CanvasKeys> {
    const own: OwnPages[] = [];
    const begun: KeptTable[] = [];
    let keys: CanvasKeys | undefined;
    try {
      for (const unit of units) {
        const writes = unit.canvas ? writesOf(unit.canvas, unit, passes) : [];
        if (writes.length === 0) continue;
        for (const { kept } of unit.canvas!.all) {
          if (!kept.begun) {
            kept.begin();
            begun.push(kept);
          }
          own.push(kept.pagesToOwn(writes));
        }
      }
      keys = new CanvasKeys(pool, units);
      await pool.fit();
      await pool.copy(own.flatMap(({ copies }) => copies));
    } catch (error) {
      for (const pages of own) pages.drop();
      for (const kept of begun) kept.end();
      keys?.giveBack();
      pool.forgetUnmade();
      throw error;
    }
    for (const pages of own) pages.adopt();
    return keys;
  }

  /** Rows of the pool of a sequence's keys, in the order of its visible positions. */
  rowsOf(kept: KeptTable): Uint32Array {
    return Uint32Array.from({ length: kept.positions }, (_, position) => kept.rowOf(position));
  }

  /**
   * Rows of the pool of a state's keys: the canvas's, and where the pass runs it, rows of its own.
   * @param twin 1 for the unconditional twin, 0 for the sequence
   */
  rowsOfState(state: Question, { kept }: CanvasRow, twin: number): Uint32Array {
    const { first, rows, keys } = state.span!;
    const found = Uint32Array.from({ length: keys }, (_, position) => kept.rowOf(position));
    const borrowed = this.#firstBorrowed.get(state);
    for (let i = 0; borrowed !== undefined && i < rows; i++) {
      found[first + i] = this.#borrowedRow(borrowed + twin * rows + i);
    }
    return found;
  }

  #borrowedRow(row: number): number {
    const page = this.#borrowed[Math.floor(row / PAGE_POSITIONS)];
    return page * PAGE_POSITIONS + row % PAGE_POSITIONS;
  }

  /** Gives the rows of states back. */
  giveBack(): void {
    this.#pool.book.giveBack(this.#borrowed);
  }
}

/** The visible positions to which the passes of a unit write keys and values that are kept. */
function writesOf(canvas: HostCanvas, unit: Unit, passes: number): Span[] {
  if (unit.kind === "question") {
    return unit.cache === "refresh" ? [[0, unit.span!.keys]] : [];
  }
  return unit.steps.slice(0, passes).filter(({ cache }) => cache !== undefined)
    .map(({ cache, horizon }) => {
      const { first, rows } = canvas.span(0, cache, horizon);
      return [first, first + rows];
    });
}

/**
 * What a refresh keeps, as text: all that it depends on.
 * @param keys positions that it ran
 */
export function contentOf(ids: Uint32Array, rotation: Uint32Array, keys: number): string {
  // Positions without gaps follow from their number.
  const gaps = keys > 0 && rotation[keys - 1] !== keys - 1;
  return `${ids.subarray(0, keys)}${gaps ? `at ${rotation.subarray(0, keys)}` : ""}`;
}
