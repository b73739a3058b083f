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
  key_rows: u32, // LISTED: where row_position lists, for each row of x, its row of k and v
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<RowUnit>;
@group(0) @binding(2) var<storage, read> row_position: array<u32>;
@group(0) @binding(3) var<storage, read> rotation: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k: array<Element>;
@group(0) @binding(6) var<storage, read_write> v: array<Element>;

fn x_at(i: u32) -> RowUnit {
  return x[i];
}

// Where a lane's two pairs go: components are the pairs. Found once: a division is dear.
struct Places {
  head: vec2<u32>,
  channel: vec2<u32>,
}
var<private> places: Places;

// `value`: of the pair at `column` and of the one LANES further, their first channels, then the second.
fn store_row(row: u32, column: u32, value: vec4<f32>) {
  if (row >= params.rows) {
    return;
  }
  if (column < params.columns) {
    store_pair(row, places.head.x, places.channel.x, value.xz);
  }
  if (column + LANES < params.columns) {
    store_pair(row, places.head.y, places.channel.y, value.yw);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let first = group.x * 8u * ROW_GROUPS;
  let rows = rows_of_tile(thread, first, params.rows - 1u);
  let column = group.y * 2u * LANES + lane;
  let pairs = min(vec2<u32>(column, column + LANES), vec2<u32>(params.columns - 1u));
  multiply_tile(
    thread, rows, vec4<u32>(pairs, pairs + params.columns), 2u * params.columns, params.blocks,
    0u,
  );
  combine_splits(thread);
  if (thread < LANES) {
    let half = params.head_dim / 2u;
    let pair = params.first_pair + pairs;
    places = Places(pair / half, pair % half);
    store_tile(first, column);
  }
}
