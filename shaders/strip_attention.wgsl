// Attention on a software adapter: attention.wgsl without chunks, with its shapes, formulas, LISTED and
// SHADOWS. One workgroup: eight rows of one head of one sequence, one a lane, or with PAIRS sixteen, two a
// lane, which share what is read and exchanged of keys and values. Heads are whole vec4, and so is y_stride.
struct Params {
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  y_stride: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<Element8>;
@group(0) @binding(3) var<storage, read> v: array<Element8>;
@group(0) @binding(4) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> shadows: array<vec2<u32>>; // by query; unread without SHADOWS
@group(0) @binding(6) var<storage, read> key_list: array<u32>; // unread without LISTED
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;

override UNITS: u32 = 32u; // vec4 of a head: head_stride / 4
override SHADOWS: u32 = 0u;
override LISTED: u32 = 0u;
override PAIRS: u32 = 0u; // not with SHADOWS

const LANES = 8u;
const HIDDEN = -1.0e38; // as in lib/candidate.wgsl

// Of a lane's row, and with PAIRS of its other one.
var<private> query: array<vec4<f32>, 32>;
var<private> other_query: array<vec4<f32>, 32>;
var<private> sums: array<vec4<f32>, 32>;
var<private> other_sums: array<vec4<f32>, 32>;

// Softmax of a row so far: the scores, then weights, of eight keys.
struct Weights {
  low: vec4<f32>,
  high: vec4<f32>,
  maximum: f32,
  total: f32,
  factor: f32, // of what was summed before
}
var<private> own: Weights;
var<private> other: Weights;

// Units are passed as literals, so that the arrays above stay in registers once this is inlined.
fn load_query(i: u32, start: u32, other_start: u32) {
  if (i < UNITS) {
    query[i] = q[start + i] * params.scale;
    if (PAIRS == 1u) {
      other_query[i] = q[other_start + i] * params.scale;
    }
  }
}

// Where the row of a key begins in eights, by its place in the sequence; base: where the first key's begins,
// and what lies between rows; LISTED: the first key's entry, where the head begins in a row, and what lies
// between.
fn row_start(place: u32, base: vec3<u32>) -> u32 {
  if (LISTED == 1u) {
    return key_list[base.x + place] * base.z + base.y;
  }
  return base.x + place * base.z;
}

fn scored(w: Weights, a: vec4<f32>, key: array<vec4<f32>, 8>) -> Weights {
  var s = w;
  s.low += vec4<f32>(dot(a, key[0]), dot(a, key[1]), dot(a, key[2]), dot(a, key[3]));
  s.high += vec4<f32>(dot(a, key[4]), dot(a, key[5]), dot(a, key[6]), dot(a, key[7]));
  return s;
}

// Units i and i + 1 of eight keys, of which this lane reads one.
fn score(lane: u32, i: u32, start: u32) {
  if (i < UNITS) {
    let eight = k[start + i / 2u];
    let key = gather_rows(lane, first_four(eight), last_four(eight));
    own = scored(scored(own, query[i], key.a), query[i + 1u], key.b);
    if (PAIRS == 1u) {
      other = scored(scored(other, other_query[i], key.a), other_query[i + 1u], key.b);
    }
  }
}

fn weigh(w: Weights, sum: vec4<f32>, value: array<vec4<f32>, 8>) -> vec4<f32> {
  var s = fma(vec4<f32>(w.low.x), value[0], sum * w.factor);
  s = fma(vec4<f32>(w.low.y), value[1], s);
  s = fma(vec4<f32>(w.low.z), value[2], s);
  s = fma(vec4<f32>(w.low.w), value[3], s);
  s = fma(vec4<f32>(w.high.x), value[4], s);
  s = fma(vec4<f32>(w.high.y), value[5], s);
  s = fma(vec4<f32>(w.high.z), value[6], s);
  return fma(vec4<f32>(w.high.w), value[7], s);
}

fn add_values(lane: u32, i: u32, start: u32) {
  if (i < UNITS) {
    let eight = v[start + i / 2u];
    let value = gather_rows(lane, first_four(eight), last_four(eight));
    sums[i] = weigh(own, sums[i], value.a);
    sums[i + 1u] = weigh(own, sums[i + 1u], value.b);
    if (PAIRS == 1u) {
      other_sums[i] = weigh(other, other_sums[i], value.a);
      other_sums[i + 1u] = weigh(other, other_sums[i + 1u], value.b);
    }
  }
}

// A key that this lane alone sees: two units of its score, then of its value.
fn score_own(i: u32, start: u32) {
  if (i < UNITS) {
    let eight = k[start + i / 2u];
    own.low.x += dot(query[i], first_four(eight));
    own.low.x += dot(query[i + 1u], last_four(eight));
  }
}

fn add_own_value(i: u32, start: u32) {
  if (i < UNITS) {
    let weight = vec4<f32>(own.low.x);
    let eight = v[start + i / 2u];
    sums[i] = fma(weight, first_four(eight), sums[i] * own.factor);
    sums[i + 1u] = fma(weight, last_four(eight), sums[i + 1u] * own.factor);
  }
}

fn store(i: u32, inside: bool, at: u32, other_inside: bool, other_at: u32) {
  if (i < UNITS && 4u * i < params.head_dim) {
    if (inside) {
      y[at + i] = sums[i] / own.total;
    }
    if (PAIRS == 1u && other_inside) {
      y[other_at + i] = other_sums[i] / other.total;
    }
  }
}

// Scores become weights.
fn softened(w: Weights, key: u32, keys: u32, unseen: u32) -> Weights {
  var s = w;
  let hidden = vec4<f32>(HIDDEN);
  let places = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
  s.low = select(hidden, s.low, places < vec4<u32>(keys));
  s.high = select(hidden, s.high, places + 4u < vec4<u32>(keys));
  if (SHADOWS > 0u) {
    s.low = select(s.low, hidden, places == vec4<u32>(unseen));
    s.high = select(s.high, hidden, places + 4u == vec4<u32>(unseen));
  }
  let pairs = max(s.low, s.high);
  let largest = max(s.maximum, max(max(pairs.x, pairs.y), max(pairs.z, pairs.w)));
  s.factor = exp(s.maximum - largest);
  s.maximum = largest;
  s.low = exp(s.low - largest);
  s.high = exp(s.high - largest);
  let eight = s.low + s.high;
  s.total = s.total * s.factor + ((eight.x + eight.y) + (eight.z + eight.w));
  return s;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  // Which sequence has the workgroup's rows. One without any would cost as much as a turn: both sides of a
  // branch are run.
  let rows = select(LANES, 2u * LANES, PAIRS == 1u);
  var index = 0u;
  var before = 0u;
  loop {
    let tiles = (sequences[index].y + rows - 1u) / rows;
    if (group.x < before + tiles) {
      break;
    }
    before += tiles;
    index++;
  }
  let sequence = sequences[index];
  let first_query = sequence.x;
  let queries = sequence.y;
  let first_key = sequence.z;
  let keys = sequence.w;
  let first = (group.x - before) * rows;
  let head = group.y;
  let row_eights = params.kv_heads * UNITS / 2u;
  let head_start = head / (params.heads / params.kv_heads) * UNITS / 2u;
  var base = vec3<u32>(first_key * row_eights + head_start, 0u, row_eights);
  if (LISTED == 1u) {
    base = vec3<u32>(first_key, head_start, row_eights);
  }
  let row = first + lane;
  let other_row = row + LANES;
  let query_row = first_query + min(row, queries - 1u);
  let other_query_row = first_query + min(other_row, queries - 1u);
  load_queries(
    (query_row * params.heads + head) * UNITS, (other_query_row * params.heads + head) * UNITS,
  );
  var shadow = vec2<u32>(0u);
  if (SHADOWS > 0u) {
    shadow = shadows[query_row];
    if (LISTED == 1u) {
      shadow.y = key_list[shadow.y];
    }
    shadow = vec2<u32>(shadow.x - first_key, shadow.y * row_eights + head_start);
  }
  let place = row_of_lane(lane);
  own.maximum = HIDDEN;
  other.maximum = HIDDEN;
  for (var key = 0u; key < keys; key += 8u) {
    // Behind the last key it is repeated.
    let start = row_start(min(key + place, keys - 1u), base);
    own.low = vec4<f32>();
    own.high = vec4<f32>();
    other.low = vec4<f32>();
    other.high = vec4<f32>();
    score_all(lane, start);
    own = softened(own, key, keys, shadow.x);
    if (PAIRS == 1u) {
      other = softened(other, key, keys, 0u);
    }
    add_all_values(lane, start);
  }
  if (SHADOWS > 0u) {
    // If the unseen key was the only one, this step's factor of 0 removes its contribution.
    own.low.x = 0.0;
    score_all_own(shadow.y);
    let largest = max(own.maximum, own.low.x);
    own.factor = exp(own.maximum - largest);
    own.low.x = exp(own.low.x - largest);
    own.total = own.total * own.factor + own.low.x;
    add_all_own_values(shadow.y);
  }
  let at = ((first_query + row) * params.y_stride + head * params.head_dim) / 4u;
  let other_at = at + LANES * params.y_stride / 4u;
  store_all(row < queries, at, other_row < queries, other_at);
}
