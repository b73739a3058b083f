/** Kernels of a few lines, to test what runs kernels. */

import { defineKernel } from "../../src/gpu/kernel.ts";

/** `target[at] = target[from] + value`: a chain of these shows whether each saw the one before. */
export const addKernel = defineKernel({
  name: "add",
  source: `
struct Params {
  at: u32,
  from_place: u32,
  value: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> places: array<u32>;
@compute @workgroup_size(1)
fn main() {
  places[params.at] = places[params.from_place] + params.value;
}
`,
  bindings: { places: "write" },
  params: { at: "u32", from_place: "u32", value: "u32" },
});

/** `places[i] = value` for every workgroup i; a factor from a constant. */
export const fillKernel = defineKernel({
  name: "fill",
  source: `
struct Params {
  value: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> places: array<f32>;
override FACTOR: u32 = 1u;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>) {
  places[group.x] = params.value * f32(FACTOR);
}
`,
  bindings: { places: "write" },
  params: { value: "f32" },
  constants: { FACTOR: 1 },
});
