/** Kept results: that a cut file goes on, and that another run's is refused. */

import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import * as fc from "fast-check";
import { KeptResults } from "../../src/evaluate/kept_results.ts";
import { withFolder } from "../model/random_checkpoint.ts";

const SETTINGS = { seed: 3, ratios: [0.3, 0.5], draft: "größer" };

Deno.test("a file cut anywhere loses only what is behind the cut", () =>
  withFolder((dir) => {
    const path = join(dir, "kept.jsonl");
    {
      using kept = new KeptResults<number[]>(path, SETTINGS);
      for (let i = 0; i < 6; i++) kept.add(i, [i / 3, 0.1]);
    }
    const bytes = Deno.readFileSync(path);
    const ends = [...bytes.keys()].filter((i) => bytes[i] === 10);
    fc.assert(fc.property(fc.integer({ min: 0, max: bytes.length }), (length) => {
      Deno.writeFileSync(path, bytes.subarray(0, length));
      using kept = new KeptResults<number[]>(path, SETTINGS);
      const left = Math.max(0, ends.filter((end) => end < length).length - 1);
      assertEquals([...kept.results.keys()], [...Array(left).keys()]);
      for (let i = left; i < 6; i++) kept.add(i, [i / 3, 0.1]);
      assertEquals(Deno.readFileSync(path), bytes);
    }));
    return Promise.resolve();
  }));

Deno.test("another setting is refused by its name, and the file stays", () =>
  withFolder((dir) => {
    const path = join(dir, "kept.jsonl");
    new KeptResults<number>(path, SETTINGS)[Symbol.dispose]();
    const before = Deno.readTextFileSync(path);
    const cases = [
      [{ ...SETTINGS, seed: 4 }, "seed was 3, now 4"],
      [{ ...SETTINGS, more: 1 }, "more was not given, now 1"],
      [{ seed: 3, ratios: [0.3, 0.5] }, 'draft was "größer", now not given'],
    ] as const;
    for (const [settings, message] of cases) {
      assertThrows(() => new KeptResults<number>(path, settings), Error, message);
    }
    assertEquals(Deno.readTextFileSync(path), before);
    Deno.writeTextFileSync(path, `${before}no json\n`);
    assertThrows(() => new KeptResults<number>(path, SETTINGS), Error, "kept.jsonl:2 is no line");
    return Promise.resolve();
  }));
