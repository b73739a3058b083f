/** Rows of a pass: each job's lie together, and each finds its tokens, its keys and its place. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  isPlain,
  layoutPass,
  type PassPart,
  placesOf,
  type RunSequence,
} from "../../../src/model/batch/pass_layout.ts";

const sequenceArb = fc.record({
  length: fc.integer({ min: 1, max: 12 }),
  shadows: fc.nat(2),
  kept: fc.boolean(),
  first: fc.nat(11),
  rows: fc.nat(12),
  hidden: fc.nat(5),
});

Deno.test("every row of a layout is one row of one part, and sees the keys of its own sequence", () => {
  let inRow = 0;
  fc.assert(
    fc.property(
      fc.array(sequenceArb, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (draws, scattered) => {
        let poolRow = 1000;
        const sequences: RunSequence[] = [];
        const parts: PassPart[] = [];
        for (const [sequence, { length, kept, hidden, ...draw }] of draws.entries()) {
          const shadows = kept ? 0 : Math.min(draw.shadows, length);
          const ids = Uint32Array.from({ length: length + shadows }, (_, i) => 100 * sequence + i);
          const positions = Uint32Array.from(ids, (_, i) => i);
          const keyRows = Uint32Array.from({ length }, () => poolRow++);
          if (scattered) keyRows.reverse();
          sequences.push({ ids, positions, ...kept && { keyRows } });
          const first = kept ? draw.first % length : 0;
          const rows = kept ? Math.min(draw.rows, length - first) : length;
          parts.push({
            sequence,
            first,
            rows,
            keys: length,
            kept,
            ...shadows > 0 && { shadows: new Uint32Array(shadows).fill(hidden % length) },
          });
        }
        const places = placesOf(sequences);
        const ids = sequences.flatMap(({ ids }) => [...ids]);
        const lists = [
          ...sequences.flatMap(({ positions }) => [...positions]),
          ...sequences.flatMap(({ keyRows }) => [...keyRows ?? []]),
        ];
        const layout = layoutPass(sequences, places, parts);
        assertEquals(layout.rows, layout.rowIds.length);
        const seen = new Set<number>();
        for (const [i, part] of parts.entries()) {
          const { keyRows } = sequences[part.sequence];
          for (let j = 0; j < part.rows; j++) {
            const row = layout.firstRows[i] + j;
            assert(!seen.has(row));
            seen.add(row);
            assertEquals(ids[layout.rowIds[row]], 100 * part.sequence + part.first + j);
            assertEquals(layout.writeRows[row], part.kept ? keyRows![part.first + j] : row);
          }
          const group = part.kept ? layout.kept : layout.loose;
          if (part.rows === 0) continue;
          const ranges = chunksOf(group!.ranges);
          const own = ranges.filter(([first]) => first === layout.firstRows[i]);
          assertEquals(own.length, 1);
          const [[, rows, firstKey, keys]] = own;
          assertEquals([rows, keys], [part.rows, part.keys]);
          if (part.kept && layout.kept!.listed) {
            assertEquals(lists.slice(firstKey, firstKey + keys), [...keyRows!]);
          } else if (part.kept) {
            assertEquals(Array.from({ length: keys }, (_, j) => firstKey + j), [...keyRows!]);
            inRow++;
          }
          if (!part.kept) assertEquals(firstKey, layout.firstRows[i]);
          if (!part.shadows) continue;
          const [shadowRange] = chunksOf(layout.shadows!.ranges)
            .filter(([, , first]) => first === layout.firstRows[i]);
          assertEquals(shadowRange.slice(1), [part.shadows.length, layout.firstRows[i], part.keys]);
          for (const [j, hidden] of part.shadows.entries()) {
            const row = shadowRange[0] + j;
            seen.add(row);
            assertEquals(ids[layout.rowIds[row]], 100 * part.sequence + part.rows + j);
            assertEquals(
              [...layout.shadows!.keys.subarray(2 * row, 2 * row + 2)],
              [layout.firstRows[i] + hidden, row],
            );
          }
        }
        assertEquals(seen.size, layout.rows);
        const { loose, kept } = layout;
        assertEquals((loose?.rows ?? 0) + (kept?.rows ?? 0), layout.rows);
        if (kept) assertEquals(kept.first, loose?.rows ?? 0);
        assertEquals(isPlain(layout, ids.length), parts.every((part) => !part.kept));
      },
    ),
    { numRuns: 200, seed: 4 },
  );
  assert(inRow > 20);
});

const chunksOf = (words: Uint32Array) =>
  Array.from({ length: words.length / 4 }, (_, i) => [...words.subarray(4 * i, 4 * i + 4)]);
