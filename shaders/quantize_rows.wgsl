// Quantises activations for packed integer products. Each group of 32 channels of a row has a
// scale, scale = largest magnitude / 127, code = nearest to x / scale. A row depends on no other
// row.
// x: [rows, 8 * blocks]; y: [rows, groups] of 12 words: 32 codes, four to a word, the scale, three zeros.
// One invocation quantises one group.
struct Params {
  rows: u32,
  blocks: u32, // inner size / 8
  groups: u32, // of 32
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;

override HALVES: u32 = 0u; // 1: of every eight codes those of even k, then those of odd k, as for q4

// Zero behind the row's end.
fn x_at(row: u32, i: u32) -> vec4<f32> {
  let units = 2u * params.blocks;
  let unit = x[row * units + min(i, units - 1u)];
  return select(vec4<f32>(0.0), unit, i < units);
}

fn codes(unit: vec4<f32>, inverse: f32) -> vec4<i32> {
  return vec4<i32>(clamp(round(unit * inverse), vec4<f32>(-127.0), vec4<f32>(127.0)));
}

// Sixteen codes, four to a word.
fn words(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, inverse: f32) -> vec4<u32> {
  let e = codes(a, inverse);
  let f = codes(b, inverse);
  let g = codes(c, inverse);
  let h = codes(d, inverse);
  if (HALVES == 1u) {
    return vec4<u32>(
      pack4xI8(vec4<i32>(e.xz, f.xz)), pack4xI8(vec4<i32>(e.yw, f.yw)),
      pack4xI8(vec4<i32>(g.xz, h.xz)), pack4xI8(vec4<i32>(g.yw, h.yw)),
    );
  }
  return vec4<u32>(pack4xI8(e), pack4xI8(f), pack4xI8(g), pack4xI8(h));
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let group = id.x;
  let row = id.y;
  if (group >= params.groups) {
    return;
  }
  // All are asked for before the first is needed.
  let first = 8u * group;
  let a = x_at(row, first);
  let b = x_at(row, first + 1u);
  let c = x_at(row, first + 2u);
  let d = x_at(row, first + 3u);
  let e = x_at(row, first + 4u);
  let f = x_at(row, first + 5u);
  let g = x_at(row, first + 6u);
  let h = x_at(row, first + 7u);
  let largest = max(
    max(max(abs(a), abs(b)), max(abs(c), abs(d))), max(max(abs(e), abs(f)), max(abs(g), abs(h))),
  );
  let magnitude = max(max(largest.x, largest.y), max(largest.z, largest.w));
  let scale = magnitude / 127.0;
  let inverse = select(0.0, 127.0 / magnitude, magnitude > 0.0);
  let to = 3u * (row * params.groups + group);
  y[to] = words(a, b, c, d, inverse);
  y[to + 1u] = words(e, f, g, h, inverse);
  y[to + 2u] = vec4<u32>(bitcast<u32>(scale), 0u, 0u, 0u);
}
