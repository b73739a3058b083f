import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Gpu } from "../../../src/gpu/device.ts";
import { ROW_FORMS } from "../../../src/gpu/row_form.ts";
import { tilePlans } from "../../../src/kernels/weight_matrix.ts";
import type { TiledMatrix } from "../../../src/model/tiles/tiled_matrix.ts";
import {
  deviceKey,
  parseTunedTiles,
  tileLookup,
  TUNED_FORMAT,
  tunedEntry,
  type TunedTiles,
  UNTUNED,
  withEntry,
} from "../../../src/model/tiles/tuned_tiles.ts";
import { SCHEMES } from "../../../src/quant/scheme.ts";
import { anyGpu, withLimits } from "../../gpu/device.ts";

const matrixArb = fc.record({
  kernel: fc.constantFrom("matmul", "qkv", "swiglu"),
  scheme: fc.constantFrom("f32", "bf16", "q8", "q4").map((name) => SCHEMES[name]),
  arithmetic: fc.constantFrom("f32", "f16"),
  blocks: fc.integer({ min: 1, max: 2000 }),
  columns: fc.integer({ min: 1, max: 200_000 }),
}) as fc.Arbitrary<TiledMatrix>;

const ENTRY = { rows: [32], gflopPerSecond: [2], fixedGflopPerSecond: [1] };
const MATRIX: TiledMatrix = {
  kernel: "matmul",
  scheme: SCHEMES.q4,
  arithmetic: "f32",
  blocks: 512,
  columns: 4096,
};
const PLAN = { splits: 2, rowGroups: 1 } as const;
const TUNED = withEntry(UNTUNED, anyGpu, MATRIX, { ...ENTRY, ...PLAN });

Deno.test("what was put in is found again, in a file's text too, and nothing else is", () => {
  const drawArb = fc.record({ matrix: matrixArb, pick: fc.nat() });
  fc.assert(fc.property(
    fc.uniqueArray(drawArb, { selector: ({ matrix }) => JSON.stringify(matrix), maxLength: 6 }),
    matrixArb,
    (draws, other) => {
      const known = draws.map(({ matrix, pick }) => {
        const plans = tilePlans(matrix.kernel, matrix.blocks, anyGpu.rowForm);
        return [matrix, plans[pick % plans.length]] as const;
      });
      let tuned: TunedTiles = UNTUNED;
      for (const [matrix, plan] of known) {
        tuned = withEntry(tuned, anyGpu, matrix, { ...ENTRY, ...plan });
      }
      const read = parseTunedTiles(JSON.stringify(tuned));
      assertEquals(read, tuned);
      const lookup = tileLookup(read as TunedTiles, anyGpu);
      for (const [matrix, plan] of known) assertEquals(lookup(matrix), plan);
      const isKnown = known.some(([matrix]) => JSON.stringify(matrix) === JSON.stringify(other));
      if (!isKnown) assertEquals(lookup(other), undefined);
    },
  ));
});

Deno.test("a tuning holds for its device alone, and other devices keep theirs", () => {
  const others: Gpu[] = [
    { ...anyGpu, identity: "another adapter" },
    { ...anyGpu, features: [] },
    { ...anyGpu, native: false },
    { ...anyGpu, subgroups: !anyGpu.subgroups },
    ...ROW_FORMS.filter((form) => form !== anyGpu.rowForm)
      .map((rowForm) => ({ ...anyGpu, rowForm })),
    withLimits(anyGpu, { maxComputeWorkgroupStorageSize: 16384 }),
  ];
  for (const other of others) assertEquals(tunedEntry(TUNED, other, MATRIX), undefined);
  const both = withEntry(TUNED, others[0], MATRIX, { ...ENTRY, splits: 4, rowGroups: 2 });
  assertEquals(tileLookup(both, anyGpu)(MATRIX), PLAN);
  assertEquals(tileLookup(both, others[0])(MATRIX), { splits: 4, rowGroups: 2 });
});

Deno.test("a tuning of one form of the kernels is not taken for the other, whatever the key", () => {
  const [one, other] = ROW_FORMS.map((rowForm): Gpu => ({ ...anyGpu, rowForm }));
  const tuned = withEntry(UNTUNED, one, MATRIX, { ...ENTRY, ...PLAN });
  const renamed = { ...tuned, devices: { [deviceKey(other)]: tuned.devices[deviceKey(one)] } };
  assertEquals(tileLookup(tuned, one)(MATRIX), PLAN);
  assertEquals(tileLookup(renamed, other)(MATRIX), undefined);
});

Deno.test("an entry of another shader, or that the kernel cannot follow, is passed over", () => {
  const changed = { ...MATRIX, scheme: { ...MATRIX.scheme, snippet: "// another" } };
  assertEquals(tunedEntry(TUNED, anyGpu, changed), undefined);
  const wrong = [{ splits: 3, rowGroups: 1 }, { splits: 2, rowGroups: 4 }, {
    splits: 128,
    rowGroups: 1,
  }];
  // In the form for GPUs some of them can be followed.
  const gpu: Gpu = { ...anyGpu, rowForm: "exchanged" };
  for (const plan of wrong) {
    const tuned = withEntry(UNTUNED, gpu, MATRIX, { ...ENTRY, ...plan as typeof PLAN });
    assertEquals(tileLookup(tuned, gpu)(MATRIX), undefined, JSON.stringify(plan));
  }
  const rotated = { ...MATRIX, kernel: "qkv" } as const;
  const large = withEntry(UNTUNED, gpu, rotated, { ...ENTRY, splits: 1, rowGroups: 4 });
  assertEquals(tileLookup(large, gpu)(rotated), undefined);
});

Deno.test("what is no tuning is named", () => {
  const format = TUNED_FORMAT;
  const cases: readonly (readonly [text: string, problem: string])[] = [
    ["", "it is not JSON"],
    [JSON.stringify(TUNED).slice(0, 99), "it is not JSON"],
    ["[]", "it holds no JSON object"],
    ["{}", `its format is not "${format}"`],
    [JSON.stringify({ ...TUNED, format: "unmask tiles 0" }), `its format is not "${format}"`],
    [JSON.stringify({ format }), "devices is no JSON object"],
    [JSON.stringify({ format, devices: { a: 1 } }), 'devices["a"] is no JSON object'],
    [JSON.stringify({ format, devices: { a: { b: {} } } }), 'the entry of "b" is incomplete'],
    [
      JSON.stringify({ format, devices: { a: { b: { ...ENTRY, ...PLAN, shader: 1 } } } }),
      'the entry of "b" is incomplete',
    ],
  ];
  for (const [text, problem] of cases) assertEquals(parseTunedTiles(text), problem);
  // Names that every object has.
  const named = `{"format":"${format}","devices":{"__proto__":{},"constructor":{}}}`;
  assertEquals(tileLookup(parseTunedTiles(named) as TunedTiles, anyGpu)(MATRIX), undefined);
});
