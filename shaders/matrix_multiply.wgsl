// Linear layers on matrix units; matmul.wgsl does the same without them:
// y[row, column] = sum over k of x[row, k] * w[column, k], plus y's old value when ADD is 1.
// x: as matrix_rows.wgsl makes it; y: [rows, y_stride].
// One workgroup makes a tile of TILE_ROWS x TILE_COLUMNS; see lib/matrix_tile.wgsl.
struct Params {
  rows: u32,
  columns: u32, // width of this part of the weight matrix
  blocks: u32, // inner size / 8
  y_stride: u32,
  y_column: u32, // where this part's columns start in y
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

override ADD: u32 = 0u;

fn store(subgroup: u32, lane: u32, row: u32, column: u32, product: Product) {
  let values = take(subgroup, lane, product);
  for (var j = 0u; j < TAKEN; j++) {
    let place = element(lane, j);
    let to = vec2<u32>(row, column) + place;
    if (place.x < MATRIX_ROWS && to.x < params.rows && to.y < params.columns) {
      let at = to.x * params.y_stride + params.y_column + to.y;
      if (ADD == 1u) {
        y[at] = y[at] + values[j];
      } else {
        y[at] = values[j];
      }
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
  let column = group.y * TILE_COLUMNS + subgroup_column(subgroup);
  store(subgroup, lane, upper, column, sums[0]);
  store(subgroup, lane, lower, column, sums[4]);
  if (WIDE >= 2u) {
    store(subgroup, lane, upper, column + MATRIX_COLUMNS, sums[1]);
    store(subgroup, lane, lower, column + MATRIX_COLUMNS, sums[5]);
  }
  if (WIDE == 4u) {
    store(subgroup, lane, upper, column + 2u * MATRIX_COLUMNS, sums[2]);
    store(subgroup, lane, upper, column + 3u * MATRIX_COLUMNS, sums[3]);
    store(subgroup, lane, lower, column + 2u * MATRIX_COLUMNS, sums[6]);
    store(subgroup, lane, lower, column + 3u * MATRIX_COLUMNS, sums[7]);
  }
}
