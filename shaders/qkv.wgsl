// Queries, keys and values of a layer: x W^T, split into heads, queries and keys rotated on the way.
// Channels i and i + head_dim / 2 of a head are a pair (a, b), which becomes
// (a cos - b sin, b cos + a sin) at the row's position (Su et al. 2021, RoFormer, eq. 34).
// The weight part holds the first channels of its pairs and behind them the second ones:
// [8 * blocks, 2 * columns], heads of queries, then of keys, then of values.
// x: [rows, 8 * blocks]; rotation: [positions, head_dim / 2] of (cos, sin);
// q: [queries, heads, head_stride]; k, v: [keys, kv_heads, head_stride].
struct Params {
  rows: u32,
  columns: u32, // pairs of this part
  blocks: u32, // inner size / 8
  first_pair: u32,
  first_query: u32, // row of q that the first row of x becomes
  first_key: u32, // row of k, v and row_position, likewise
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  head_stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> row_position: array<u32>;
@group(0) @binding(3) var<storage, read> rotation: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}

// Where a lane's two pairs go: components are the pairs.
struct Places {
  inside: vec2<bool>,
  head: vec2<u32>,
  channel: vec2<u32>,
}

fn store_pair(row: u32, head: u32, channel: u32, pair: vec2<f32>) {
  let half = params.head_dim / 2u;
  let key = params.first_key + row;
  let turn = rotation[row_position[key] * half + channel];
  let rotated =
    vec2<f32>(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
  if (head < params.heads) {
    let query = params.first_query + row;
    let at = (query * params.heads + head) * params.head_stride + channel;
    q[at] = rotated.x;
    q[at + half] = rotated.y;
  } else if (head < params.heads + params.kv_heads) {
    let kv_head = head - params.heads;
    let at = (key * params.kv_heads + kv_head) * params.head_stride + channel;
    k[at] = rotated.x;
    k[at + half] = rotated.y;
  } else {
    let kv_head = head - params.heads - params.kv_heads;
    let at = (key * params.kv_heads + kv_head) * params.head_stride + channel;
    v[at] = pair.x;
    v[at + half] = pair.y;
  }
}

fn store_row(row: u32, places: Places, value: vec4<f32>) {
  if (row >= params.rows) {
    return;
  }
  if (places.inside.x) {
    store_pair(row, places.head.x, places.channel.x, value.xz);
  }
  if (places.inside.y) {
    store_pair(row, places.head.y, places.channel.y, value.yw);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let first = group.x * 8u * ROW_GROUPS;
  let brought = first + row_of_lane(thread);
  let rows = min(vec2<u32>(brought, brought + 8u), vec2<u32>(params.rows - 1u));
  let column = vec2<u32>(0u, LANES) + group.y * 2u * LANES + lane;
  let pairs = min(column, vec2<u32>(params.columns - 1u));
  multiply_tile(
    thread, rows, vec4<u32>(pairs, pairs + params.columns), 2u * params.columns, params.blocks,
  );
  combine_splits(thread);
  if (thread >= LANES) {
    return;
  }
  let half = params.head_dim / 2u;
  let pair = params.first_pair + pairs;
  let places = Places(column < vec2<u32>(params.columns), pair / half, pair % half);
  store_row(first, places, sums[0]);
  store_row(first + 1u, places, sums[1]);
  store_row(first + 2u, places, sums[2]);
  store_row(first + 3u, places, sums[3]);
  store_row(first + 4u, places, sums[4]);
  store_row(first + 5u, places, sums[5]);
  store_row(first + 6u, places, sums[6]);
  store_row(first + 7u, places, sums[7]);
  if (ROW_GROUPS == 2u) {
    store_row(first + 8u, places, sums[8]);
    store_row(first + 9u, places, sums[9]);
    store_row(first + 10u, places, sums[10]);
    store_row(first + 11u, places, sums[11]);
    store_row(first + 12u, places, sums[12]);
    store_row(first + 13u, places, sums[13]);
    store_row(first + 14u, places, sums[14]);
    store_row(first + 15u, places, sums[15]);
  }
}
