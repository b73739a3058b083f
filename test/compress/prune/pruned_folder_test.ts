/** What a pruned folder says of itself. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { fromRanges, prunedFolder } from "../../../src/compress/prune/pruned_folder.ts";
import { choosePruning } from "../../../src/compress/prune/pruning.ts";
import { MAX_CONFIG, parseConfig, readConfig } from "../../../src/model/loading/config.ts";
import { SYNTHETIC_SHAPES } from "../../../src/model/synthetic/synthetic_shape.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { writeWholeFolder } from "../../../src/weights/folder_writer.ts";
import { writeSafetensors } from "../../../src/weights/safetensors_writer.ts";
import { Random } from "../../kernels/random.ts";
import {
  type CheckpointShape,
  withFolder,
  writeCheckpoint,
} from "../../model/random_checkpoint.ts";
import { writeSparseFolder } from "./sparse_folder.ts";

const SHAPE: CheckpointShape = {
  heads: 2,
  kvHeads: 2,
  headDim: 16,
  layers: 3,
  ffnSize: 12,
  vocabSize: 40,
};

interface Record {
  readonly kept_layers: readonly number[];
  readonly kept_neurons?: readonly string[];
  readonly kept_neurons_file?: string;
  readonly original: { readonly n_layers: number; readonly pruning?: Record };
}

Deno.test("a folder that was pruned twice remembers both", () =>
  withFolder(async (dir) => {
    const first = join(dir, "first");
    Deno.mkdirSync(first);
    await writeCheckpoint(first, SHAPE, 3);
    Deno.writeTextFileSync(join(first, "README.md"), "of the original");
    Deno.writeTextFileSync(join(first, "tokenizer.json"), "{}");
    const prune = async (from: string, to: string, drop: number) => {
      using original = openCheckpoint(from);
      const config = readConfig(from);
      const importance = Array.from({ length: config.layers }, (_, layer) =>
        Float32Array.from({ length: config.ffnSize }, (_, i) => (5 * i + layer) % 12));
      const choice = { dropLayers: [drop], ffnKeep: 0.5, importance };
      const pruning = choosePruning(config, choice);
      const options = { pruning, shardBytes: 1e9, card: `card of ${to}` };
      await writeWholeFolder(join(dir, to), prunedFolder(from, config, original, options));
      return pruning;
    };
    const one = await prune(first, "second", 1);
    const two = await prune(join(dir, "second"), "third", 0);
    const { pruning }: { pruning: Record } = JSON.parse(
      Deno.readTextFileSync(join(dir, "third", "config.json")),
    );
    assertEquals(pruning.kept_layers, [1]);
    assertEquals(pruning.kept_neurons!.map(fromRanges), two.neurons.map((list) => [...list]));
    const before = pruning.original.pruning!;
    assertEquals([before.kept_layers, before.original.n_layers], [[0, 2], 3]);
    assertEquals(before.kept_neurons!.map(fromRanges), one.neurons.map((list) => [...list]));
    const { layers, ffnSize } = readConfig(join(dir, "third"));
    assertEquals([layers, ffnSize], [1, 3]);
    assertEquals(Deno.readTextFileSync(join(dir, "third", "README.md")), "card of third");
    assertEquals(Deno.readTextFileSync(join(dir, "third", "tokenizer.json")), "{}");
  }));

Deno.test("what config.json has no room for is in a file of its own", () =>
  withFolder((dir) => {
    const from = join(dir, "wide");
    writeSparseFolder(from, {
      ...SYNTHETIC_SHAPES["tiny-target"],
      layers: 6,
      ffnSize: 100_000,
    });
    const config = readConfig(from);
    const random = new Random("wide");
    const importance = Array.from(
      { length: config.layers },
      () => Float32Array.from({ length: config.ffnSize }, () => random.next()),
    );
    const pruning = choosePruning(config, { dropLayers: [2], ffnKeep: 0.5, importance });
    using original = openCheckpoint(from);
    const folder = prunedFolder(from, config, original, { pruning, shardBytes: 1e9, card: "" });
    assert(JSON.stringify(folder.config, null, 2).length < MAX_CONFIG);
    assertEquals(parseConfig(folder.config, "config.json").ffnSize, 50_000);
    const { kept_layers, kept_neurons, kept_neurons_file } = folder.config.pruning as Record;
    assertEquals([kept_layers, kept_neurons], [[0, 1, 3, 4, 5], undefined]);
    const text = folder.texts![kept_neurons_file!];
    assert(text.length > MAX_CONFIG);
    const neurons = JSON.parse(text).kept_neurons.map(fromRanges);
    assertEquals(neurons, pruning.neurons.map((list) => [...list]));
    return Promise.resolve();
  }));

Deno.test("weights that are not the configuration's are refused", () =>
  withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, 3);
    const config = readConfig(dir);
    {
      using open = openCheckpoint(dir);
      const tensors = [...open.tensors.values()].map((slice) => ({
        ...slice,
        bytes: open.read(slice),
      }));
      const bias = "model.transformer.blocks.0.ff_out.bias";
      const zeros = { name: bias, dtype: "F32", shape: [32], bytes: new Uint8Array(128) } as const;
      await writeSafetensors(join(dir, "biased.safetensors"), [...tensors, zeros]);
    }
    Deno.renameSync(join(dir, "biased.safetensors"), join(dir, "model.safetensors"));
    using original = openCheckpoint(dir);
    const pruning = choosePruning(config, { dropLayers: [0], ffnKeep: 1 });
    const options = { pruning, shardBytes: 1e9, card: "" };
    assertThrows(() => prunedFolder(dir, config, original, options), Error, "ff_out.bias");
  }));
