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

fn x_at(row: u32, i: u32) -> vec4<f32> {
  if (i >= 2u * params.blocks) {
    return vec4<f32>(0.0);
  }
  return x[row * 2u * params.blocks + i];
}

fn word(row: u32, i: u32, inverse: f32) -> u32 {
  let codes = vec4<i32>(clamp(round(x_at(row, i) * inverse), vec4<f32>(-127.0), vec4<f32>(127.0)));
  return pack4xI8(codes);
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let group = id.x;
  let row = id.y;
  if (group >= params.groups) {
    return;
  }
  let first = 8u * group;
  var largest = vec4<f32>(0.0);
  for (var i = first; i < first + 8u; i++) {
    largest = max(largest, abs(x_at(row, i)));
  }
  let magnitude = max(max(largest.x, largest.y), max(largest.z, largest.w));
  let scale = magnitude / 127.0;
  let inverse = select(0.0, 127.0 / magnitude, magnitude > 0.0);
  let to = 3u * (row * params.groups + group);
  y[to] = vec4<u32>(
    word(row, first, inverse), word(row, first + 1u, inverse),
    word(row, first + 2u, inverse), word(row, first + 3u, inverse),
  );
  y[to + 1u] = vec4<u32>(
    word(row, first + 4u, inverse), word(row, first + 5u, inverse),
    word(row, first + 6u, inverse), word(row, first + 7u, inverse),
  );
  y[to + 2u] = vec4<u32>(bitcast<u32>(scale), 0u, 0u, 0u);
}
