// Quantises row-major weights [columns, inner] into codes and scales in the layout of load_weight8:
// units [blocks, columns] of 8 codes, scales [(groups + 1) / 2, columns], two f16 to a word.
// The scale is the least f16, at least 2^-14, with MOST * scale >= the group's largest magnitude.
// The code is the nearest to weight / scale, halves rounded up. A device may compute quotients and
// f16 rounding slightly wrong; exact products correct that, so the bits are those of
// src/quant/encode.ts.
// One invocation quantises two groups of a column.
struct Params {
  inner: u32,
  chunk_columns: u32, // columns in `rows`
  first_column: u32, // where they start in `units`
  columns: u32, // width of `units`
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> units: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

override SOURCE: u32 = 2u; // of the weights: 0 f32, 1 f16, 2 bf16
override BITS: u32 = 8u; // of a code: 8 or 4
override GROUP: u32 = 32u; // weights that share a scale
override ALIGNED: u32 = 0u; // rows are whole groups

const F32 = 0u;
const F16 = 1u;
const LEAST_SCALE = 0x0400u;
const MOST_SCALE = 0x7bffu;

// Weights 8 * block + 0, 2, 4, 6 of a column, and those behind them.
struct Octet {
  evens: vec4<f32>,
  odds: vec4<f32>,
}

fn widened(words: vec4<u32>) -> Octet {
  if (SOURCE == F16) {
    let x = unpack2x16float(words.x);
    let y = unpack2x16float(words.y);
    let z = unpack2x16float(words.z);
    let w = unpack2x16float(words.w);
    return Octet(vec4<f32>(x.x, y.x, z.x, w.x), vec4<f32>(x.y, y.y, z.y, w.y));
  }
  let odds = bitcast<vec4<f32>>(words & vec4<u32>(0xffff0000u));
  return Octet(bitcast<vec4<f32>>(words << vec4<u32>(16u)), odds);
}

// As many bits as SOURCE has; zero behind the row.
fn element(column: u32, k: u32) -> u32 {
  if (k >= params.inner) {
    return 0u;
  }
  let at = column * params.inner + k;
  if (SOURCE == F32) {
    return rows[at / 4u][at & 3u];
  }
  return (rows[at / 8u][(at / 2u) & 3u] >> (16u * (at & 1u))) & 0xffffu;
}

fn octet(column: u32, block: u32) -> Octet {
  if (ALIGNED == 1u) {
    let at = column * (params.inner / 8u) + block;
    if (SOURCE != F32) {
      return widened(rows[at]);
    }
    let low = bitcast<vec4<f32>>(rows[2u * at]);
    let high = bitcast<vec4<f32>>(rows[2u * at + 1u]);
    return Octet(vec4<f32>(low.xz, high.xz), vec4<f32>(low.yw, high.yw));
  }
  let k = 8u * block;
  let evens = vec4<u32>(
    element(column, k), element(column, k + 2u), element(column, k + 4u), element(column, k + 6u),
  );
  let odds = vec4<u32>(
    element(column, k + 1u), element(column, k + 3u), element(column, k + 5u), element(column, k + 7u),
  );
  if (SOURCE == F32) {
    return Octet(bitcast<vec4<f32>>(evens), bitcast<vec4<f32>>(odds));
  }
  return widened(evens | (odds << vec4<u32>(16u)));
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

// Two's complement in BITS bits.
fn codes_of(values: vec4<f32>, scale: f32, inverse: f32) -> vec4<u32> {
  var codes = floor(values * inverse + 0.5);
  codes -= select(vec4<f32>(0.0), vec4<f32>(1.0), values < (codes - 0.5) * scale);
  codes += select(vec4<f32>(0.0), vec4<f32>(1.0), values >= (codes + 0.5) * scale);
  let most = vec4<f32>(f32((1u << (BITS - 1u)) - 1u));
  return bitcast<vec4<u32>>(vec4<i32>(clamp(codes, -most, most))) & vec4<u32>((1u << BITS) - 1u);
}

fn largest_of(weights: Octet) -> f32 {
  let four = max(abs(weights.evens), abs(weights.odds));
  return max(max(four.x, four.y), max(four.z, four.w));
}

fn store_codes(column: u32, block: u32, weights: Octet, scale: f32, inverse: f32) {
  let low = codes_of(weights.evens, scale, inverse);
  let pairs = low | (codes_of(weights.odds, scale, inverse) << vec4<u32>(BITS));
  let unit = block * params.columns + params.first_column + column;
  if (BITS == 8u) {
    units[2u * unit] = pairs.x | (pairs.y << 16u);
    units[2u * unit + 1u] = pairs.z | (pairs.w << 16u);
  } else {
    units[unit] = pairs.x | (pairs.y << 8u) | (pairs.z << 16u) | (pairs.w << 24u);
  }
}

// Makes one group; returns its scale's bits.
fn quantize_group(column: u32, group: u32) -> u32 {
  let blocks = (params.inner + 7u) / 8u;
  let first = group * (GROUP / 8u);
  if (first >= blocks) {
    return 0u;
  }
  let end = min(first + GROUP / 8u, blocks);
  let most = f32((1u << (BITS - 1u)) - 1u);
  if (ALIGNED == 1u && GROUP == 32u) {
    // Kept rather than loaded twice.
    let a = octet(column, first);
    let b = octet(column, first + 1u);
    let c = octet(column, first + 2u);
    let d = octet(column, first + 3u);
    let largest = max(max(largest_of(a), largest_of(b)), max(largest_of(c), largest_of(d)));
    let bits = scale_bits(largest, most);
    let scale = unpack2x16float(bits).x;
    let inverse = 1.0 / scale;
    store_codes(column, first, a, scale, inverse);
    store_codes(column, first + 1u, b, scale, inverse);
    store_codes(column, first + 2u, c, scale, inverse);
    store_codes(column, first + 3u, d, scale, inverse);
    return bits;
  }
  var largest = 0.0;
  for (var block = first; block < end; block++) {
    largest = max(largest, largest_of(octet(column, block)));
  }
  let bits = scale_bits(largest, most);
  let scale = unpack2x16float(bits).x;
  let inverse = 1.0 / scale;
  for (var block = first; block < end; block++) {
    store_codes(column, block, octet(column, block), scale, inverse);
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
