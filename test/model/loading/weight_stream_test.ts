/** Reading and uploading side by side, with reads that the test holds back or lets fail. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { UploadRing } from "../../../src/gpu/upload_ring.ts";
import { readConfig } from "../../../src/model/loading/config.ts";
import { loadCheckpoint } from "../../../src/model/loading/load.ts";
import { Checkpoint, type TensorFile } from "../../../src/weights/checkpoint.ts";
import { SafetensorsFile, type TensorSlice } from "../../../src/weights/safetensors.ts";
import { anyGpu, DeviceWatch, withLimits } from "../../gpu/device.ts";
import { goldenPath } from "../../reference/golden.ts";

const FOLDER = goldenPath("checkpoints/mha-f32");
/** Chunks of 32 KiB, so that there are many. */
const narrow = withLimits(anyGpu, { maxStorageBufferBindingSize: 32768 });

/** A read of part of a tensor. */
interface Read {
  readonly slice: TensorSlice;
  readonly offset: number;
  readonly length: number;
}

/** A real file; `before` each read on another thread, the test has its say. */
class WatchedFile implements TensorFile {
  readonly reads: Read[] = [];
  /** Reads that have not ended. */
  underWay = 0;
  /** Those when the file was closed. */
  atClosing: number | undefined;
  readonly #file = new SafetensorsFile(join(FOLDER, "model.safetensors"));
  readonly #before: (index: number) => Promise<void> | void;

  constructor(before: (index: number) => Promise<void> | void = () => {}) {
    this.#before = before;
  }

  get file() {
    return this.#file.file;
  }

  get tensors() {
    return this.#file.tensors;
  }

  readInto(slice: TensorSlice, target: Uint8Array, offset?: number): void {
    this.#file.readInto(slice, target, offset);
  }

  async loadInto(slice: TensorSlice, target: Uint8Array, offset = 0): Promise<void> {
    this.underWay++;
    const index = this.reads.push({ slice, offset, length: target.length }) - 1;
    try {
      await this.#before(index);
      await this.#file.loadInto(slice, target, offset);
    } finally {
      this.underWay--;
    }
  }

  [Symbol.dispose](): void {
    this.atClosing = this.underWay;
    this.#file[Symbol.dispose]();
  }
}

/** Loads through the file and closes it; `onUpload` is told of every chunk that goes to the GPU. */
async function load(file: WatchedFile, onUpload: () => void = () => {}): Promise<Float32Array> {
  const { write } = UploadRing.prototype;
  UploadRing.prototype.write = function (...call) {
    onUpload();
    return write.apply(this, call);
  };
  try {
    using checkpoint = new Checkpoint(file.file, [file]);
    using model = await loadCheckpoint(narrow, readConfig(FOLDER), checkpoint, { name: FOLDER });
    return (await model.forward(Uint32Array.of(5, 9, 2, 77))).logits;
  } finally {
    UploadRing.prototype.write = write;
  }
}

const expected = new WatchedFile();
const logits = await load(expected);

Deno.test("matrices are read once and in order, though their rows go to several places", () => {
  const next = new Map<TensorSlice, number>();
  for (const { slice, offset, length } of expected.reads) {
    assertEquals(offset, next.get(slice) ?? 0, slice.name);
    next.set(slice, offset + length);
  }
  assert(next.size > 8);
  for (const [{ name, byteLength }, end] of next) assertEquals(end, byteLength, name);
  const { headDim } = readConfig(FOLDER);
  for (const { slice, length } of expected.reads) {
    // Half a head would be its smallest piece.
    if (slice.name.includes("q_proj")) {
      assert(length > headDim / 2 * slice.byteLength / slice.shape[0]);
    }
  }
});

Deno.test("the next chunk is read before this one is uploaded, and no more than three wait", async () => {
  const { length } = expected.reads;
  const asked = Array.from({ length: length + 1 }, () => Promise.withResolvers<void>());
  // A read ends only when the next one has been asked for: one at a time would never get on.
  const file = new WatchedFile((index) => {
    asked[index].resolve();
    return index + 1 < length ? asked[index + 1].promise : undefined;
  });
  let uploads = 0;
  const found = await load(file, () => {
    assert(file.reads.length - uploads <= 3, `${file.reads.length} reads, ${uploads} uploads`);
    assert(file.reads.length > uploads + 1 || uploads === length - 1);
    uploads++;
  });
  assertEquals(uploads, length);
  assertEquals(found, logits);
});

Deno.test("reads that end in any order give the same model", async () => {
  const file = new WatchedFile((index) =>
    new Promise((resolve) => setTimeout(resolve, index % 3 === 0 ? 6 : 0))
  );
  assertEquals(await load(file), logits);
});

Deno.test("a read that fails ends it when its turn comes, and the others before the file closes", async () => {
  using watch = new DeviceWatch(anyGpu);
  const { length } = expected.reads;
  for (const at of [0, 1, 2, Math.floor(length / 2), length - 1]) {
    let uploads = 0;
    const file = new WatchedFile(async (index) => {
      if (index === at) throw new Error(`read ${at} failed`);
      // Those asked for later are still under way then.
      if (index > at) await new Promise((resolve) => setTimeout(resolve, 20));
    });
    await assertRejects(() => load(file, () => uploads++), Error, `read ${at} failed`);
    assertEquals(uploads, at);
    assertEquals(file.atClosing, 0);
    assertEquals(watch.alive.size, 0, `after read ${at}`);
  }
  anyGpu.throwIfFaulty();
});

Deno.test("an upload that fails ends the reads before the file closes", async () => {
  using watch = new DeviceWatch(anyGpu);
  for (const at of [1, 4]) {
    const file = new WatchedFile((index) =>
      index >= at ? new Promise((resolve) => setTimeout(resolve, 20)) : undefined
    );
    let left = at;
    const fail = () => {
      if (--left === 0) throw new Error("no upload");
    };
    await assertRejects(() => load(file, fail), Error, "no upload");
    assert(file.reads.length > at);
    assertEquals(file.atClosing, 0);
    assertEquals(watch.alive.size, 0);
  }
});
