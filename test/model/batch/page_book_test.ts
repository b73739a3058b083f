/** Pages: who holds which, what is free, and what is shared until somebody writes. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  KeptTable,
  KnownPages,
  type OwnPages,
  type Span,
} from "../../../src/model/batch/kept_table.ts";
import {
  PAGE_POSITIONS,
  PageBook,
  PagesError,
  pagesFor,
  type Reservation,
} from "../../../src/model/batch/page_book.ts";

/** What pages hold, written and copied as a pass would. */
class Memory {
  readonly rows = new Map<number, string>();
  write(table: KeptTable, [first, end]: Span, what: string): void {
    for (let at = first; at < end; at++) this.rows.set(table.rowOf(at), `${what} ${at}`);
  }
  copy(from: number, to: number): void {
    for (let i = 0; i < PAGE_POSITIONS; i++) {
      const found = this.rows.get(from * PAGE_POSITIONS + i);
      if (found !== undefined) this.rows.set(to * PAGE_POSITIONS + i, found);
    }
  }
  read(table: KeptTable, at: number): string | undefined {
    return this.rows.get(table.rowOf(at));
  }
}

/** What a run does with a table. */
interface TableRun {
  readonly table: KeptTable;
  readonly spans: readonly (Span | "refresh")[];
  readonly what: string;
  /** What is kept of each position; becomes what the run leaves. */
  readonly expected: (string | undefined)[];
}

/** A run of refreshes and parts of some tables, as `CanvasKeys` and `applyRun` treat it. */
function run(memory: Memory, runs: readonly TableRun[]) {
  const writesOf = ({ table, spans }: TableRun) =>
    spans.map((span): Span => span === "refresh" ? [0, table.positions] : span);
  const own: OwnPages[] = [];
  try {
    for (const one of runs) {
      if (!one.table.begun) one.table.begin();
      own.push(one.table.pagesToOwn(writesOf(one)));
    }
  } catch (error) {
    for (const pages of own) pages.drop();
    throw error;
  }
  for (const [from, to] of own.flatMap(({ copies }) => copies)) memory.copy(from, to);
  for (const pages of own) pages.adopt();
  for (const one of runs) {
    const { table, spans, what, expected } = one;
    spans.forEach((span, i) => {
      // Every pass reads what those before it left.
      const [first, end] = writesOf(one)[i];
      for (let at = 0; at < expected.length && span !== "refresh"; at++) {
        if (at < first || at >= end) assertEquals(memory.read(table, at), expected[at]);
      }
      // What a refresh leaves depends on the state alone.
      const left = span === "refresh" ? what : `part ${i} of ${what}`;
      memory.write(table, [first, end], left);
      for (let at = first; at < end; at++) expected[at] = `${left} ${at}`;
    });
  }
  for (const one of runs) {
    const last = one.spans.lastIndexOf("refresh");
    if (last < 0) continue;
    one.table.refreshed(one.table.positions, one.what, writesOf(one).slice(last + 1));
  }
}

Deno.test("what a page holds is forgotten when all that share it leave it in one run", () => {
  const [book, known] = [new PageBook(40), new KnownPages()];
  const [third, ...tables] = [0, 1, 2].map(() => new KeptTable(book, known, PAGE_POSITIONS));
  // With a page that was never the others'.
  third.begin();
  for (const table of tables) {
    table.begin();
    table.pagesToOwn([[0, PAGE_POSITIONS]]).adopt();
    table.refreshed(PAGE_POSITIONS, "a", []);
  }
  assertEquals([book.used, book.shared], [2, 1]);
  // Both write to it: one leaves it, and the other has it alone.
  const own = tables.map((table) => table.pagesToOwn([[0, PAGE_POSITIONS]]));
  for (const { adopt } of own) adopt();
  third.refreshed(PAGE_POSITIONS, "a", []);
  assertEquals([book.used, book.shared], [3, 0]);
  for (const table of [...tables, third]) table.end();
  assertEquals([book.used, book.free], [0, 40]);
});

const actionArb = fc.record({
  table: fc.nat(5),
  positions: fc.constantFrom(5, PAGE_POSITIONS, 2 * PAGE_POSITIONS + 6),
  reserved: fc.boolean(),
  kind: fc.constantFrom("refresh", "refresh", "part", "both", "before", "all", "end", "release"),
  /** Few states, so that several tables have the same. */
  state: fc.nat(2),
  at: fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  ),
});

Deno.test("tables share only what is equal, write only to their own, and return all pages", () => {
  let sharedPages = 0;
  fc.assert(
    fc.property(fc.constantFrom(8, 40), fc.array(actionArb, { minLength: 20, maxLength: 60 }), (
      total,
      actions,
    ) => {
      const book = new PageBook(total);
      const known = new KnownPages();
      const memory = new Memory();
      /** What each table must read, by position. */
      const open = new Map<number, {
        table: KeptTable;
        reserved: Reservation | undefined;
        expected: (string | undefined)[];
      }>();
      const end = (which: number) => {
        open.get(which)?.table.end();
        open.get(which)?.reserved?.release();
        open.delete(which);
      };
      for (const { table: which, positions, reserved: wants, kind, state, at } of actions) {
        if (kind === "end") {
          end(which);
          continue;
        }
        if (!open.has(which)) {
          const reserved = wants ? book.reserve(pagesFor(positions)) : undefined;
          const table = new KeptTable(book, known, positions, reserved);
          open.set(which, { table, reserved, expected: [] });
        }
        const { table, expected, reserved } = open.get(which)!;
        if (kind === "release") {
          reserved?.release();
          continue;
        }
        const [first, second] = at.map((share) =>
          Math.min(table.positions - 1, Math.floor(share * table.positions))
        );
        const part: Span = [Math.min(first, second), Math.max(first, second) + 1];
        const what = (table: KeptTable) => `state ${state} of ${table.positions}`;
        // All that have pages, at once: those that share some all write to them.
        const together = [...open.values()].filter(({ table }) => kind === "all" && table.begun)
          .map(({ table, expected }): TableRun => {
            const spans = [[0, Math.min(part[1], table.positions)]] as const;
            return { table, spans, what: what(table), expected };
          });
        const spans = ({
          refresh: ["refresh"],
          part: [part],
          both: ["refresh", part],
          before: [part, "refresh"],
          all: undefined,
        } as const)[kind];
        if (spans?.[0] !== "refresh" && !table.begun) continue;
        const { free } = book;
        const { begun } = table;
        try {
          run(memory, spans ? [{ table, spans, what: what(table), expected }] : together);
        } catch (error) {
          assert(error instanceof PagesError, String(error));
          // What has its pages, or has set them aside, can always go on, whoever shares them.
          assert(!begun && !reserved?.open && free < pagesFor(table.positions));
          continue;
        }
        // Every table reads what its own runs left, whatever the others did.
        for (const { table, expected } of open.values()) {
          for (let j = 0; j < expected.length && table.begun; j++) {
            assertEquals(memory.read(table, j), expected[j]);
          }
        }
        const held = [...open.values()].map(({ table }) => table.pages);
        const all = held.flat();
        const distinct = new Set(all).size;
        assertEquals(book.used, distinct);
        assert(book.made <= total, "no more than planned, even while some are copied");
        const twice = [...new Set(all)].filter((page) =>
          held.filter((pages) => pages.includes(page)).length > 1
        );
        assertEquals(book.shared, twice.length);
        sharedPages += twice.length;
        for (const page of twice) {
          const contents = held.filter((pages) => pages.includes(page)).map((pages) =>
            pages.indexOf(page)
          );
          assertEquals(new Set(contents).size, 1, "a shared page is the same one of each");
        }
      }
      for (const which of [...open.keys()]) end(which);
      assertEquals([book.free, book.used, book.shared], [total, 0, 0]);
    }),
    { numRuns: 300, seed: 18 },
  );
  assert(sharedPages > 200, `only ${sharedPages} pages were shared`);
});

Deno.test("what is set aside is there, and a canvas that finds nothing is told why", () => {
  const book = new PageBook(6);
  const reserved = book.reserve(4)!;
  assertEquals([book.free, book.reserve(3)], [2, undefined]);
  const holder = { reserved };
  const other = {};
  const error = assertThrows(() => book.take(3, other), PagesError);
  assert(error.message.includes("needs 3 pages of 32 keys and values"), error.message);
  const loose = book.take(2, other);
  const own = book.take(4, holder);
  assertEquals(new Set([...loose, ...own]).size, 6);
  const { message } = assertThrows(() => book.take(1, holder), PagesError);
  assert(message.includes("0 of the 4 set aside for it are left"), message);
  // More than was set aside comes from what is free.
  book.give(loose[0], other);
  const more = book.take(1, holder);
  assertEquals(book.free, 0);
  for (const page of [...own, ...more]) book.give(page, holder);
  assertEquals(book.free, 1, "what is set aside stays so");
  reserved.release();
  reserved.release();
  assertEquals(book.free, 5);
  book.give(loose[1], other);
  assertEquals([book.free, book.used], [6, 0]);
});

Deno.test("a reservation that ends before its pages are given back leaves them in use", () => {
  const book = new PageBook(3);
  const reserved = book.reserve(2)!;
  const holder = { reserved };
  const pages = book.take(2, holder);
  reserved.release();
  assertEquals(book.free, 1);
  for (const page of pages) book.give(page, holder);
  assertEquals(book.free, 3);
});

Deno.test("a shared page counts for each that holds it, so that each may have one of its own", () => {
  const book = new PageBook(4);
  const known = new KnownPages();
  const reserved = [0, 1].map(() => book.reserve(2)!);
  const tables = reserved.map((own) => new KeptTable(book, known, 2 * PAGE_POSITIONS, own));
  for (const table of tables) {
    table.begin();
    table.pagesToOwn([[0, table.positions]]).adopt();
    table.refreshed(table.positions, "the same", []);
  }
  assertEquals([book.used, book.shared, book.free], [2, 2, 0]);
  assertEquals(reserved.map(({ held }) => held), [2, 2]);
  const dropped = tables[0].pagesToOwn([[0, 8]]);
  assertEquals(dropped.copies.length, 1);
  dropped.drop();
  assertEquals([book.used, book.shared], [2, 2]);
  // Both write: one leaves the page to the other.
  const own = tables.map((table) => table.pagesToOwn([[0, 8]]));
  assertEquals(own.map(({ copies }) => copies.length), [1, 0]);
  for (const pages of own) pages.adopt();
  assertEquals([book.used, book.shared], [3, 1]);
  for (const [i, table] of tables.entries()) {
    table.end();
    reserved[i].release();
  }
  assertEquals([book.used, book.shared, book.free], [0, 0, 4]);
});

Deno.test("what a page holds is forgotten when all that shared it write elsewhere", () => {
  const book = new PageBook(10);
  const known = new KnownPages();
  const tables = Array.from({ length: 4 }, () => new KeptTable(book, known, 2 * PAGE_POSITIONS));
  const refresh = (table: KeptTable, content: string) => {
    table.begin();
    table.pagesToOwn([[0, table.positions]]).adopt();
    table.refreshed(table.positions, content, []);
  };
  const [first, second, other, later] = tables;
  refresh(first, "the same");
  refresh(second, "the same");
  refresh(other, "another");
  assertEquals(first.pages, second.pages);
  const own = [first, second].map((table) => table.pagesToOwn([[0, 8]]));
  for (const pages of own) pages.adopt();
  other.end();
  refresh(later, "the same");
  // It may have that page, but for itself alone: not as one that somebody else holds.
  assert(!book.isShared(later.pages[0]));
  assertEquals(new Set([first, second, later].map(({ pages }) => pages[0])).size, 3);
  assertEquals(later.pages[1], first.pages[1]);
  assertEquals(book.shared, 1);
});
