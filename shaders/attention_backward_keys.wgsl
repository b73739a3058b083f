// The gradients of attention by its keys and values. With p[i, j] = exp(scale * q[i] . k[j] - l[i]), l the
// logarithm of the sum of exp over the keys that query i sees, and over all heads and queries i of the sequence:
//   d_v[j] = sum of p[i, j] d_y[i],  d_k[j] = scale * sum of p[i, j] (d_y[i] . v[j] - d_y[i] . y[i]) q[i].
// Scores are made again, eight queries at a time (Dao et al. 2022, arXiv 2205.14135, algorithm 4).
//
// q, d_y: [queries, heads, head_stride]; k, v: [keys, kv_heads, head_stride], or turned by turn_units.wgsl, so
// that neighbours are read together; d_k, d_v: [keys, kv_heads, head_stride]; channels beyond a
// head's are zero; sequences: (first query, queries, first key, keys); facts: [queries, heads] of
// (l, d_y . y), from attention_backward_queries.wgsl. Query head h reads KV head h / (heads / kv_heads).
// One workgroup: LANES keys of one head of one sequence, one per lane. How eight queries (and their d_y) come
// to all lanes is a snippet: lib/queries_exchanged.wgsl or lib/queries_uniform.wgsl.
struct Params {
  heads: u32,
  kv_heads: u32,
  row_step: u32, // from one key's units to the next one's, in k and v
  head_step: u32, // from one head's
  unit_step: u32, // from one unit
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> facts: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> d_k: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> d_v: array<vec4<f32>>;

override UNITS: u32 = 32u; // vec4 of a head: head_stride / 4
override LANES: u32 = 32u;
// Whether a lane keeps its key and value, or reads them again for every eight queries.
override HELD: u32 = 0u;
// What is made: the registers of a lane hold the sums of both for heads of at most 64 channels.
override MAKES_K: u32 = 1u;
override MAKES_V: u32 = 1u;


var<private> key: array<vec4<f32>, 32>;
var<private> value: array<vec4<f32>, 32>;
var<private> key_sums: array<vec4<f32>, 32>;
var<private> value_sums: array<vec4<f32>, 32>;
var<private> own_start: u32;
var<private> low: vec4<f32>; // scores, then weights, of queries 0..3
var<private> high: vec4<f32>; // of queries 4..7
var<private> d_low: vec4<f32>; // d_y . v, then gradients of scores, likewise
var<private> d_high: vec4<f32>;

fn load_unit(i: u32) {
  if (i < UNITS) {
    key[i] = k[own_start + i * params.unit_step];
    value[i] = v[own_start + i * params.unit_step];
  }
}

fn key_unit(i: u32) -> vec4<f32> {
  if (HELD == 1u) {
    return key[i];
  }
  return k[own_start + i * params.unit_step];
}

fn value_unit(i: u32) -> vec4<f32> {
  if (HELD == 1u) {
    return value[i];
  }
  return v[own_start + i * params.unit_step];
}

// Which head of all rows it is, for the query `place` rows behind the head `first`; there are `last` behind it,
// and the last one is repeated.
fn head_of(first: u32, place: u32, last: u32) -> u32 {
  return first + min(place, last) * params.heads;
}

fn score_units(lane: u32, i: u32, fence: u32) {
  var a: array<vec4<f32>, 4>; // of the key
  var b: array<vec4<f32>, 4>; // of its value
  if (i < UNITS && (!FENCED || i < fence)) {
    // Asked for together, so that a lane waits once.
    a = array(key_unit(i), key_unit(i + 1u), key_unit(i + 2u), key_unit(i + 3u));
    if (MAKES_K == 1u) {
      b = array(value_unit(i), value_unit(i + 1u), value_unit(i + 2u), value_unit(i + 3u));
    }
    let rows = query_rows(lane, i);
    low = dots_low(low, a[0], a[1], rows);
    high = dots_high(high, a[0], a[1], rows);
  }
  if (i + 2u < UNITS && (!FENCED || i < fence + 1u)) {
    let rows = query_rows(lane, i + 2u);
    low = dots_low(low, a[2], a[3], rows);
    high = dots_high(high, a[2], a[3], rows);
  }
  if (MAKES_K == 1u && i < UNITS && (!FENCED || i < fence + 2u)) {
    let rows = gradient_rows(lane, i);
    d_low = dots_low(d_low, b[0], b[1], rows);
    d_high = dots_high(d_high, b[0], b[1], rows);
  }
  if (MAKES_K == 1u && i + 2u < UNITS && (!FENCED || i < fence + 3u)) {
    let rows = gradient_rows(lane, i + 2u);
    d_low = dots_low(d_low, b[2], b[3], rows);
    d_high = dots_high(d_high, b[2], b[3], rows);
  }
}

fn add_units(lane: u32, i: u32, factor: f32, fence: u32) {
  if (MAKES_K == 1u && i < UNITS && (!FENCED || i < fence)) {
    let queries = query_rows(lane, i);
    key_sums[i] = weighed(key_sums[i], d_low, d_high, queries.a);
    key_sums[i + 1u] = weighed(key_sums[i + 1u], d_low, d_high, queries.b);
  }
  if (MAKES_V == 1u && i < UNITS && (!FENCED || i < fence + 1u)) {
    let gradients = gradient_rows(lane, i);
    value_sums[i] = weighed(value_sums[i], low, high, gradients.a);
    value_sums[i + 1u] = weighed(value_sums[i + 1u], low, high, gradients.b);
  }
}

fn store_unit(i: u32, at: u32, factor: f32) {
  if (i < UNITS && MAKES_K == 1u) {
    d_k[at + i] = key_sums[i] * factor;
  }
  if (i < UNITS && MAKES_V == 1u) {
    d_v[at + i] = value_sums[i];
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let sequence = sequences[group.z];
  let queries = sequence.y;
  let keys = sequence.w;
  if (group.x * LANES >= keys) {
    return;
  }
  let kv_head = group.y;
  let heads_each = params.heads / params.kv_heads;
  let place = group.x * LANES + lane;
  let row = sequence.z + min(place, keys - 1u);
  own_start = row * params.row_step + kv_head * params.head_step;
  if (HELD == 1u) {
    load_all();
  }
  // Over the queries of one head after another: `first` counts heads of all rows.
  // A sequence that has none reads none, whose facts nobody may have written.
  var head = select(0u, heads_each, queries == 0u);
  var left = queries;
  var first = sequence.x * params.heads + kv_head * heads_each;
  while (head < heads_each) {
    find_queries(lane, first, left - 1u);
    // More than UNITS, which the compiler must not know: see attend in attention.wgsl.
    let fence = left + UNITS;
    low = vec4<f32>(0.0);
    high = vec4<f32>(0.0);
    d_low = vec4<f32>(0.0);
    d_high = vec4<f32>(0.0);
    score_all(lane, fence);
    let known = query_facts(lane, first, left - 1u);
    low = exp(low * params.scale - known.low);
    high = exp(high * params.scale - known.high);
    low = select(vec4<f32>(0.0), low, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(left));
    high = select(vec4<f32>(0.0), high, vec4<u32>(4u, 5u, 6u, 7u) < vec4<u32>(left));
    d_low = low * (d_low - known.along_low);
    d_high = high * (d_high - known.along_high);
    add_all(lane, 1.0, fence + UNITS);
    if (left > 8u) {
      left -= 8u;
      first += 8u * params.heads;
    } else {
      left = queries;
      head++;
      first = sequence.x * params.heads + kv_head * heads_each + head;
    }
  }
  if (place < keys) {
    store_all((row * params.kv_heads + kv_head) * UNITS, params.scale);
  }
}

// Of eight queries, by halves: logarithms of sums, and d_y . y.
struct Facts {
  low: vec4<f32>,
  high: vec4<f32>,
  along_low: vec4<f32>,
  along_high: vec4<f32>,
}
