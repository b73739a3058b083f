// y[row, column] = sum over k of x[row, k] * w[column, k], plus y's old value when ADD is 1.
// x: [rows, 8 * blocks], zero beyond the matrix's inner size; y: [rows, y_stride].
// One workgroup makes 8 * ROW_GROUPS rows of 128 columns; see lib/tile.wgsl. Splits of the inner
// dimension are added up in their order, y's old value first, whoever makes them: lanes of the
// workgroup, the workgroup in turn, or other workgroups (group.z), each into its own part of y, which
// add_splits.wgsl adds up.
struct Params {
  rows: u32,
  columns: u32, // width of this part of the weight matrix
  blocks: u32, // inner size / 8
  y_stride: u32,
  y_column: u32, // where this part's columns start in y
  split_stride: u32, // from the sums of a split to those of the next, where others make it
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<RowUnit>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

override ADD: u32 = 0u;
override TURNS: u32 = 1u; // splits that a workgroup makes in turn

var<private> adds: bool; // whether sums join what y holds
var<private> start: u32; // where in y the split's sums go

fn x_at(i: u32) -> RowUnit {
  return x[i];
}

fn store(row: u32, column: u32, value: f32) {
  if (row < params.rows && column < params.columns) {
    let at = start + row * params.y_stride + column;
    if (adds) {
      y[at] = y[at] + value;
    } else {
      y[at] = value;
    }
  }
}

fn store_row(row: u32, column: u32, value: vec4<f32>) {
  store(row, column, value.x);
  store(row, column + LANES, value.y);
  store(row, column + 2u * LANES, value.z);
  store(row, column + 3u * LANES, value.w);
}

fn multiply_split(thread: u32, first: u32, column: u32, own: u32) {
  let rows = rows_of_tile(thread, first, params.rows - 1u);
  let at = column + vec4<u32>(0u, LANES, 2u * LANES, 3u * LANES);
  multiply_tile(
    thread, rows, min(at, vec4<u32>(params.columns - 1u)), params.columns, params.blocks, own,
  );
  combine_splits(thread);
  if (thread < LANES) {
    store_tile(first, column);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * 8u * ROW_GROUPS;
  let column = group.y * 4u * LANES + thread % LANES;
  adds = ADD == 1u;
  start = params.y_column + group.z * params.split_stride;
  if (TURNS == 1u && !(AHEAD && LOOPED)) {
    multiply_split(thread, first, column, group.z);
    return;
  }
  for (var turn = 0u; turn < TURNS; turn++) {
    clear_sums();
    multiply_split(thread, first, column, group.z * TURNS + turn);
    adds = true;
  }
}
