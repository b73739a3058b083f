/** What is kept, and the weights of it. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { differingTensors } from "../../../src/compress/parity/pruning_cases.ts";
import { prunedCheckpoint } from "../../../src/compress/prune/pruned_checkpoint.ts";
import { asRanges, fromRanges } from "../../../src/compress/prune/pruned_folder.ts";
import {
  choosePruning,
  prunedConfig,
  type Pruning,
  strongest,
} from "../../../src/compress/prune/pruning.ts";
import { readConfig } from "../../../src/model/loading/config.ts";
import { loadCheckpoint } from "../../../src/model/loading/load.ts";
import { checkTensors } from "../../../src/model/loading/tensors.ts";
import { type Checkpoint, openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { anyGpu } from "../../gpu/device.ts";
import {
  type CheckpointShape,
  withFolder,
  writeCheckpoint,
} from "../../model/random_checkpoint.ts";

const SHAPE: CheckpointShape = {
  heads: 2,
  kvHeads: 1,
  headDim: 16,
  layers: 4,
  ffnSize: 21,
  vocabSize: 50,
  dtypes: ["BF16", "F32", "F16"],
};
const CONFIG = { layers: SHAPE.layers, ffnSize: SHAPE.ffnSize };

/** A subset in ascending order, of at least one. */
const subset = (size: number) =>
  fc.subarray([...Array(size).keys()], { minLength: 1, maxLength: size });

/** Prunings of the shape: some layers, and as many neurons of each. */
const prunings: fc.Arbitrary<Pruning> = fc.record({
  layers: subset(SHAPE.layers),
  count: fc.integer({ min: 1, max: SHAPE.ffnSize }),
  seed: fc.array(fc.float({ noNaN: true }), { minLength: 84, maxLength: 84 }),
}).map(({ layers, count, seed }) => ({
  layers,
  neurons: layers.map((_, i) =>
    strongest(seed.slice(i * SHAPE.ffnSize, (i + 1) * SHAPE.ffnSize), count)
  ),
}));

/** A checkpoint of the shape, and its configuration. */
async function withCheckpoint(
  body: (checkpoint: Checkpoint, dir: string) => void | Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, 17);
    using checkpoint = openCheckpoint(dir);
    await body(checkpoint, dir);
  });
}

Deno.test("the strongest are as many as asked for, ascending, and no other is stronger", () => {
  const values = fc.array(fc.constantFrom(0, 0.25, 0.5, 3, 1e-9), { minLength: 1, maxLength: 40 });
  fc.assert(fc.property(values, fc.nat(), (some, n) => {
    const count = 1 + n % some.length;
    const kept = [...strongest(some, count)];
    assertEquals(kept.length, count);
    assertEquals(kept, [...new Set(kept)].sort((a, b) => a - b));
    for (const [i, value] of some.entries()) {
      if (kept.includes(i)) continue;
      // Of equal ones the earlier is kept.
      assert(kept.every((one) => some[one] > value || (some[one] === value && one < i)));
    }
  }));
});

Deno.test("ranges are read as they are written", () => {
  fc.assert(fc.property(subset(60), (numbers) => {
    assertEquals(fromRanges(asRanges(numbers)), numbers);
  }));
  assertEquals(asRanges([0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
  assertEquals(fromRanges("12-19, 3"), [12, 13, 14, 15, 16, 17, 18, 19, 3]);
  for (const wrong of ["", "a", "4-3", "1-", "-1", "1,,2", "1.5", "0-99999999"]) {
    assertThrows(() => fromRanges(wrong), RangeError, "expected ranges");
  }
});

Deno.test("what cannot be kept is refused by name", () => {
  const importance = Array.from({ length: 4 }, () => new Float32Array(21).fill(1));
  const bad = (change: Partial<Parameters<typeof choosePruning>[1]>, expected: string) =>
    assertThrows(
      () => choosePruning(CONFIG, { dropLayers: [], ffnKeep: 0.5, importance, ...change }),
      RangeError,
      expected,
    );
  bad({ dropLayers: [4] }, "there is no layer 4 to drop: the model has layers 0 to 3");
  bad({ dropLayers: [0, 1, 2, 3] }, "no layer would be left");
  bad({ ffnKeep: 0 }, "the share of neurons to keep is 0");
  bad({ ffnKeep: NaN }, "the share of neurons to keep is NaN");
  bad({ importance: undefined }, "without importances");
  bad({ importance: importance.slice(1) }, "importances of 3 layers, expected 4");
  bad({ importance: importance.map(() => [1, 2]) }, "importances of 2 neurons in layer 0");
  bad({ importance: importance.map(() => new Float32Array(21).fill(NaN)) }, "neuron 0 of layer 0");
  const kept = choosePruning(CONFIG, { dropLayers: [1, 1], ffnKeep: 0.01, importance });
  assertEquals([kept.layers, kept.neurons.map(({ length }) => length)], [[0, 2, 3], [1, 1, 1]]);
});

Deno.test("pruning that removes nothing gives identical weights", () =>
  withCheckpoint((checkpoint, dir) => {
    const config = readConfig(dir);
    const pruning = choosePruning(config, { dropLayers: [], ffnKeep: 1 });
    assertEquals(prunedConfig(config, pruning), config);
    using pruned = prunedCheckpoint(checkpoint, config, pruning);
    assertEquals(differingTensors(pruned, checkpoint), []);
  }));

/** Elements of a row-major matrix of these rows and columns, gathered in plain loops. */
function gathered(
  bytes: Uint8Array,
  [rows, columns]: readonly number[],
  keptRows: ArrayLike<number>,
  keptColumns: ArrayLike<number>,
): number[] {
  const element = bytes.length / rows / columns;
  return Array.from(keptRows).flatMap((row) =>
    Array.from(keptColumns).flatMap((
      column,
    ) => [
      ...bytes.subarray((row * columns + column) * element, (row * columns + column + 1) * element),
    ])
  );
}

Deno.test("kept rows and columns are those of the original, however they are read", () =>
  withCheckpoint((checkpoint, dir) => {
    const config = readConfig(dir);
    fc.assert(
      fc.property(prunings, fc.integer({ min: 1, max: 700 }), (pruning, pieceBytes) => {
        using pruned = prunedCheckpoint(checkpoint, config, pruning);
        checkTensors(prunedConfig(config, pruning), pruned);
        const kept = new Set<string>();
        for (const slice of pruned.tensors.values()) {
          const [, layer, part] = /blocks\.(\d+)\.(\w+)\./.exec(slice.name) ?? [];
          const name = layer === undefined
            ? slice.name
            : slice.name.replace(/blocks\.\d+/, `blocks.${pruning.layers[Number(layer)]}`);
          kept.add(name);
          const from = checkpoint.tensors.get(name)!;
          const shape = from.shape.length === 1 ? [1, from.shape[0]] : from.shape;
          const all = (size: number) => [...Array(size).keys()];
          const neurons = layer === undefined ? [] : pruning.neurons[Number(layer)];
          const rows = part === "ff_proj" || part === "up_proj" ? neurons : all(shape[0]);
          const columns = part === "ff_out" ? neurons : all(shape[1]);
          const expected = gathered(checkpoint.read(from), shape, rows, columns);
          const found: number[] = [];
          for (const piece of pruned.chunks(slice, new Uint8Array(pieceBytes))) {
            found.push(...piece);
          }
          assertEquals(found, expected, `${slice.name} in pieces of ${pieceBytes}`);
          assertEquals([slice.dtype, slice.byteLength], [from.dtype, expected.length]);
        }
        assertEquals(kept.size, pruned.tensors.size);
      }),
      { numRuns: 25 },
    );
  }));

Deno.test("a view without layers has the bits of the model without them", () =>
  withCheckpoint(async (checkpoint, dir) => {
    const config = readConfig(dir);
    using whole = await loadCheckpoint(anyGpu, config, checkpoint, { name: dir });
    const ids = Uint32Array.from({ length: 9 }, (_, i) => (i * 7) % 49);
    await fc.assert(
      fc.asyncProperty(subset(SHAPE.layers), async (layers) => {
        const dropLayers = [0, 1, 2, 3].filter((layer) => !layers.includes(layer));
        const pruning = choosePruning(config, { dropLayers, ffnKeep: 1 });
        using pruned = prunedCheckpoint(checkpoint, config, pruning);
        const after = prunedConfig(config, pruning);
        using model = await loadCheckpoint(anyGpu, after, pruned, { name: "pruned" });
        using view = whole.onlyLayers(layers);
        const [expected, found] = [await model.forward(ids), await view.forward(ids)];
        assertEquals(found.logits, expected.logits);
        assertEquals([...found.hidden.keys()], [...expected.hidden.keys()]);
      }),
      { numRuns: 6 },
    );
  }));
