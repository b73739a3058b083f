/** Margin and entropy on the GPU. */

import { assert, assertEquals } from "@std/assert";
import { CONFIDENCE_MEASURES } from "../../src/denoise/confidence.ts";
import { NO_TOKEN } from "../../src/denoise/predictor.ts";
import { MEASURES, NO_TOKEN as KERNEL_NO_TOKEN } from "../../src/kernels/step_plan.ts";
import { forms } from "../gpu/device.ts";
import { assertPredictions, predictRows, rowsOf } from "./prediction_rows.ts";
import { Random } from "./random.ts";

Deno.test("both sides name no token and the measures alike", () => {
  assertEquals(KERNEL_NO_TOKEN, NO_TOKEN);
  assertEquals(Object.keys(MEASURES), [...CONFIDENCE_MEASURES]);
});

Deno.test("margin and entropy whatever the order of logits, across lanes, tiles and parts", async () => {
  const random = new Random("measures");
  const shapes: ((token: number) => number)[] = [
    (token) => token / 40,
    (token) => -token / 40,
    (token) => -Math.abs(token - 260) / 30,
    () => 0.1 * random.integer(30),
    () => 1.5,
    () => 6 * random.normal(),
    (token) => token % 32 === 7 ? 9 + token / 1000 : -5,
  ];
  const logits = shapes.map((shape) => Float32Array.from({ length: 520 }, (_, i) => shape(i)));
  for (const measure of ["margin", "entropy"] as const) {
    for (const hidden of [{}, { bannedTokens: [519, 0] }, { unconfidentTokens: [260, 488, 1] }]) {
      const rows = rowsOf(logits, { ...hidden, measure });
      await assertPredictions(rows, 2e-5);
      await assertPredictions({ ...rows, partColumns: 256 }, 2e-5);
      const temperature = 3; // The choice has no part in either.
      await assertPredictions(rowsOf(logits, { ...hidden, measure, temperature }), 2e-5);
    }
  }
});

Deno.test("a margin of two equal logits is Infinity, of two that hardly differ it is exact", async () => {
  const pairs = [[3, 35], [3, 4], [127, 128], [255, 256], [0, 519]];
  const rowWith = (pair: readonly number[], values: readonly number[], rest = -3) => {
    const row = new Float32Array(520).fill(rest);
    pair.forEach((token, i) => row[token] = values[i]);
    return row;
  };
  const ties = pairs.map((pair) => rowWith(pair, [9, 9]));
  const near = [2 ** -22, 2 ** -16, 1e-4, 0.0099, 0.0101].flatMap((gap) =>
    pairs.map((pair) => rowWith(pair, [1, 1 + gap]))
  );
  for (const partColumns of [undefined, 256]) {
    for (const rows of [ties, near].map((logits) => rowsOf(logits, { measure: "margin" }))) {
      await assertPredictions({ ...rows, partColumns }, 2e-5);
    }
  }
  const [, gpu] = [...forms][0];
  const found = await predictRows(gpu, rowsOf(ties, { measure: "margin" }));
  assertEquals(found.map(({ uncertainty }) => uncertainty), pairs.map(() => Infinity));
});

Deno.test("sure rows are told apart by every measure, though p is 1 for all of them", async () => {
  const gaps = [20, 24, 27.6, 40, 60, 80];
  const logits = gaps.map((gap) => {
    const row = new Float32Array(140).fill(-gap);
    row[131] = 0;
    return row;
  });
  for (const measure of CONFIDENCE_MEASURES) {
    const rows = rowsOf(logits, { measure });
    await assertPredictions(rows, 2e-5);
    const [, gpu] = [...forms][0];
    const keys = (await predictRows(gpu, rows)).map(({ uncertainty }) => uncertainty);
    assertEquals(keys, keys.toSorted((a, b) => b - a));
    assertEquals(new Set(keys).size, keys.length);
    assert(keys.at(-1)! > 0 && keys.at(-1)! < 1e-29, `${measure} ${keys}`);
  }
});
