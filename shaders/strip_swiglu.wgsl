// y[row, column] = silu(sum of x[row, k] * gate[column, k]) * (sum of x[row, k] * up[column, k]): swiglu.wgsl
// on a software adapter. One workgroup makes 8 * ROW_GROUPS rows of 4 * LANES columns; see
// lib/multiply_strip.wgsl.
// The weight part holds its gate columns and behind them its up columns: [8 * blocks, 2 * columns].
// x: [rows, 8 * blocks]; y: [rows, y_stride]. Columns, where they start in y, and its stride are whole vec4.
struct Params {
  rows: u32,
  columns: u32, // feed-forward columns of this part
  blocks: u32, // inner size / 8
  y_stride: u32,
  y_column: u32, // where this part's columns start in y
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}

fn store_row(first: u32, place: u32, column: u32) {
  let row = first + place;
  let gate = near[place];
  let value = gate / (1.0 + exp(-gate)) * far[place];
  if (row < params.rows && column < params.columns) {
    y[(row * params.y_stride + params.y_column + column) / 4u] = value;
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * 8u * ROW_GROUPS;
  let column = (group.y * LANES + lane) * 4u;
  let gate = min(column, params.columns - 4u);
  multiply_strip(
    lane, first, params.rows, vec2<u32>(gate, gate + params.columns), 2u * params.columns, params.blocks,
  );
  store_row(first, 0u, column);
  store_row(first, 1u, column);
  store_row(first, 2u, column);
  store_row(first, 3u, column);
  store_row(first, 4u, column);
  store_row(first, 5u, column);
  store_row(first, 6u, column);
  store_row(first, 7u, column);
  if (ROW_GROUPS == 2u) {
    store_row(first, 8u, column);
    store_row(first, 9u, column);
    store_row(first, 10u, column);
    store_row(first, 11u, column);
    store_row(first, 12u, column);
    store_row(first, 13u, column);
    store_row(first, 14u, column);
    store_row(first, 15u, column);
  }
}
