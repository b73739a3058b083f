// y[row, column] = silu(sum of x[row, k] * gate[column, k]) * (sum of x[row, k] * up[column, k]).
// The weight part holds its gate columns and behind them its up columns: [8 * blocks, 2 * columns].
// x: [rows, 8 * blocks]; y: [rows, y_stride]. silu(z) = z / (1 + exp(-z)); LLaDA's feed-forward layer.
struct Params {
  rows: u32,
  columns: u32, // feed-forward columns of this part
  blocks: u32, // inner size / 8
  y_stride: u32,
  y_column: u32, // where this part's columns start in y
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<RowUnit>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn x_at(i: u32) -> RowUnit {
  return x[i];
}

fn store_row(row: u32, column: u32, value: vec4<f32>) {
  if (row >= params.rows) {
    return;
  }
  let gated = value.xy / (1.0 + exp(-value.xy)) * value.zw;
  let at = row * params.y_stride + params.y_column + column;
  if (column < params.columns) {
    y[at] = gated.x;
  }
  if (column + LANES < params.columns) {
    y[at + LANES] = gated.y;
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let first = group.x * 8u * ROW_GROUPS;
  let rows = rows_of_tile(thread, first, params.rows - 1u);
  let column = group.y * 2u * LANES + lane;
  let gate = min(vec2<u32>(column, column + LANES), vec2<u32>(params.columns - 1u));
  multiply_tile(
    thread, rows, vec4<u32>(gate, gate + params.columns), 2u * params.columns, params.blocks,
    0u,
  );
  combine_splits(thread);
  if (thread < LANES) {
    store_tile(first, column);
  }
}
