import { assertEquals } from "@std/assert";
import { attentionWork } from "../../src/kernels/attention.ts";
import { packRows, rowsOf } from "../../src/model/rows.ts";

const ids = (...tokens: number[]) => Uint32Array.from(tokens);
const mask = (...bits: number[]) => Uint8Array.from(bits);

Deno.test("sequences lie one behind another; hidden positions are left out", () => {
  const packed = packRows([
    { ids: ids(1, 2, 3) },
    { ids: ids(9, 9, 4, 5, 6), attentionMask: mask(0, 0, 1, 0, 1) },
  ]);
  assertEquals(packed, {
    ids: ids(1, 2, 3, 4, 6),
    // Distances count, so they start at the first visible position.
    rowPositions: ids(0, 1, 2, 0, 2),
    ranges: ids(0, 3, 0, 3, 3, 2, 3, 2),
    sequences: [
      { firstRow: 0, positions: ids(0, 1, 2) },
      { firstRow: 3, positions: ids(2, 4) },
    ],
    twinRows: 0,
  });
});

Deno.test("with guidance a twin of every sequence stands behind them all", () => {
  const guided = (unconditionalIds: Uint32Array) => ({ scale: 1, unconditionalIds });
  const sequences = [
    { ids: ids(1, 2), guidance: guided(ids(7, 8)) },
    { ids: ids(0, 3), attentionMask: mask(0, 1), guidance: guided(ids(7, 6)) },
  ];
  const packed = packRows(sequences);
  assertEquals(packed.ids, ids(1, 2, 3, 7, 8, 6));
  assertEquals(packed.rowPositions, ids(0, 1, 0, 0, 1, 0));
  // Queries, then keys: every row is run.
  assertEquals(packed.ranges, ids(0, 2, 0, 2, 2, 1, 2, 1, 3, 2, 3, 2, 5, 1, 5, 1));
  assertEquals(packed.twinRows, 3);
  assertEquals(packed.sequences.map(({ firstRow }) => firstRow), [0, 2]);
  assertEquals(sequences.map(rowsOf), [4, 2]);
});

Deno.test("shadows are rows of their own, also of a twin", () => {
  const guidance = { scale: 1, unconditionalIds: ids(7, 8, 9, 6) };
  const shown = { ids: ids(0, 5, 6, 7), attentionMask: mask(0, 1, 1, 1), shadows: ids(1, 3) };
  assertEquals([shown, { ...shown, guidance }].map(rowsOf), [5, 10]);
});

Deno.test("attention's work is that of every sequence's queries with its keys", () => {
  assertEquals(attentionWork(ids(0, 3, 0, 5, 3, 4, 5, 2)), {
    count: 2,
    longest: 4,
    mostKeys: 5,
    queries: 7,
    keys: 7,
    pairs: 23,
    eights: 2,
    sixteens: 2,
  });
});
