// The gated half of the feed-forward layer on matrix units; swiglu.wgsl does the same without them:
// y[row, column] = silu(sum of x[row, k] * gate[column, k]) * (sum of x[row, k] * up[column, k]).
// The weight part holds its gate columns, then its up columns: [8 * blocks, 2 * columns].
// x: as matrix_rows.wgsl makes it; y: [rows, y_stride]. silu(z) = z / (1 + exp(-z)).
struct Params {
  rows: u32,
  columns: u32, // feed-forward columns of this part
  blocks: u32, // inner size / 8
  y_stride: u32,
  y_column: u32, // where this part's columns start in y
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn store(subgroup: u32, lane: u32, row: u32, column: u32, gate: Product, up: Product) {
  let gates = take(subgroup, lane, gate);
  let ups = take(subgroup, lane, up);
  for (var j = 0u; j < TAKEN; j++) {
    let place = element(lane, j);
    let to = vec2<u32>(row, column) + place;
    if (place.x < MATRIX_ROWS && to.x < params.rows && to.y < params.columns) {
      let at = to.x * params.y_stride + params.y_column + to.y;
      y[at] = gates[j] / (1.0 + exp(-gates[j])) * ups[j];
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
