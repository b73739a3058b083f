/** Model folders that are written shard by shard, interrupted, and gone on with. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "node:path";
import { readConfig } from "../../src/model/loading/config.ts";
import { syntheticFolder, syntheticModel } from "../../src/model/synthetic/synthetic.ts";
import type { SyntheticShape } from "../../src/model/synthetic/synthetic_shape.ts";
import { checkTensors } from "../../src/model/loading/tensors.ts";
import { writeError } from "../../src/weights/write_error.ts";
import { openCheckpoint } from "../../src/weights/checkpoint.ts";
import { allottedBytes, checkSpace, freeBytes } from "../../src/weights/disk_space.ts";
import {
  abandonWholeFolder,
  type FolderContent,
  planFolder,
  planWholeFolder,
  writeFolder,
  writeWholeFolder,
} from "../../src/weights/folder_writer.ts";
import { withFolder } from "../model/random_checkpoint.ts";

const SHAPE: SyntheticShape = {
  hiddenSize: 64,
  layers: 2,
  heads: 2,
  ffnSize: 128,
  vocabSize: 100,
  maxSequenceLength: 64,
};

const SHARD_BYTES = 40_000;

/** The folder's files by name. */
function filesOf(dir: string): Map<string, Uint8Array> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, Deno.readFileSync(join(dir, name))]));
}

/** Throws after so many pieces. */
function stopAfter(pieces: number): () => void {
  let left = pieces;
  return () => {
    if (left-- === 0) throw new Error("interrupted");
  };
}

Deno.test("shards are named as published ones are, and hold every tensor", () =>
  withFolder(async (dir) => {
    const extra = join(dir, "extra.txt");
    Deno.writeTextFileSync(extra, "copied");
    const out = join(dir, "a", "model");
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES, copies: [extra] });
    const plan = planFolder(out, folder);
    const progress: (readonly [number, number])[] = [];
    await writeFolder(plan, (done, total) => progress.push([done, total]));
    assertEquals(progress.at(-1), [plan.byteLength, plan.byteLength]);
    const count = plan.shards.length;
    assert(count > 3 && count < 10, `${count}`);
    const shards = Array.from({ length: count }, (_, i) => `model-0000${i + 1}-of-0000${count}`);
    const files = filesOf(out);
    assertEquals([...files.keys()], [
      "config.json",
      "extra.txt",
      ...shards.map((name) => `${name}.safetensors`),
      "model.safetensors.index.json",
    ]);
    const written = [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    const described = files.get("config.json")!.length +
      files.get("model.safetensors.index.json")!.length;
    assertEquals(plan.neededBytes, written - described);

    using checkpoint = openCheckpoint(out);
    checkTensors(readConfig(out), checkpoint);
    using model = syntheticModel(SHAPE);
    assertEquals(checkpoint.byteLength, model.checkpoint.byteLength);
    for (const slice of model.checkpoint.tensors.values()) {
      const found = checkpoint.tensors.get(slice.name)!;
      assertEquals(checkpoint.read(found), model.checkpoint.read(slice), slice.name);
    }
    for (const { layout } of plan.shards) {
      const bytes = layout.byteLength - layout.header.length;
      assert(bytes <= SHARD_BYTES || layout.places.size === 1, `${bytes}`);
    }
  }));

Deno.test("what fits one file is one file, without an index", () =>
  withFolder(async (dir) => {
    using folder = syntheticFolder(SHAPE, { shardBytes: 5e9 });
    await writeFolder(planFolder(dir, folder));
    assertEquals([...filesOf(dir).keys()], ["config.json", "model.safetensors"]);
    using checkpoint = openCheckpoint(dir);
    checkTensors(readConfig(dir), checkpoint);
  }));

Deno.test("interrupted anywhere it is no model; gone on with, it has the same bytes", () =>
  withFolder(async (dir) => {
    const options = { shardBytes: SHARD_BYTES };
    using folder = syntheticFolder(SHAPE, options);
    const whole = join(dir, "whole");
    let pieces = 0;
    await writeFolder(planFolder(whole, folder), () => pieces++);
    const expected = filesOf(whole);
    for (const at of [0, 1, Math.floor(pieces / 2), pieces - 1]) {
      const out = join(dir, `at ${at}`);
      await assertRejects(() => writeFolder(planFolder(out, folder), stopAfter(at)), Error);
      assertThrows(() => {
        readConfig(out);
        openCheckpoint(out)[Symbol.dispose]();
      });
      const before = planFolder(out, folder);
      const next = before.shards.find((shard) => !shard.finished)!;
      // As a killed process leaves it.
      Deno.writeTextFileSync(join(out, `${next.file}.part`), "half");
      const finished = before.shards.filter((shard) => shard.finished);
      if (at === pieces - 1) assert(finished.length > 0);
      let made = 0;
      const counting: FolderContent = {
        ...folder,
        groups: folder.groups.map(({ tensors, write }) => ({
          tensors,
          write(append) {
            made++;
            return write(append);
          },
        })),
      };
      await writeFolder(planFolder(out, counting));
      const kept = finished.reduce((sum, { groups }) => sum + groups.length, 0);
      assertEquals(made, folder.groups.length - kept, "finished shards are not made again");
      assertEquals(filesOf(out), expected);
    }
  }));

Deno.test("a folder that is written whole appears when it is complete, and an error leaves nothing", () =>
  withFolder(async (dir) => {
    using made = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const folder: FolderContent = { ...made, texts: { "README.md": "# A card\n" } };
    const names = () => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
    const whole = join(dir, "whole");
    await writeFolder(planFolder(whole, folder));
    assertEquals(Deno.readTextFileSync(join(whole, "README.md")), "# A card\n");
    const out = join(dir, "out");
    let pieces = 0;
    await writeWholeFolder(out, folder, () => {
      pieces++;
      assert(!names().includes("out"));
    });
    assertEquals(names(), ["out", "whole"]);
    assertEquals(filesOf(out), filesOf(whole));
    await assertRejects(
      () => writeWholeFolder(out, folder),
      Error,
      "expected a new or empty folder",
    );
    assertEquals(filesOf(out), filesOf(whole));
    for (const at of [0, Math.floor(pieces / 2), pieces - 1]) {
      const other = join(dir, `at ${at}`);
      await assertRejects(
        () => writeWholeFolder(other, folder, stopAfter(at)),
        Error,
        "interrupted",
      );
      assertEquals(names(), ["out", "whole"]);
    }
    // An empty folder is taken, as elsewhere.
    const empty = join(dir, "empty");
    Deno.mkdirSync(empty);
    await writeWholeFolder(empty, folder);
    assertEquals(filesOf(empty), filesOf(whole));
  }));

Deno.test("what a killed process began beside the name is gone on with, or made anew", () =>
  withFolder(async (dir) => {
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const whole = join(dir, "whole");
    let pieces = 0;
    await writeFolder(planFolder(whole, folder), () => pieces++);
    const out = join(dir, "out");
    const part = `${out}.part`;
    const begin = () =>
      assertRejects(() => writeFolder(planFolder(part, folder), stopAfter(pieces - 1)), Error);
    await begin();
    assert(planWholeFolder(out, folder).shards.some(({ finished }) => finished));
    using other = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES, seed: 9 });
    assert(planWholeFolder(out, other).shards.every(({ finished }) => !finished));
    await begin();
    await writeWholeFolder(out, folder);
    assertEquals(filesOf(out), filesOf(whole));
    assertEquals([...Deno.readDirSync(dir)].length, 2);
    // What nobody of this program began is not touched.
    Deno.removeSync(out, { recursive: true });
    Deno.mkdirSync(part);
    Deno.writeTextFileSync(join(part, "mine.txt"), "mine");
    await assertRejects(() => writeWholeFolder(out, folder), Error, "out.part holds 1 file");
    assertEquals([...filesOf(part).keys()], ["mine.txt"]);
    abandonWholeFolder(join(dir, "other"));
  }));

Deno.test("a shard that was damaged is made again", () =>
  withFolder(async (dir) => {
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const whole = join(dir, "whole");
    let pieces = 0;
    await writeFolder(planFolder(whole, folder), () => pieces++);
    const out = join(dir, "out");
    await assertRejects(() => writeFolder(planFolder(out, folder), stopAfter(pieces - 1)), Error);
    const [first, second] = planFolder(out, folder).shards.filter((shard) => shard.finished);
    Deno.truncateSync(join(out, first.file), 1000);
    const header = Deno.openSync(join(out, second.file), { write: true });
    header.seekSync(20, Deno.SeekMode.Start);
    header.writeSync(Uint8Array.of(0));
    header.close();
    await writeFolder(planFolder(out, folder));
    assertEquals(filesOf(out), filesOf(whole));
  }));

Deno.test("only a new folder, or one begun with the same settings, is written", () =>
  withFolder(async (dir) => {
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const begun = join(dir, "begun");
    await assertRejects(() => writeFolder(planFolder(begun, folder), stopAfter(3)), Error);
    using other = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES, seed: 2 });
    const { message } = assertThrows(() => planFolder(begun, other), Error);
    assertStringIncludes(message, "begun holds the beginning of another folder: seed 1, not 2.");

    const full = join(dir, "full");
    Deno.mkdirSync(full);
    Deno.writeTextFileSync(join(full, "notes.txt"), "mine");
    const refused = assertThrows(() => planFolder(full, folder), Error);
    assertStringIncludes(refused.message, "full holds 1 file, expected a new or empty folder");
    const file = assertThrows(() => planFolder(join(full, "notes.txt"), folder), Error);
    assertStringIncludes(file.message, "notes.txt is a file");
    assertEquals([...filesOf(full).keys()], ["notes.txt"]);

    const finished = join(dir, "finished");
    await writeFolder(planFolder(finished, folder));
    assertThrows(() => planFolder(finished, folder), Error, "expected a new or empty folder");
  }));

Deno.test("free space is that of the nearest folder there is, and too little is refused", () =>
  withFolder((dir) => {
    const free = freeBytes(dir)!;
    assert(free > 0);
    const deep = freeBytes(join(dir, "not", "there"))!;
    assert(Math.abs(deep - free) < 1e9, "the disk of the folder above");
    using folder = syntheticFolder({ ...SHAPE, layers: 4000, ffnSize: 2 ** 20 }, {
      shardBytes: 5e9,
    });
    const { message } = assertThrows(() => planFolder(join(dir, "out"), folder), Error);
    assertStringIncludes(message, " GB are needed and ");
    assertStringIncludes(message, " free on this disk. Free ");
    assertEquals(filesOf(dir).size, 0);
    checkSpace(dir, free, free);
    checkSpace(dir, 2 ** 52, undefined);
    return Promise.resolve();
  }));

Deno.test("a second writer is refused, and one that was killed keeps nobody out", () =>
  withFolder(async (dir) => {
    const out = join(dir, "model");
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const plan = planFolder(out, folder);
    await assertRejects(() => writeFolder(plan, stopAfter(3)), Error, "interrupted");
    const script = join(dir, "hold.ts");
    Deno.writeTextFileSync(
      script,
      `const file = Deno.openSync(Deno.args[0], { write: true, create: true });
       file.lockSync(true);
       console.log("locked");
       setInterval(() => {}, 1000);`,
    );
    const lock = join(out, "unmask-unfinished.lock");
    const holder = new Deno.Command(Deno.execPath(), {
      args: ["run", `--allow-read=${out}`, `--allow-write=${out}`, script, lock],
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    const before = filesOf(out);
    await assertRejects(() => writeFolder(plan), Error, "another process is writing this folder");
    assertEquals(filesOf(out), before);
    holder.kill("SIGKILL");
    await holder.status;
    await reader.cancel();
    await writeFolder(planFolder(out, folder));
    assertEquals([...filesOf(out).keys()].filter((name) => name.startsWith("unmask")), []);
    using checkpoint = openCheckpoint(out);
    checkTensors(readConfig(out), checkpoint);
  }));

Deno.test("what an interrupted run left of a file counts as free", () =>
  withFolder(async (dir) => {
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const plan = planFolder(dir, folder);
    await assertRejects(() => writeFolder(plan, stopAfter(0)), Error, "interrupted");
    const bytes = 2 ** 26;
    const part = join(dir, `${plan.shards.at(-1)!.file}.part`);
    using file = Deno.openSync(part, { write: true, create: true });
    file.writeSync(new Uint8Array(bytes).fill(1));
    file.syncSync();
    assert(allottedBytes(part) >= bytes);
    assertEquals(allottedBytes(`${part}.none`), 0);
    // Others write to the disk as well, though not half of it.
    assert(planFolder(dir, folder).freeBytes! > freeBytes(dir)! + bytes / 2);
  }));

Deno.test("a folder that is not there, or not whole, says so", () =>
  withFolder(async (dir) => {
    assertThrows(() => readConfig(join(dir, "mistyped")), Error, "check its name");
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const out = join(dir, "model");
    await assertRejects(() => writeFolder(planFolder(out, folder), stopAfter(3)));
    assertThrows(() => readConfig(out), Error, "Run the command that was writing the folder again");
  }));

Deno.test("what the system says when a folder cannot be written names it, and what to do", () =>
  withFolder(async (dir) => {
    using folder = syntheticFolder(SHAPE, { shardBytes: SHARD_BYTES });
    const file = join(dir, "file");
    await Deno.writeTextFile(file, "");
    assertThrows(
      () => planFolder(join(file, "model"), folder),
      Error,
      "A part of its path is a file",
    );
    assertThrows(() => planFolder("/proc/model", folder), Error, "Deno was not allowed to");
    const full = Object.assign(new Error("No space left on device (os error 28)"), {
      code: "ENOSPC",
    });
    const { message, cause } = writeError(dir, full) as Error;
    assertEquals([message.startsWith(`${dir} cannot be written: No space left`), cause], [
      true,
      full,
    ]);
    const other = new Error("interrupted");
    assertEquals(writeError(dir, other), other);
  }));
