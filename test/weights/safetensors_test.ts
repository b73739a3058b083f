import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { byteSize, DTYPES, toF32 } from "../../src/gpu/dtype.ts";
import {
  type ByteSource,
  CheckpointError,
  readHeader,
  SafetensorsFile,
} from "../../src/weights/safetensors.ts";
import { writeSafetensors } from "../../src/weights/safetensors_writer.ts";

const golden = fileURLToPath(new URL("../golden/", import.meta.url));

/** Runs `body` with a folder that is removed afterwards. */
async function withFolder(body: (dir: string) => void | Promise<void>): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "unmask-safetensors-" });
  try {
    await body(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** A file in memory that gives at most `most` bytes a time, as the system may. */
function inMemory(bytes: Uint8Array, most = 3): ByteSource {
  return {
    file: "memory.safetensors",
    size: bytes.length,
    read(target, position) {
      const part = bytes.subarray(position, position + Math.min(target.length, most));
      target.set(part);
      return part.length;
    },
  };
}

function encode(header: string, tensors: number[] = []): Uint8Array {
  const text = new TextEncoder().encode(header);
  return Uint8Array.of(text.length, text.length >> 8, 0, 0, 0, 0, 0, 0, ...text, ...tensors);
}

Deno.test("a header written by hand is read as the format says", () => {
  const text = '{"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[3,7]},' +
    '"__metadata__":{"format":"pt"},"__proto__":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},' +
    '"none":{"dtype":"F32","shape":[0,9],"data_offsets":[3,3]},' +
    '"scalar":{"dtype":"F16","shape":[],"data_offsets":[7,9]}}   ';
  const { tensors, metadata } = readHeader(inMemory(encode(text, [1, 2, 3, 4, 5, 6, 7, 8, 9])));
  const start = 8 + text.length;
  const file = "memory.safetensors";
  assertEquals([...tensors.values()], [
    { name: "__proto__", dtype: "U8", shape: [3], file, byteOffset: start, byteLength: 3 },
    { name: "none", dtype: "F32", shape: [0, 9], file, byteOffset: start + 3, byteLength: 0 },
    { name: "b", dtype: "BF16", shape: [2, 1], file, byteOffset: start + 3, byteLength: 4 },
    { name: "scalar", dtype: "F16", shape: [], file, byteOffset: start + 7, byteLength: 2 },
  ]);
  assertEquals([...metadata], [["format", "pt"]]);
  assertEquals([...readHeader(inMemory(encode("{}"))).tensors], []);
});

Deno.test("no header, however damaged, gives anything but a header or a CheckpointError", () => {
  const good = Deno.readFileSync(join(golden, "checkpoints/mha-f32/model.safetensors"));
  const start = 8 + good[0] + 256 * good[1];
  const size = good.length;
  let refused = 0;
  fc.assert(
    fc.property(fc.nat(start - 1), fc.nat(255), (at, byte) => {
      const damaged = good.slice(0, start);
      damaged[at] = byte;
      const source = { ...inMemory(damaged, 1 << 16), size };
      try {
        for (
          const { byteOffset, byteLength, shape, dtype } of readHeader(source).tensors.values()
        ) {
          assert(byteOffset >= start && byteOffset + byteLength <= size);
          assertEquals(byteLength, shape.reduce((a, b) => a * b, byteSize(dtype)));
        }
      } catch (error) {
        assert(error instanceof CheckpointError, String(error));
        assertMatch(error.message, /^memory\.safetensors: .* is .*, expected .*\. \w/s);
        refused++;
      }
    }),
    { numRuns: 300 },
  );
  assert(refused > 0);
});

Deno.test("the golden tensors' values are read: argmax is where the logits are largest", () => {
  using file = new SafetensorsFile(join(golden, "forward/mha-f32.safetensors"));
  const name = [...file.tensors.keys()].find((key) => key.endsWith(".argmax"))!;
  const read = (key: string) => {
    const slice = file.tensors.get(key)!;
    const bytes = new Uint8Array(slice.byteLength);
    file.readInto(slice, bytes);
    return { ...slice, values: toF32(bytes, slice.dtype) };
  };
  const argmax = read(name);
  const logits = read(name.replace(".argmax", ".logits"));
  const [rows, columns] = logits.shape;
  assertEquals([argmax.dtype, argmax.shape, logits.dtype], ["I32", [rows], "F32"]);
  for (let row = 0; row < rows; row++) {
    const scores = logits.values.subarray(row * columns, (row + 1) * columns);
    assertEquals(scores.indexOf(Math.max(...scores)), argmax.values[row]);
  }
});

Deno.test("what is written is read back, whatever the tensors", async () => {
  const dtype = fc.constantFrom(...DTYPES);
  const shape = fc.array(fc.nat(5), { maxLength: 4 });
  const name = fc.string({ unit: "grapheme" }).filter((text) => text !== "__metadata__");
  const tensors = fc.uniqueArray(fc.record({ name, dtype, shape }), {
    selector: (tensor) => tensor.name,
    maxLength: 6,
  });
  await withFolder(async (dir) => {
    const path = join(dir, "random.safetensors");
    let seed = 1;
    await fc.assert(
      fc.asyncProperty(tensors, fc.dictionary(fc.string(), fc.string()), async (list, metadata) => {
        const sources = list.map((tensor) => {
          const length = tensor.shape.reduce((a, b) => a * b, byteSize(tensor.dtype));
          const bytes = Uint8Array.from({ length }, () => seed = (seed * 48271) % 2147483647);
          return { ...tensor, bytes };
        });
        await writeSafetensors(path, sources, metadata);
        using file = new SafetensorsFile(path);
        assertEquals(new Map(file.metadata), new Map(Object.entries(metadata)));
        assertEquals(file.tensors.size, sources.length);
        for (const { name, dtype, shape, bytes } of sources) {
          const slice = file.tensors.get(name)!;
          assertEquals([slice.dtype, slice.shape], [dtype, shape]);
          assertEquals(slice.byteOffset % byteSize(dtype), 0, "aligned to its element");
          const back = new Uint8Array(slice.byteLength);
          file.readInto(slice, back);
          assertEquals(back, bytes);
        }
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("the same tensors give the same file, in whatever order and way they come", async () => {
  await withFolder(async (dir) => {
    const a = { name: "a", dtype: "U8", shape: [3], bytes: Uint8Array.of(1, 2, 3) } as const;
    const b = { name: "b", dtype: "F32", shape: [1], bytes: Uint8Array.of(0, 0, 0, 64) } as const;
    const later = { ...b, bytes: () => Promise.resolve(b.bytes) };
    await writeSafetensors(join(dir, "1"), [a, b]);
    await writeSafetensors(join(dir, "2"), [later, { ...a, bytes: () => a.bytes }]);
    const written = Deno.readFileSync(join(dir, "1"));
    assertEquals(Deno.readFileSync(join(dir, "2")), written);
    // The format's rules: the length is a multiple of 8, spaces fill it up.
    assertEquals(written[0] % 8, 0);
    assertMatch(new TextDecoder().decode(written.subarray(8, 8 + written[0])), /^\{.*\} *$/);
  });
});

Deno.test("a tensor that does not fit its shape leaves the old file as it was", async () => {
  await withFolder(async (dir) => {
    const path = join(dir, "model.safetensors");
    const good = { name: "a", dtype: "U8", shape: [1], bytes: Uint8Array.of(7) } as const;
    await writeSafetensors(path, [good]);
    const before = Deno.readFileSync(path);
    const wrong = [
      [{ ...good, shape: [2] }],
      [good, good],
      [{ ...good, name: "__metadata__" }],
      [{ ...good, bytes: () => Promise.reject(new RangeError("no bytes")) }],
    ];
    for (const tensors of wrong) {
      const error = await writeSafetensors(path, tensors).catch((error) => error);
      assert(error instanceof RangeError, String(error));
      assertEquals(Deno.readFileSync(path), before);
    }
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["model.safetensors"]);
  });
});

Deno.test("slices are read in part, never beyond their end", async () => {
  await withFolder(async (dir) => {
    const path = join(dir, "x.safetensors");
    const bytes = Uint8Array.of(1, 2, 3, 4, 5);
    await writeSafetensors(path, [
      { name: "x", dtype: "U8", shape: [5], bytes },
      { name: "y", dtype: "U8", shape: [1], bytes: Uint8Array.of(9) },
    ]);
    using file = new SafetensorsFile(path);
    const slice = file.tensors.get("x")!;
    const target = new Uint8Array(2);
    file.readInto(slice, target, 3);
    assertEquals([...target], [4, 5]);
    for (const offset of [4, 5, -1]) {
      assertThrows(() => file.readInto(slice, target, offset), RangeError, "which has 5");
    }
  });
});

Deno.test("a file that shrinks after it was opened is told to be truncated", async () => {
  await withFolder(async (dir) => {
    const path = join(dir, "x.safetensors");
    await writeSafetensors(path, [
      { name: "x", dtype: "U8", shape: [1000], bytes: new Uint8Array(1000) },
    ]);
    using file = new SafetensorsFile(path);
    const end = file.size;
    Deno.truncateSync(path, end - 10);
    const error = assertThrows(
      () => file.readInto(file.tensors.get("x")!, new Uint8Array(1000)),
      CheckpointError,
    );
    assertEquals(
      error.message,
      `${path}: tensor "x": size is truncated at byte ${end - 10}, expected bytes up to ${end}. ` +
        "Download the file again.",
    );
  });
});
