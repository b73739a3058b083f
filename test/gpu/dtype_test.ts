import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  bf16ToF32,
  byteSize,
  type DType,
  DTYPES,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  fromF32,
  isDType,
  toF32,
} from "../../src/gpu/dtype.ts";

const allCodes = Uint16Array.from({ length: 2 ** 16 }, (_, code) => code);

Deno.test("names of safetensors files are types, others are not", () => {
  for (const name of ["F32", "F16", "BF16", "I32", "U8"]) assertEquals(isDType(name), true, name);
  for (const name of ["f32", "F8_E4M3", "", "toString", undefined, 4]) {
    assertEquals(isDType(name), false, String(name));
  }
});

Deno.test("bfloat16 values known by hand", () => {
  // From the definition: 1 sign, 8 exponent, 7 fraction bits.
  const codes = Uint16Array.of(0x0000, 0x8000, 0x3f80, 0xc000, 0x3fc0, 0x7f80, 0x0001, 0x7f7f);
  const values = [0, -0, 1, -2, 1.5, Infinity, 2 ** -133, (2 - 2 ** -7) * 2 ** 127];
  assertEquals([...bf16ToF32(codes)], values);
  assertEquals(f32ToBf16(Float32Array.from(values)), codes);
});

Deno.test("half-precision values known by hand", () => {
  const codes = Uint16Array.of(0x0000, 0x8000, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x7c00);
  const values = [0, -0, 1, -2, 1365 / 4096, 65504, 2 ** -24, Infinity];
  assertEquals([...f16ToF32(codes)], values);
  assertEquals(f32ToF16(Float32Array.from(values)), codes);
});

Deno.test("widening and narrowing every 16-bit code gives it back", () => {
  const isNaNCode = {
    BF16: (c: number) => (c & 0x7fff) > 0x7f80,
    F16: (c: number) => (c & 0x7fff) > 0x7c00,
  };
  const pairs = [
    [bf16ToF32(allCodes), f32ToBf16, isNaNCode.BF16],
    [f16ToF32(allCodes), f32ToF16, isNaNCode.F16],
  ] as const;
  for (const [wide, narrow, isNaNCode] of pairs) {
    const back = narrow(wide);
    for (const code of allCodes) {
      if (isNaNCode(code)) {
        assertEquals([Number.isNaN(wide[code]), isNaNCode(back[code])], [true, true], `${code}`);
      } else if (back[code] !== code) throw new Error(`${code} came back as ${back[code]}`);
    }
  }
});

Deno.test("narrowing rounds to nearest, ties to even", () => {
  // One, its successor, and the points half-way, just below and just above, for 7 and 10 bits.
  const near = (bits: number) => {
    const step = 2 ** -bits;
    return Float32Array.of(
      1 + step / 2,
      1 + step / 2 - 2 ** -23,
      1 + step / 2 + 2 ** -23,
      1 + 1.5 * step,
    );
  };
  const round = (bits: number) => [1, 1, 1 + 2 ** -bits, 1 + 2 * 2 ** -bits];
  assertEquals([...bf16ToF32(f32ToBf16(near(7)))], round(7));
  assertEquals([...f16ToF32(f32ToF16(near(10)))], round(10));
  const beyond = Float32Array.of(3.4e38, -3.4e38);
  assertEquals([...bf16ToF32(f32ToBf16(beyond))], [Infinity, -Infinity]);
  assertEquals([...f16ToF32(f32ToF16(Float32Array.of(65519, 65520)))], [65504, Infinity]);
});

Deno.test("a NaN whose payload lies in the lower half stays NaN in bfloat16", () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001, 0x7fffffff).buffer);
  assertEquals([...bf16ToF32(f32ToBf16(nan))], [NaN, NaN, NaN]);
});

Deno.test("narrowing is never further off than the other neighbour", () => {
  fc.assert(fc.property(fc.float({ noNaN: true, min: -60000, max: 60000 }), (value) => {
    for (const [narrow, wide] of [[f32ToBf16, bf16ToF32], [f32ToF16, f16ToF32]] as const) {
      const [code] = narrow(Float32Array.of(value));
      const [rounded, below, above] = wide(Uint16Array.of(code, Math.max(code - 1, 0), code + 1));
      const off = Math.abs(rounded - value);
      if (Math.abs(below - value) < off || Math.abs(above - value) < off) return false;
    }
    return true;
  }));
});

Deno.test("toF32 reads every type from any address and undoes fromF32", () => {
  const numbers: Record<DType, ArrayBufferView> = {
    F32: Float32Array.of(1.5, -2, 0),
    F16: Float16Array.of(1.5, -2, 0),
    BF16: f32ToBf16(Float32Array.of(1.5, -2, 0)),
    I64: BigInt64Array.of(7n, -2n, 0n),
    U64: BigUint64Array.of(7n, 2n ** 40n, 0n),
    I32: Int32Array.of(7, -2, 0),
    U32: Uint32Array.of(7, 2 ** 24, 0),
    I16: Int16Array.of(7, -2, 0),
    U16: Uint16Array.of(7, 65535, 0),
    I8: Int8Array.of(7, -2, 0),
    U8: Uint8Array.of(7, 255, 0),
    BOOL: Uint8Array.of(0, 1, 1),
  };
  const expected: Record<DType, number[]> = {
    F32: [1.5, -2, 0],
    F16: [1.5, -2, 0],
    BF16: [1.5, -2, 0],
    I64: [7, -2, 0],
    U64: [7, 2 ** 40, 0],
    I32: [7, -2, 0],
    U32: [7, 2 ** 24, 0],
    I16: [7, -2, 0],
    U16: [7, 65535, 0],
    I8: [7, -2, 0],
    U8: [7, 255, 0],
    BOOL: [0, 1, 1],
  };
  for (const dtype of DTYPES) {
    const { buffer, byteLength } = numbers[dtype];
    assertEquals(byteLength, 3 * byteSize(dtype), dtype);
    for (const address of [0, 1, 2, 3]) {
      const bytes = new Uint8Array(24 + address).subarray(address, address + byteLength);
      bytes.set(new Uint8Array(buffer));
      assertEquals([...toF32(bytes, dtype)], expected[dtype], `${dtype} at ${address}`);
    }
  }
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    assertEquals([...toF32(fromF32(Float32Array.of(1.5, -2, 0), dtype), dtype)], expected[dtype]);
  }
});

Deno.test("toF32 gives a copy, and refuses part of an element", () => {
  const values = Float32Array.of(1, 2);
  const copy = toF32(new Uint8Array(values.buffer), "F32");
  values[0] = 9;
  assertEquals([...copy], [1, 2]);
  assertThrows(() => toF32(new Uint8Array(5), "BF16"), RangeError, "found 5 bytes of BF16");
});
