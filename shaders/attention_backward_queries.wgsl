// The gradient of attention by its queries. With p[j] = softmax_j(scale * q . k[j]), y = sum of p[j] v[j]:
//   d_q = scale * sum over keys j of p[j] * (d_y . v[j] - d_y . y) * k[j].
// Scores are made again, eight keys at a time, with an online softmax as in attention.wgsl (Dao et al. 2022,
// arXiv 2205.14135, algorithm 4). Leaves in facts what the keys' gradients need of each query: the
// logarithm of the sum of exp(scale * q . k[j]), and d_y . y.
//
// q, d_y: [queries, heads, head_stride], or turned by turn_units.wgsl, so that neighbours are read together;
// y, d_q: [queries, heads, head_stride]; k, v: [keys, kv_heads, head_stride]; channels beyond a
// head's are zero; sequences: (first query, queries, first key, keys); facts: [queries, heads].
// Query head h reads KV head h / (heads / kv_heads).
// One workgroup: LANES queries of one head of one sequence, one per lane. How eight keys (values) come to all
// lanes is a snippet: lib/rows_exchanged.wgsl or lib/rows_uniform.wgsl.
struct Params {
  heads: u32,
  kv_heads: u32,
  units: u32, // UNITS
  row_step: u32, // from one query's units to the next one's, in q and d_y
  head_step: u32, // from one head's
  unit_step: u32, // from one unit
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<Element4>;
@group(0) @binding(3) var<storage, read> v: array<Element4>;
@group(0) @binding(4) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> facts: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> d_q: array<vec4<f32>>;

override UNITS: u32 = 32u; // vec4 of a head: head_stride / 4
override LANES: u32 = 32u;
// Whether a lane keeps its query and that one's d_y, or reads them again for every eight keys.
override HELD: u32 = 0u;

const HIDDEN = -1.0e38; // as in lib/candidate.wgsl

var<private> query: array<vec4<f32>, 32>;
var<private> gradient: array<vec4<f32>, 32>; // d_y
var<private> sums: array<vec4<f32>, 32>;
var<private> own_start: u32;
var<private> along: f32; // d_y . y
var<private> low: vec4<f32>; // scores, then weights, of keys 0..3
var<private> high: vec4<f32>; // of keys 4..7
var<private> d_low: vec4<f32>; // d_y . v, then gradients of scores, likewise
var<private> d_high: vec4<f32>;

fn load_unit(i: u32) {
  if (i < UNITS) {
    query[i] = q[own_start + i * params.unit_step];
    gradient[i] = d_y[own_start + i * params.unit_step];
  }
}

fn query_unit(i: u32) -> vec4<f32> {
  if (HELD == 1u) {
    return query[i];
  }
  return q[own_start + i * params.unit_step];
}

fn gradient_unit(i: u32) -> vec4<f32> {
  if (HELD == 1u) {
    return gradient[i];
  }
  return d_y[own_start + i * params.unit_step];
}

// Where the row of a key begins, by its place in the sequence: first key's start, and what lies between.
fn row_start(place: u32, base: vec3<u32>) -> u32 {
  return base.x + place * base.z;
}

fn score_units(lane: u32, i: u32, fence: u32) {
  var a: array<vec4<f32>, 4>; // of the query
  var b: array<vec4<f32>, 4>; // of its d_y
  if (i < UNITS && (!FENCED || i < fence)) {
    // Asked for together, so that a lane waits once.
    a = array(query_unit(i), query_unit(i + 1u), query_unit(i + 2u), query_unit(i + 3u));
    b = array(gradient_unit(i), gradient_unit(i + 1u), gradient_unit(i + 2u), gradient_unit(i + 3u));
    let rows = key_rows(lane, i);
    low = dots_low(low, a[0], a[1], rows);
    high = dots_high(high, a[0], a[1], rows);
  }
  if (i + 2u < UNITS && (!FENCED || i < fence + 1u)) {
    let rows = key_rows(lane, i + 2u);
    low = dots_low(low, a[2], a[3], rows);
    high = dots_high(high, a[2], a[3], rows);
  }
  if (i < UNITS && (!FENCED || i < fence + 2u)) {
    let rows = value_rows(lane, i);
    d_low = dots_low(d_low, b[0], b[1], rows);
    d_high = dots_high(d_high, b[0], b[1], rows);
  }
  if (i + 2u < UNITS && (!FENCED || i < fence + 3u)) {
    let rows = value_rows(lane, i + 2u);
    d_low = dots_low(d_low, b[2], b[3], rows);
    d_high = dots_high(d_high, b[2], b[3], rows);
  }
}

fn add_units(lane: u32, i: u32, factor: f32, fence: u32) {
  if (i < UNITS && (!FENCED || i < fence)) {
    let key = key_rows(lane, i);
    sums[i] = weighed(sums[i] * factor, d_low, d_high, key.a);
    sums[i + 1u] = weighed(sums[i + 1u] * factor, d_low, d_high, key.b);
  }
}

fn store_unit(i: u32, at: u32, factor: f32) {
  if (i < UNITS) {
    d_q[at + i] = sums[i] * factor;
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let sequence = sequences[group.z];
  let queries = sequence.y;
  let keys = sequence.w;
  if (group.x * LANES >= queries) {
    return;
  }
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let row_units = params.kv_heads * UNITS;
  let base = vec3<u32>(sequence.z * row_units + kv_head * UNITS, 0u, row_units);
  let place = group.x * LANES + lane;
  let row = sequence.x + min(place, queries - 1u);
  own_start = row * params.row_step + head * params.head_step;
  let at = (row * params.heads + head) * UNITS; // in y and d_q
  if (HELD == 1u) {
    load_all();
  }
  // A loop that no compiler unrolls: its loads would take all registers.
  for (var i = 0u; i < params.units; i++) {
    along += dot(d_y[own_start + i * params.unit_step], y[at + i]);
  }
  var maximum = HIDDEN; // of the scores so far
  var total = 0.0; // of the weights
  for (var key = 0u; key < keys; key += 8u) {
    find_rows(lane, key, keys - 1u, base);
    // More than UNITS, which the compiler must not know: see attend in attention.wgsl.
    let fence = keys - key + UNITS;
    low = vec4<f32>(0.0);
    high = vec4<f32>(0.0);
    d_low = vec4<f32>(0.0);
    d_high = vec4<f32>(0.0);
    score_all(lane, fence);
    let places = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    low = select(vec4<f32>(HIDDEN), low * params.scale, places < vec4<u32>(keys));
    high = select(vec4<f32>(HIDDEN), high * params.scale, places + 4u < vec4<u32>(keys));
    let pairs = max(low, high);
    let largest = max(maximum, max(max(pairs.x, pairs.y), max(pairs.z, pairs.w)));
    let factor = exp(maximum - largest);
    maximum = largest;
    low = exp(low - largest);
    high = exp(high - largest);
    let eight = low + high;
    total = total * factor + ((eight.x + eight.y) + (eight.z + eight.w));
    d_low = low * (d_low - along);
    d_high = high * (d_high - along);
    add_all(lane, factor, fence + UNITS);
  }
  if (place < queries) {
    facts[row * params.heads + head] = vec2<f32>(maximum + log(total), along);
    store_all(at, params.scale / total);
  }
}
