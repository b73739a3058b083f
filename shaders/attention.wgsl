// y[row, head] = sum over keys j of the row's sequence of softmax_j(scale * q[row] . k[j]) v[j].
// Bidirectional: every row sees every row of its own sequence. Online softmax (Milakov and
// Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135), keys in ascending order in
// tiles counted from the sequence's own first row, so the result does not depend on the batch.
//
// q: [rows, heads, head_stride]; k, v: [rows, kv_heads, head_stride], channels beyond head_dim zero;
// sequences: (first row, rows); y: [rows, y_stride]. Query head h reads KV head h / (heads / kv_heads).
// One workgroup: eight rows of one head of one sequence.
struct Params {
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  head_stride: u32, // a multiple of 8
  y_stride: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> sequences: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

override CHANNELS: u32 = 4u; // head_dim / 32, rounded up: channels that a lane sums

const LANES = 32u;
const KEYS = 64u; // keys in a tile, two a lane
const HIDDEN = -3.0e38;

var<workgroup> weight: array<f32, 512>; // [8 rows, KEYS]
var<workgroup> part: array<f32, 32>; // [4 quarters of a tile, 8 rows]
var<workgroup> rescale: array<f32, 8>;

// [channel of the lane][rows 0..3, rows 4..7]
var<private> sums: array<vec4<f32>, 8>;

fn store_row(row: u32, channel: u32, value: f32, head: u32) {
  if (channel < params.head_dim) {
    y[row * params.y_stride + head * params.head_dim + channel] = value;
  }
}

fn dots(x: array<vec4<f32>, 8>, key: vec4<f32>, first: u32) -> vec4<f32> {
  if (first == 0u) {
    return vec4<f32>(dot(x[0], key), dot(x[1], key), dot(x[2], key), dot(x[3], key));
  }
  return vec4<f32>(dot(x[4], key), dot(x[5], key), dot(x[6], key), dot(x[7], key));
}

fn keep_scores(key: u32, rows: u32, low: vec4<f32>, high: vec4<f32>, slot: u32) {
  let visible = key < rows;
  weight[slot] = select(HIDDEN, low.x, visible);
  weight[KEYS + slot] = select(HIDDEN, low.y, visible);
  weight[2u * KEYS + slot] = select(HIDDEN, low.z, visible);
  weight[3u * KEYS + slot] = select(HIDDEN, low.w, visible);
  weight[4u * KEYS + slot] = select(HIDDEN, high.x, visible);
  weight[5u * KEYS + slot] = select(HIDDEN, high.y, visible);
  weight[6u * KEYS + slot] = select(HIDDEN, high.z, visible);
  weight[7u * KEYS + slot] = select(HIDDEN, high.w, visible);
}

fn weights4(at: u32) -> vec4<f32> {
  return vec4<f32>(weight[at], weight[at + 1u], weight[at + 2u], weight[at + 3u]);
}

fn add_value(at: u32, low: vec4<f32>, high: vec4<f32>) {
  let first = v[at];
  sums[0] = fma(low, vec4<f32>(first), sums[0]);
  sums[1] = fma(high, vec4<f32>(first), sums[1]);
  if (CHANNELS > 1u) {
    let second = v[at + LANES];
    sums[2] = fma(low, vec4<f32>(second), sums[2]);
    sums[3] = fma(high, vec4<f32>(second), sums[3]);
  }
  if (CHANNELS > 2u) {
    let third = v[at + 2u * LANES];
    sums[4] = fma(low, vec4<f32>(third), sums[4]);
    sums[5] = fma(high, vec4<f32>(third), sums[5]);
  }
  if (CHANNELS > 3u) {
    let fourth = v[at + 3u * LANES];
    sums[6] = fma(low, vec4<f32>(fourth), sums[6]);
    sums[7] = fma(high, vec4<f32>(fourth), sums[7]);
  }
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first_row = sequences[group.z].x;
  let rows = sequences[group.z].y;
  let first_query = group.x * 8u;
  if (first_query >= rows) {
    return;
  }
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let units = params.head_stride / 4u;
  let brought = row_of_lane(lane);
  let query = first_row + min(first_query + brought, rows - 1u);
  let query_start = (query * params.heads + head) * units;

  // Lane: one row and a quarter of a tile's keys. The four lanes of a row agree on its maximum.
  let softmax_row = lane & 7u;
  let quarter_start = softmax_row * KEYS + (lane / 8u) * (KEYS / 4u);
  var maximum = HIDDEN;
  var total = 0.0;

  for (var tile = 0u; tile < rows; tile += KEYS) {
    let key_a = tile + lane;
    let key_b = key_a + LANES;
    let start_a = ((first_row + min(key_a, rows - 1u)) * params.kv_heads + kv_head) * units;
    let start_b = ((first_row + min(key_b, rows - 1u)) * params.kv_heads + kv_head) * units;
    var a_low = vec4<f32>(0.0);
    var a_high = vec4<f32>(0.0);
    var b_low = vec4<f32>(0.0);
    var b_high = vec4<f32>(0.0);
    for (var unit = 0u; unit < units; unit += 2u) {
      let x = gather_rows(lane, q[query_start + unit], q[query_start + unit + 1u]);
      let ka = k[start_a + unit];
      let kb = k[start_b + unit];
      a_low += dots(x.a, ka, 0u);
      a_high += dots(x.a, ka, 4u);
      b_low += dots(x.a, kb, 0u);
      b_high += dots(x.a, kb, 4u);
      let next_ka = k[start_a + unit + 1u];
      let next_kb = k[start_b + unit + 1u];
      a_low += dots(x.b, next_ka, 0u);
      a_high += dots(x.b, next_ka, 4u);
      b_low += dots(x.b, next_kb, 0u);
      b_high += dots(x.b, next_kb, 4u);
    }
    keep_scores(key_a, rows, a_low * params.scale, a_high * params.scale, lane);
    keep_scores(key_b, rows, b_low * params.scale, b_high * params.scale, lane + LANES);
    workgroupBarrier();

    var largest = HIDDEN;
    for (var i = 0u; i < KEYS / 4u; i++) {
      largest = max(largest, weight[quarter_start + i]);
    }
    part[lane] = largest;
    workgroupBarrier();
    let of_tile = max(
      max(part[softmax_row], part[softmax_row + 8u]),
      max(part[softmax_row + 16u], part[softmax_row + 24u]),
    );
    let new_maximum = max(maximum, of_tile);
    let factor = exp(maximum - new_maximum);
    maximum = new_maximum;
    total *= factor;
    for (var i = 0u; i < KEYS / 4u; i++) {
      let p = exp(weight[quarter_start + i] - maximum);
      weight[quarter_start + i] = p;
      total += p;
    }
    if (lane < 8u) {
      rescale[lane] = factor;
    }
    workgroupBarrier();

    let scale_low = vec4<f32>(rescale[0], rescale[1], rescale[2], rescale[3]);
    let scale_high = vec4<f32>(rescale[4], rescale[5], rescale[6], rescale[7]);
    sums[0] *= scale_low;
    sums[1] *= scale_high;
    sums[2] *= scale_low;
    sums[3] *= scale_high;
    sums[4] *= scale_low;
    sums[5] *= scale_high;
    sums[6] *= scale_low;
    sums[7] *= scale_high;

    let in_tile = min(KEYS, rows - tile);
    let key_stride = params.kv_heads * params.head_stride;
    let value_start = ((first_row + tile) * params.kv_heads + kv_head) * params.head_stride + lane;
    for (var key = 0u; key < in_tile; key += 8u) {
      let from_row = brought * KEYS + key;
      let p = gather_rows(lane, weights4(from_row), weights4(from_row + 4u));
      // Keys beyond the sequence have weight 0; their rows are clamped to stay inside the buffer.
      let last = in_tile - 1u;
      let at = value_start + key * key_stride;
      add_value(at,
        vec4<f32>(p.a[0].x, p.a[1].x, p.a[2].x, p.a[3].x),
        vec4<f32>(p.a[4].x, p.a[5].x, p.a[6].x, p.a[7].x));
      add_value(value_start + min(key + 1u, last) * key_stride,
        vec4<f32>(p.a[0].y, p.a[1].y, p.a[2].y, p.a[3].y),
        vec4<f32>(p.a[4].y, p.a[5].y, p.a[6].y, p.a[7].y));
      add_value(value_start + min(key + 2u, last) * key_stride,
        vec4<f32>(p.a[0].z, p.a[1].z, p.a[2].z, p.a[3].z),
        vec4<f32>(p.a[4].z, p.a[5].z, p.a[6].z, p.a[7].z));
      add_value(value_start + min(key + 3u, last) * key_stride,
        vec4<f32>(p.a[0].w, p.a[1].w, p.a[2].w, p.a[3].w),
        vec4<f32>(p.a[4].w, p.a[5].w, p.a[6].w, p.a[7].w));
      add_value(value_start + min(key + 4u, last) * key_stride,
        vec4<f32>(p.b[0].x, p.b[1].x, p.b[2].x, p.b[3].x),
        vec4<f32>(p.b[4].x, p.b[5].x, p.b[6].x, p.b[7].x));
      add_value(value_start + min(key + 5u, last) * key_stride,
        vec4<f32>(p.b[0].y, p.b[1].y, p.b[2].y, p.b[3].y),
        vec4<f32>(p.b[4].y, p.b[5].y, p.b[6].y, p.b[7].y));
      add_value(value_start + min(key + 6u, last) * key_stride,
        vec4<f32>(p.b[0].z, p.b[1].z, p.b[2].z, p.b[3].z),
        vec4<f32>(p.b[4].z, p.b[5].z, p.b[6].z, p.b[7].z));
      add_value(value_start + min(key + 7u, last) * key_stride,
        vec4<f32>(p.b[0].w, p.b[1].w, p.b[2].w, p.b[3].w),
        vec4<f32>(p.b[4].w, p.b[5].w, p.b[6].w, p.b[7].w));
    }
    workgroupBarrier();
  }

  part[lane] = total;
  workgroupBarrier();
  for (var i = 0u; i < 8u; i++) {
    let row = first_query + i;
    let sum = (part[i] + part[i + 8u]) + (part[i + 16u] + part[i + 24u]);
    if (row < rows) {
      for (var c = 0u; c < CHANNELS; c++) {
        store_row(first_row + row, lane + c * LANES, sums[2u * c + i / 4u][i & 3u] / sum, head);
      }
    }
  }
}
