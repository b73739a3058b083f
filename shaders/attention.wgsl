// y[row, head] = sum over keys j of the row's sequence of softmax_j(scale * q[row] . k[j]) v[j].
// Bidirectional: every query sees every key of its own sequence. Online softmax (Milakov and
// Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135) over eight keys at a time,
// counted from the sequence's own first key, so the result does not depend on the batch.
//
// q: [queries, heads, head_stride]; k, v: [keys, kv_heads, head_stride], in f32 or f16 (see
// lib/element_*.wgsl); channels beyond head_dim are zero;
// sequences: (first query, queries, first key, keys); y: [queries, y_stride].
// Query head h reads KV head h / (heads / kv_heads).
// Every sequence has fresh_keys keys in separate rows, so that sequences can share their other
// keys.
// SHADOWS: a query does not see one of the keys, and sees one key of its own instead; shadows: (key
// row not seen, own key row).
// One workgroup: 32 rows of one head of one sequence, one per lane. Each lane computes its softmax
// alone; how eight keys (values) come to all lanes is a snippet: lib/rows_exchanged.wgsl or
// lib/rows_uniform.wgsl.
struct Params {
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  head_stride: u32,
  y_stride: u32,
  scale: f32,
  fresh_first: u32, // first key of each sequence that is in the separate rows
  fresh_keys: u32, // number of these keys in each sequence
  fresh_row: u32, // first separate row; the sequences follow each other
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<Element4>;
@group(0) @binding(3) var<storage, read> v: array<Element4>;
@group(0) @binding(4) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> shadows: array<vec2<u32>>; // by query; unread without SHADOWS
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

override UNITS: u32 = 32u; // vec4 of a head, rounded up to 8, 16, 24 or 32
override SHADOWS: u32 = 0u;

// vec4 of queries in workgroup memory, for heads whose queries and sums together would take all
// registers: the units from APART on, of 32 lanes; 1 where all are in registers.
override QUERY_ROWS: u32 = 512u;
var<workgroup> queries_apart: array<vec4<f32>, QUERY_ROWS>;

const APART = 16u; // the first unit there
const LANES = 32u;
const HIDDEN = -1.0e38; // as in lib/candidate.wgsl

var<private> query: array<vec4<f32>, 32>;
var<private> sums: array<vec4<f32>, 32>;
var<private> low: vec4<f32>; // scores, then weights, of keys 0..3
var<private> high: vec4<f32>; // of keys 4..7

// Units are passed as literals, so that the arrays above stay in registers once this is inlined.
fn load_query(lane: u32, i: u32, start: u32, units: u32) {
  if (i < units) {
    let value = q[start + i] * params.scale;
    if (QUERY_ROWS > 1u && i >= APART) {
      queries_apart[(i - APART) * LANES + lane] = value;
    } else {
      query[i] = value;
    }
  }
}

// A unit of the lane's own query.
fn query_unit(lane: u32, i: u32) -> vec4<f32> {
  if (QUERY_ROWS > 1u && i >= APART) {
    return queries_apart[(i - APART) * LANES + lane];
  }
  return query[i];
}

// Where the row of a key begins, by its place in the sequence; base: (first key, first fresh row, KV head).
fn row_start(place: u32, base: vec3<u32>) -> u32 {
  let fresh = place - params.fresh_first;
  let row = select(base.x + place, base.y + fresh, fresh < params.fresh_keys);
  return (row * params.kv_heads + base.z) * (params.head_stride / 4u);
}

fn score(lane: u32, i: u32, units: u32) {
  if (i < units) {
    let key = key_rows(lane, i);
    let a = query_unit(lane, i);
    let b = query_unit(lane, i + 1u);
    low += vec4<f32>(dot(a, key.a[0]), dot(a, key.a[1]), dot(a, key.a[2]), dot(a, key.a[3]));
    high += vec4<f32>(dot(a, key.a[4]), dot(a, key.a[5]), dot(a, key.a[6]), dot(a, key.a[7]));
    low += vec4<f32>(dot(b, key.b[0]), dot(b, key.b[1]), dot(b, key.b[2]), dot(b, key.b[3]));
    high += vec4<f32>(dot(b, key.b[4]), dot(b, key.b[5]), dot(b, key.b[6]), dot(b, key.b[7]));
  }
}

fn weigh(sum: vec4<f32>, value: array<vec4<f32>, 8>) -> vec4<f32> {
  var s = fma(vec4<f32>(low.x), value[0], sum);
  s = fma(vec4<f32>(low.y), value[1], s);
  s = fma(vec4<f32>(low.z), value[2], s);
  s = fma(vec4<f32>(low.w), value[3], s);
  s = fma(vec4<f32>(high.x), value[4], s);
  s = fma(vec4<f32>(high.y), value[5], s);
  s = fma(vec4<f32>(high.z), value[6], s);
  return fma(vec4<f32>(high.w), value[7], s);
}

fn add_values(lane: u32, i: u32, units: u32, factor: f32) {
  if (i < units) {
    let value = value_rows(lane, i);
    sums[i] = weigh(sums[i] * factor, value.a);
    sums[i + 1u] = weigh(sums[i + 1u] * factor, value.b);
  }
}

// A key that this lane alone sees: two units of its score, then of its value.
fn score_own(lane: u32, i: u32, start: u32, units: u32) {
  if (i < units) {
    low.x += dot(query_unit(lane, i), widened(k[start + i]));
    low.x += dot(query_unit(lane, i + 1u), widened(k[start + i + 1u]));
  }
}

fn add_own_value(i: u32, start: u32, units: u32, factor: f32) {
  if (i < units) {
    sums[i] = fma(vec4<f32>(low.x), widened(v[start + i]), sums[i] * factor);
    sums[i + 1u] = fma(vec4<f32>(low.x), widened(v[start + i + 1u]), sums[i + 1u] * factor);
  }
}

fn store(i: u32, at: u32, channels: u32, total: f32) {
  let value = sums[i] / total;
  let channel = 4u * i;
  if (channel < channels) {
    y[at + channel] = value.x;
  }
  if (channel + 1u < channels) {
    y[at + channel + 1u] = value.y;
  }
  if (channel + 2u < channels) {
    y[at + channel + 2u] = value.z;
  }
  if (channel + 3u < channels) {
    y[at + channel + 3u] = value.w;
  }
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let sequence = sequences[group.z];
  let first_query = sequence.x;
  let queries = sequence.y;
  let first_key = sequence.z;
  let keys = sequence.w;
  if (group.x * LANES >= queries) {
    return;
  }
  let head = group.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let units = params.head_stride / 4u;
  let base = vec3<u32>(first_key, params.fresh_row + group.z * params.fresh_keys, kv_head);
  let row = group.x * LANES + lane;
  let query_row = first_query + min(row, queries - 1u);
  let query_start = (query_row * params.heads + head) * units;
  load_query(lane, 0u, query_start, units);
  load_query(lane, 1u, query_start, units);
  load_query(lane, 2u, query_start, units);
  load_query(lane, 3u, query_start, units);
  load_query(lane, 4u, query_start, units);
  load_query(lane, 5u, query_start, units);
  load_query(lane, 6u, query_start, units);
  load_query(lane, 7u, query_start, units);
  if (UNITS > 8u) {
    load_query(lane, 8u, query_start, units);
    load_query(lane, 9u, query_start, units);
    load_query(lane, 10u, query_start, units);
    load_query(lane, 11u, query_start, units);
    load_query(lane, 12u, query_start, units);
    load_query(lane, 13u, query_start, units);
    load_query(lane, 14u, query_start, units);
    load_query(lane, 15u, query_start, units);
  }
  if (UNITS > 16u) {
    load_query(lane, 16u, query_start, units);
    load_query(lane, 17u, query_start, units);
    load_query(lane, 18u, query_start, units);
    load_query(lane, 19u, query_start, units);
    load_query(lane, 20u, query_start, units);
    load_query(lane, 21u, query_start, units);
    load_query(lane, 22u, query_start, units);
    load_query(lane, 23u, query_start, units);
  }
  if (UNITS > 24u) {
    load_query(lane, 24u, query_start, units);
    load_query(lane, 25u, query_start, units);
    load_query(lane, 26u, query_start, units);
    load_query(lane, 27u, query_start, units);
    load_query(lane, 28u, query_start, units);
    load_query(lane, 29u, query_start, units);
    load_query(lane, 30u, query_start, units);
    load_query(lane, 31u, query_start, units);
  }
  var shadow = vec2<u32>(0u);
  if (SHADOWS > 0u) {
    shadow = shadows[query_row];
  }
  var maximum = HIDDEN;
  var total = 0.0;
  for (var key = 0u; key < keys; key += 8u) {
    find_rows(lane, key, keys - 1u, base);
    low = vec4<f32>(0.0);
    high = vec4<f32>(0.0);
    score(lane, 0u, units);
    score(lane, 2u, units);
    score(lane, 4u, units);
    score(lane, 6u, units);
    if (UNITS > 8u) {
      score(lane, 8u, units);
      score(lane, 10u, units);
      score(lane, 12u, units);
      score(lane, 14u, units);
    }
    if (UNITS > 16u) {
      score(lane, 16u, units);
      score(lane, 18u, units);
      score(lane, 20u, units);
      score(lane, 22u, units);
    }
    if (UNITS > 24u) {
      score(lane, 24u, units);
      score(lane, 26u, units);
      score(lane, 28u, units);
      score(lane, 30u, units);
    }
    let places = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    low = select(vec4<f32>(HIDDEN), low, places < vec4<u32>(keys));
    high = select(vec4<f32>(HIDDEN), high, places + 4u < vec4<u32>(keys));
    if (SHADOWS > 0u) {
      let unseen = vec4<u32>(shadow.x - first_key);
      low = select(low, vec4<f32>(HIDDEN), places == unseen);
      high = select(high, vec4<f32>(HIDDEN), places + 4u == unseen);
    }
    let pairs = max(low, high);
    let largest = max(maximum, max(max(pairs.x, pairs.y), max(pairs.z, pairs.w)));
    let factor = exp(maximum - largest);
    maximum = largest;
    low = exp(low - largest);
    high = exp(high - largest);
    let eight = low + high;
    total = total * factor + ((eight.x + eight.y) + (eight.z + eight.w));
    add_values(lane, 0u, units, factor);
    add_values(lane, 2u, units, factor);
    add_values(lane, 4u, units, factor);
    add_values(lane, 6u, units, factor);
    if (UNITS > 8u) {
      add_values(lane, 8u, units, factor);
      add_values(lane, 10u, units, factor);
      add_values(lane, 12u, units, factor);
      add_values(lane, 14u, units, factor);
    }
    if (UNITS > 16u) {
      add_values(lane, 16u, units, factor);
      add_values(lane, 18u, units, factor);
      add_values(lane, 20u, units, factor);
      add_values(lane, 22u, units, factor);
    }
    if (UNITS > 24u) {
      add_values(lane, 24u, units, factor);
      add_values(lane, 26u, units, factor);
      add_values(lane, 28u, units, factor);
      add_values(lane, 30u, units, factor);
    }
  }
  if (SHADOWS > 0u) {
    // If the unseen key was the only one so far, this step's factor of 0 removes its contribution.
    let start = (shadow.y * params.kv_heads + kv_head) * units;
    low.x = 0.0;
    score_own(lane, 0u, start, units);
    score_own(lane, 2u, start, units);
    score_own(lane, 4u, start, units);
    score_own(lane, 6u, start, units);
    if (UNITS > 8u) {
      score_own(lane, 8u, start, units);
      score_own(lane, 10u, start, units);
      score_own(lane, 12u, start, units);
      score_own(lane, 14u, start, units);
    }
    if (UNITS > 16u) {
      score_own(lane, 16u, start, units);
      score_own(lane, 18u, start, units);
      score_own(lane, 20u, start, units);
      score_own(lane, 22u, start, units);
    }
    if (UNITS > 24u) {
      score_own(lane, 24u, start, units);
      score_own(lane, 26u, start, units);
      score_own(lane, 28u, start, units);
      score_own(lane, 30u, start, units);
    }
    let largest = max(maximum, low.x);
    let factor = exp(maximum - largest);
    low.x = exp(low.x - largest);
    total = total * factor + low.x;
    add_own_value(0u, start, units, factor);
    add_own_value(2u, start, units, factor);
    add_own_value(4u, start, units, factor);
    add_own_value(6u, start, units, factor);
    if (UNITS > 8u) {
      add_own_value(8u, start, units, factor);
      add_own_value(10u, start, units, factor);
      add_own_value(12u, start, units, factor);
      add_own_value(14u, start, units, factor);
    }
    if (UNITS > 16u) {
      add_own_value(16u, start, units, factor);
      add_own_value(18u, start, units, factor);
      add_own_value(20u, start, units, factor);
      add_own_value(22u, start, units, factor);
    }
    if (UNITS > 24u) {
      add_own_value(24u, start, units, factor);
      add_own_value(26u, start, units, factor);
      add_own_value(28u, start, units, factor);
      add_own_value(30u, start, units, factor);
    }
  }
  if (row < queries) {
    let at = (first_query + row) * params.y_stride + head * params.head_dim;
    store(0u, at, params.head_dim, total);
    store(1u, at, params.head_dim, total);
    store(2u, at, params.head_dim, total);
    store(3u, at, params.head_dim, total);
    store(4u, at, params.head_dim, total);
    store(5u, at, params.head_dim, total);
    store(6u, at, params.head_dim, total);
    store(7u, at, params.head_dim, total);
    if (UNITS > 8u) {
      store(8u, at, params.head_dim, total);
      store(9u, at, params.head_dim, total);
      store(10u, at, params.head_dim, total);
      store(11u, at, params.head_dim, total);
      store(12u, at, params.head_dim, total);
      store(13u, at, params.head_dim, total);
      store(14u, at, params.head_dim, total);
      store(15u, at, params.head_dim, total);
    }
    if (UNITS > 16u) {
      store(16u, at, params.head_dim, total);
      store(17u, at, params.head_dim, total);
      store(18u, at, params.head_dim, total);
      store(19u, at, params.head_dim, total);
      store(20u, at, params.head_dim, total);
      store(21u, at, params.head_dim, total);
      store(22u, at, params.head_dim, total);
      store(23u, at, params.head_dim, total);
    }
    if (UNITS > 24u) {
      store(24u, at, params.head_dim, total);
      store(25u, at, params.head_dim, total);
      store(26u, at, params.head_dim, total);
      store(27u, at, params.head_dim, total);
      store(28u, at, params.head_dim, total);
      store(29u, at, params.head_dim, total);
      store(30u, at, params.head_dim, total);
      store(31u, at, params.head_dim, total);
    }
  }
}
