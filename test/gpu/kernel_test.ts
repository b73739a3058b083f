import { assertEquals, assertThrows } from "@std/assert";
import { defineKernel } from "../../src/gpu/kernel.ts";

const source = `
// struct Params { commented: u32 } must not count
struct Params {
  rows: u32, // a comment
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
/* @group(0) @binding(3) var<storage, read> z: array<f32>; */
override LANES: u32 = 32u;
@compute @workgroup_size(LANES)
fn main() {}
`;

const declaration = {
  name: "scaled",
  source,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", scale: "f32" },
  constants: { LANES: 32 },
} as const;

/** The wrapper with one thing changed. */
const define = (change: Record<string, unknown>) => () =>
  defineKernel({ ...declaration, ...change });

Deno.test("a declaration that agrees with the shader is taken", () => {
  assertEquals(defineKernel(declaration), declaration);
  const plain = { ...declaration, source: source.replace(/override.*/, ""), constants: undefined };
  assertEquals(defineKernel(plain).constants, {});
});

Deno.test("bindings that differ in name, order, number or access are refused", () => {
  for (
    const bindings of [
      { x: "read", z: "write" },
      { y: "write", x: "read" },
      { x: "read" },
      { x: "read", y: "write", z: "read" },
      { x: "read", y: "read" },
    ]
  ) {
    assertThrows(define({ bindings }), Error, "shaders/scaled.wgsl: bindings differ");
  }
  const error = assertThrows(define({ bindings: { x: "write", y: "write" } }));
  assertEquals(
    error.message,
    "shaders/scaled.wgsl: bindings differ: the wrapper declares [1 x: write, 2 y: write], the " +
      "shader has [1 x: read, 2 y: write]. Change src/kernels/scaled.ts or the shader.",
  );
});

Deno.test("parameters that differ in name, order, number or type are refused", () => {
  for (
    const params of [
      { rows: "u32", factor: "f32" },
      { scale: "f32", rows: "u32" },
      { rows: "u32" },
      { rows: "u32", scale: "f32", more: "u32" },
      { rows: "u32", scale: "u32" },
    ]
  ) {
    assertThrows(define({ params }), Error, "shaders/scaled.wgsl: Params differ");
  }
});

Deno.test("override constants that differ in name, number or default are refused", () => {
  for (const constants of [undefined, { WIDTH: 32 }, { LANES: 64 }, { LANES: 32, MORE: 1 }]) {
    assertThrows(
      define({ constants }),
      Error,
      "shaders/scaled.wgsl: override constants differ",
    );
  }
});

Deno.test("constants of snippets belong to the kernel", () => {
  const snippets = ["override GROUPS: u32 = 2u;"];
  assertThrows(
    define({ snippets }),
    Error,
    "[LANES = 32], the shader has [GROUPS = 2, LANES = 32]",
  );
  const constants = { LANES: 32, GROUPS: 2 };
  assertEquals(defineKernel({ ...declaration, snippets, constants }).constants, constants);
});
