// Row-major weights [columns, inner] become codes and scales in the layout that load_weight8 reads:
// units [blocks, columns] of 8 codes, scales [(groups + 1) / 2, columns], two f16 to a word.
// The scale is the least f16 from 2^-14 on with MOST * scale >= the group's largest magnitude, the
// code the nearest to weight / scale, halves upwards. Quotients and f16 rounding may be off by a little
// on a device and are corrected by exact products, so the bits are those of src/quant/encode.ts.
// One invocation makes two groups of a column.
struct Params {
  inner: u32,
  chunk_columns: u32, // columns in `rows`
  first_column: u32, // where they start in `units`
  columns: u32, // width of `units`
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read_write> units: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

override SOURCE: u32 = 2u; // of the weights: 0 f32, 1 f16, 2 bf16
override BITS: u32 = 8u; // of a code: 8 or 4
override GROUP: u32 = 32u; // weights that share a scale

const F32 = 0u;
const F16 = 1u;
const LEAST_SCALE = 0x0400u;
const MOST_SCALE = 0x7bffu;

fn weight(column: u32, k: u32) -> f32 {
  if (k >= params.inner) {
    return 0.0;
  }
  let at = column * params.inner + k;
  if (SOURCE == F32) {
    return bitcast<f32>(rows[at]);
  }
  let half = (rows[at / 2u] >> (16u * (at & 1u))) & 0xffffu;
  if (SOURCE == F16) {
    return unpack2x16float(half).x;
  }
  return bitcast<f32>(half << 16u);
}

fn scale_bits(magnitude: f32, most: f32) -> u32 {
  let guess = pack2x16float(vec2<f32>(min(magnitude / most, 65504.0), 0.0)) & 0xffffu;
  var bits = clamp(guess, LEAST_SCALE, MOST_SCALE);
  // The guess is off by one at most; two steps either way are more than enough.
  for (var i = 0u; i < 2u; i++) {
    if (bits > LEAST_SCALE && most * unpack2x16float(bits - 1u).x >= magnitude) {
      bits--;
    }
  }
  for (var i = 0u; i < 2u; i++) {
    if (bits < MOST_SCALE && most * unpack2x16float(bits).x < magnitude) {
      bits++;
    }
  }
  return bits;
}

fn code_of(value: f32, scale: f32, most: f32) -> i32 {
  var code = floor(value / scale + 0.5);
  if (value < (code - 0.5) * scale) {
    code -= 1.0;
  }
  if (value >= (code + 0.5) * scale) {
    code += 1.0;
  }
  return i32(clamp(code, -most, most));
}

// Makes one group; returns its scale's bits.
fn quantize_group(column: u32, group: u32) -> u32 {
  let first = group * GROUP;
  if (first >= params.inner) {
    return 0u;
  }
  let most = f32((1u << (BITS - 1u)) - 1u);
  var magnitude = 0.0;
  for (var k = first; k < first + GROUP; k++) {
    magnitude = max(magnitude, abs(weight(column, k)));
  }
  let bits = scale_bits(magnitude, most);
  let scale = unpack2x16float(bits).x;
  let each = 32u / BITS;
  let blocks = (params.inner + 7u) / 8u;
  let end = min(first + GROUP, 8u * blocks);
  for (var k = first; k < end; k += each) {
    var word = 0u;
    for (var i = 0u; i < each; i++) {
      let code = code_of(weight(column, k + i), scale, most);
      word |= (bitcast<u32>(code) & ((1u << BITS) - 1u)) << (BITS * i);
    }
    let unit = (k / 8u) * params.columns + params.first_column + column;
    if (BITS == 8u) {
      units[2u * unit + ((k / 4u) & 1u)] = word;
    } else {
      units[unit] = word;
    }
  }
  return bits;
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.chunk_columns) {
    return;
  }
  let low = quantize_group(id.x, 2u * id.y);
  let high = quantize_group(id.x, 2u * id.y + 1u);
  scales[id.y * params.columns + params.first_column + id.x] = low | (high << 16u);
}
