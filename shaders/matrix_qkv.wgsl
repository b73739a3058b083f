// Queries, keys and values of a layer on matrix units; qkv.wgsl does the same without them.
// Computes x W^T, splits it into heads, and rotates queries and keys.
// Channels i and i + head_dim / 2 of a head are a pair (a, b), which becomes
// (a cos - b sin, b cos + a sin) at the row's position (Su et al. 2021, RoFormer, eq. 34).
// The weight part holds the first channels of its pairs, then the second ones:
// [8 * blocks, 2 * columns], heads of queries, then of keys, then of values.
// x: as matrix_rows.wgsl makes it; rotation: [positions, head_dim / 2] of (cos, sin);
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
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> row_position: array<u32>;
@group(0) @binding(3) var<storage, read> rotation: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k: array<Element>;
@group(0) @binding(6) var<storage, read_write> v: array<Element>;

fn store(subgroup: u32, lane: u32, row: u32, column: u32, first: Product, second: Product) {
  let half = params.head_dim / 2u;
  let firsts = take(subgroup, lane, first);
  let seconds = take(subgroup, lane, second);
  for (var j = 0u; j < TAKEN; j++) {
    let place = element(lane, j);
    let to = vec2<u32>(row, column) + place;
    if (place.x < MATRIX_ROWS && to.x < params.rows && to.y < params.columns) {
      let pair = params.first_pair + to.y;
      store_pair(to.x, pair / half, pair % half, vec2<f32>(firsts[j], seconds[j]));
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let sums = multiply_matrices(group, thread, subgroup);
  let upper = group.x * TILE_ROWS + subgroup_row(subgroup);
  let lower = upper + MATRIX_ROWS;
  let column = (group.y * TILE_COLUMNS + subgroup_column(subgroup)) / 2u;
  if (WIDE == 4u) {
    store(subgroup, lane, upper, column, sums[0], sums[2]);
    store(subgroup, lane, upper, column + MATRIX_COLUMNS, sums[1], sums[3]);
    store(subgroup, lane, lower, column, sums[4], sums[6]);
    store(subgroup, lane, lower, column + MATRIX_COLUMNS, sums[5], sums[7]);
  } else {
    store(subgroup, lane, upper, column, sums[0], sums[1]);
    store(subgroup, lane, lower, column, sums[4], sums[5]);
  }
}
