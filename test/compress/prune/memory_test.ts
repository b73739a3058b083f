/** What pruning keeps in host memory: pieces of a matrix, never one as a whole. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { prunedFolder } from "../../../src/compress/prune/pruned_folder.ts";
import { choosePruning, prunedConfig } from "../../../src/compress/prune/pruning.ts";
import { readConfig } from "../../../src/model/loading/config.ts";
import { checkTensors } from "../../../src/model/loading/tensors.ts";
import { SYNTHETIC_SHAPES } from "../../../src/model/synthetic/synthetic_shape.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { writeWholeFolder } from "../../../src/weights/folder_writer.ts";
import { alone } from "../../alone.ts";
import { Random } from "../../kernels/random.ts";
import { withFolder } from "../../model/random_checkpoint.ts";
import { writeSparseFolder } from "./sparse_folder.ts";

const MEBIBYTE = 2 ** 20;
/** Of the 512 that pruning LLaDA-8B may take. What is written here is more. */
const ALLOWED = 128 * MEBIBYTE;

alone(import.meta.url, () => {
  Deno.test("a layer of LLaDA-8B is pruned and written in bounded memory", () =>
    withFolder(async (dir) => {
      const from = join(dir, "8b");
      writeSparseFolder(from, {
        ...SYNTHETIC_SHAPES["llada-8b"],
        layers: 2,
        vocabSize: 2048,
        maskTokenId: undefined,
        eosTokenId: undefined,
      });
      const config = readConfig(from);
      const random = new Random("importance");
      const importance = Array.from(
        { length: config.layers },
        () => Float32Array.from({ length: config.ffnSize }, () => random.next()),
      );
      const pruning = choosePruning(config, { dropLayers: [0], ffnKeep: 0.75, importance });
      using original = openCheckpoint(from);
      const options = { pruning, shardBytes: 200 * MEBIBYTE, card: "" };
      const content = prunedFolder(from, config, original, options);
      const before = Deno.memoryUsage().rss;
      let most = 0;
      let written = 0;
      const out = join(dir, "pruned");
      await writeWholeFolder(out, content, (done) => {
        written = done;
        most = Math.max(most, Deno.memoryUsage().rss - before);
      });
      assert(written > 2 * ALLOWED, `${written} bytes`);
      assert(most < ALLOWED, `${most / MEBIBYTE} MiB for ${written / MEBIBYTE}`);
      using pruned = openCheckpoint(out);
      const after = readConfig(out);
      checkTensors(after, pruned);
      assertEquals({ ...after }, prunedConfig(config, pruning));
    }));
});
