// y[row, head] = sum over keys j of the row's sequence of softmax_j(scale * q[row] . k[j]) v[j].
// Bidirectional: every query sees every key of its own sequence. Online softmax (Milakov and
// Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135) over eight keys at a time,
// counted from the sequence's own first key, so the result does not depend on the batch.
//
// q: [queries, heads, head_stride]; k, v: [keys, kv_heads, head_stride], in f32 or f16 (see
// lib/element_*.wgsl); channels beyond head_dim are zero;
// sequences: (first query, queries, first key, keys); y: [queries, y_stride].
// Query head h reads KV head h / (heads / kv_heads).
// LISTED: the keys of a sequence are entries of key_list, each the row of k and v that it lies in, so that
// sequences can share keys, which may lie anywhere. What counts rows of k without it counts entries then.
// CHUNKED: the keys of a sequence are taken in chunks, whose length its number of keys decides. Each
// has a softmax of its own, and they are merged in their order, whoever makes them: a workgroup in
// turn, or, with APART, one workgroup a chunk (group.z = sequence * chunks + chunk), which leaves it in
// parts for merge_attention.wgsl. Flash decoding (Dao et al. 2023).
// SHADOWS: a query does not see one of the keys, and sees one key of its own instead; shadows: (key
// row not seen, own key row).
// One workgroup: LANES rows of one head of one sequence, one per lane; or, with HEADS above 1, LANES / HEADS
// rows (then a sequence has no more) of as many heads that read the same KV head. Each lane computes its softmax
// alone; how eight keys (values) come to all lanes is a snippet: lib/rows_exchanged.wgsl or
// lib/rows_uniform.wgsl.
struct Params {
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  y_stride: u32,
  scale: f32,
  row_tiles: u32, // of the sequence that has most
  chunks: u32, // likewise
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<Element4>;
@group(0) @binding(3) var<storage, read> v: array<Element4>;
@group(0) @binding(4) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> shadows: array<vec2<u32>>; // by query; unread without SHADOWS
@group(0) @binding(6) var<storage, read> key_list: array<u32>; // unread without LISTED
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

override UNITS: u32 = 32u; // vec4 of a head: head_stride / 4
override SHADOWS: u32 = 0u;
override LISTED: u32 = 0u;
override HEADS: u32 = 1u;
override CHUNKED: u32 = 1u;
override APART: u32 = 0u;
override LANES: u32 = 32u; // 32 where APART is 1

// vec4 of queries in workgroup memory, for heads whose queries and sums together would take all
// registers: the units from FIRST_APART on, of all lanes; 1 where all are in registers.
override QUERY_ROWS: u32 = 512u;
var<workgroup> queries_apart: array<vec4<f32>, QUERY_ROWS>;

const FIRST_APART = 16u; // the first unit there
const HIDDEN = -1.0e38; // as in lib/candidate.wgsl

var<private> query: array<vec4<f32>, 32>;
var<private> sums: array<vec4<f32>, 32>;
var<private> maximum: f32; // of the scores so far
var<private> total: f32; // of the weights
var<private> low: vec4<f32>; // scores, then weights, of keys 0..3
var<private> high: vec4<f32>; // of keys 4..7

// Units are passed as literals, so that the arrays above stay in registers once this is inlined.
fn load_query(lane: u32, i: u32, start: u32) {
  if (i < UNITS) {
    let value = q[start + i] * params.scale;
    if (QUERY_ROWS > 1u && i >= FIRST_APART) {
      queries_apart[(i - FIRST_APART) * LANES + lane] = value;
    } else {
      query[i] = value;
    }
  }
}

// A unit of the lane's own query.
fn query_unit(lane: u32, i: u32) -> vec4<f32> {
  if (QUERY_ROWS > 1u && i >= FIRST_APART) {
    return queries_apart[(i - FIRST_APART) * LANES + lane];
  }
  return query[i];
}

// Where the row of a key begins, by its place in the sequence; base: where the first key's begins, and what
// lies between rows; LISTED: the first key's entry, where the head begins in a row, and what lies between.
fn row_start(place: u32, base: vec3<u32>) -> u32 {
  if (LISTED == 1u) {
    return key_list[base.x + place] * base.z + base.y;
  }
  return base.x + place * base.z;
}

fn score(lane: u32, i: u32, fence: u32) {
  if (i < UNITS && (!FENCED || i < fence)) {
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

fn add_values(lane: u32, i: u32, factor: f32, fence: u32) {
  if (i < UNITS && (!FENCED || i < fence)) {
    let value = value_rows(lane, i);
    sums[i] = weigh(sums[i] * factor, value.a);
    sums[i + 1u] = weigh(sums[i + 1u] * factor, value.b);
  }
}

// A key that this lane alone sees: two units of its score, then of its value.
fn score_own(lane: u32, i: u32, start: u32) {
  if (i < UNITS) {
    low.x += dot(query_unit(lane, i), widened(k[start + i]));
    low.x += dot(query_unit(lane, i + 1u), widened(k[start + i + 1u]));
  }
}

fn add_own_value(i: u32, start: u32, factor: f32) {
  if (i < UNITS) {
    sums[i] = fma(vec4<f32>(low.x), widened(v[start + i]), sums[i] * factor);
    sums[i + 1u] = fma(vec4<f32>(low.x), widened(v[start + i + 1u]), sums[i + 1u] * factor);
  }
}

// How a chunk joins those before it, whose sums y holds.
struct Merge {
  later: bool, // whether there are any
  before: f32, // factors of their sums and of its own
  own: f32,
  divisor: f32, // the total behind the last chunk, else 1
}

fn fold(at: u32, value: f32, merge: Merge) -> f32 {
  if (CHUNKED == 1u && merge.later) {
    return fma(y[at], merge.before, value * merge.own) / merge.divisor;
  }
  return value / merge.divisor;
}

fn store(i: u32, at: u32, channels: u32, merge: Merge) {
  let value = sums[i];
  let channel = 4u * i;
  if (channel < channels) {
    y[at + channel] = fold(at + channel, value.x, merge);
  }
  if (channel + 1u < channels) {
    y[at + channel + 1u] = fold(at + channel + 1u, value.y, merge);
  }
  if (channel + 2u < channels) {
    y[at + channel + 2u] = fold(at + channel + 2u, value.z, merge);
  }
  if (channel + 3u < channels) {
    y[at + channel + 3u] = fold(at + channel + 3u, value.w, merge);
  }
}

fn store_part(i: u32, at: u32) {
  if (i < UNITS) {
    let to = at + 4u * LANES * i;
    y[to] = sums[i].x;
    y[to + 1u] = sums[i].y;
    y[to + 2u] = sums[i].z;
    y[to + 3u] = sums[i].w;
  }
}

// Adds up keys [begin, end) of a sequence: maximum, total and sums become theirs.
fn attend(
  lane: u32, begin: u32, end: u32, sequence: vec4<u32>, base: vec3<u32>, shadow: vec2<u32>,
) {
  let first_key = sequence.z;
  let keys = sequence.w;
  maximum = HIDDEN;
  total = 0.0;
  for (var key = begin; key < end; key += 8u) {
    find_rows(lane, key, keys - 1u, base);
    // More than UNITS, which the compiler must not know. Rows at shared addresses come to scalar
    // registers, and a branch keeps it from asking for more of them at a time than there are. It changes
    // with every turn, and from scores to values, so that no condition is kept either.
    let fence = end - key + UNITS;
    low = vec4<f32>(0.0);
    high = vec4<f32>(0.0);
    score8(lane, 0u, fence);
    if (UNITS > 8u) {
      score8(lane, 8u, fence);
    }
    if (UNITS > 16u) {
      score8(lane, 16u, fence);
    }
    if (UNITS > 24u) {
      score8(lane, 24u, fence);
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
    add_values8(lane, 0u, factor, fence + UNITS);
    if (UNITS > 8u) {
      add_values8(lane, 8u, factor, fence + UNITS);
    }
    if (UNITS > 16u) {
      add_values8(lane, 16u, factor, fence + UNITS);
    }
    if (UNITS > 24u) {
      add_values8(lane, 24u, factor, fence + UNITS);
    }
  }
  if (SHADOWS > 0u && end == keys) {
    // If the unseen key was the only one so far, this step's factor of 0 removes its contribution.
    let start = shadow.y;
    low.x = 0.0;
    score_own8(lane, 0u, start);
    if (UNITS > 8u) {
      score_own8(lane, 8u, start);
    }
    if (UNITS > 16u) {
      score_own8(lane, 16u, start);
    }
    if (UNITS > 24u) {
      score_own8(lane, 24u, start);
    }
    let largest = max(maximum, low.x);
    let factor = exp(maximum - largest);
    maximum = largest;
    low.x = exp(low.x - largest);
    total = total * factor + low.x;
    add_own_value8(0u, start, factor);
    if (UNITS > 8u) {
      add_own_value8(8u, start, factor);
    }
    if (UNITS > 16u) {
      add_own_value8(16u, start, factor);
    }
    if (UNITS > 24u) {
      add_own_value8(24u, start, factor);
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var index = group.z;
  var chunk = 0u;
  if (APART == 1u) {
    index = group.z / params.chunks;
    chunk = group.z % params.chunks;
  }
  let sequence = sequences[index];
  let first_query = sequence.x;
  let queries = sequence.y;
  let first_key = sequence.z;
  let keys = sequence.w;
  var length = keys;
  if (CHUNKED == 1u) {
    length = chunk_length(keys);
  }
  let rows_each = LANES / HEADS;
  if (group.x * rows_each >= queries || (APART == 1u && chunk * length >= keys)) {
    return;
  }
  let kv_head = group.y * HEADS / (params.heads / params.kv_heads);
  let head = group.y * HEADS + lane / rows_each;
  let row_units = params.kv_heads * UNITS;
  let head_start = kv_head * UNITS;
  var base = vec3<u32>(first_key * row_units + head_start, 0u, row_units);
  if (LISTED == 1u) {
    base = vec3<u32>(first_key, head_start, row_units);
  }
  let row = group.x * rows_each + lane % rows_each;
  let query_row = first_query + min(row, queries - 1u);
  let query_start = (query_row * params.heads + head) * UNITS;
  load_query8(lane, 0u, query_start);
  if (UNITS > 8u) {
    load_query8(lane, 8u, query_start);
  }
  if (UNITS > 16u) {
    load_query8(lane, 16u, query_start);
  }
  if (UNITS > 24u) {
    load_query8(lane, 24u, query_start);
  }
  var shadow = vec2<u32>(0u);
  if (SHADOWS > 0u) {
    shadow = shadows[query_row];
  }
  if (SHADOWS > 0u && LISTED == 1u) {
    shadow.y = key_list[shadow.y];
  }
  if (SHADOWS > 0u) {
    shadow = vec2<u32>(shadow.x, shadow.y * row_units + kv_head * UNITS);
  }
  let y_at = (first_query + row) * params.y_stride + head * params.head_dim;
  if (CHUNKED == 0u) {
    attend(lane, 0u, keys, sequence, base, shadow);
    if (row < queries) {
      store_all(y_at, Merge(false, 0.0, 1.0, total));
    }
    return;
  }
  var merged_maximum = HIDDEN;
  var merged_total = 0.0;
  for (var begin = chunk * length; begin < keys; begin += length) {
    let end = min(begin + length, keys);
    sums = array<vec4<f32>, 32>();
    attend(lane, begin, end, sequence, base, shadow);
    if (APART == 1u) {
      let tile = (index * params.row_tiles + group.x) * params.heads + head;
      let at = 4u * ((tile * params.chunks + chunk) * (UNITS + 1u) * LANES + lane % rows_each);
      store_part8(0u, at);
      if (UNITS > 8u) {
        store_part8(8u, at);
      }
      if (UNITS > 16u) {
        store_part8(16u, at);
      }
      if (UNITS > 24u) {
        store_part8(24u, at);
      }
      y[at + 4u * LANES * UNITS] = maximum;
      y[at + 4u * LANES * UNITS + 1u] = total;
      return;
    }
    var merge = Merge(begin > 0u, 0.0, 1.0, 1.0);
    if (merge.later) {
      let largest = max(merged_maximum, maximum);
      merge.before = exp(merged_maximum - largest);
      merge.own = exp(maximum - largest);
      merged_maximum = largest;
      merged_total = fma(merged_total, merge.before, total * merge.own);
    } else {
      merged_maximum = maximum;
      merged_total = total;
    }
    if (end == keys) {
      merge.divisor = merged_total;
    }
    if (row < queries) {
      store_all(y_at, merge);
    }
  }
}
