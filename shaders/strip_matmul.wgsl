// y[row, column] = sum over k of x[row, k] * w[column, k], plus y's old value when ADD is 1: matmul.wgsl on
// a software adapter. One workgroup makes eight rows of 8 * LANES columns; see lib/multiply_strip.wgsl.
// x: [rows, 8 * blocks]; y: [rows, y_stride]. Columns, where they start in y, and its stride are whole vec4.
struct Params {
  rows: u32,
  columns: u32, // width of this part of the weight matrix
  blocks: u32, // inner size / 8
  y_stride: u32,
  y_column: u32, // where this part's columns start in y
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

override ADD: u32 = 0u;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}

fn store_four(row: u32, column: u32, value: vec4<f32>) {
  if (row < params.rows && column < params.columns) {
    let at = (row * params.y_stride + params.y_column + column) / 4u;
    if (ADD == 1u) {
      y[at] = y[at] + value;
    } else {
      y[at] = value;
    }
  }
}

fn store_row(row: u32, place: u32, column: u32) {
  store_four(row + place, column, near[place]);
  store_four(row + place, column + 4u, far[place]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * 8u;
  let column = (group.y * LANES + lane) * 8u;
  let columns = min(vec2<u32>(column, column + 4u), vec2<u32>(params.columns - 4u));
  multiply_strip(lane, first, params.rows, columns, params.columns, params.blocks);
  store_row(first, 0u, column);
  store_row(first, 1u, column);
  store_row(first, 2u, column);
  store_row(first, 3u, column);
  store_row(first, 4u, column);
  store_row(first, 5u, column);
  store_row(first, 6u, column);
  store_row(first, 7u, column);
}
