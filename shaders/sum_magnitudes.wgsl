// sums[column] = sum over rows of |x[row, column]|; with ADD added to what sums holds.
// x: [rows, stride]; sums: [columns]. A lane a column, eight rows at a time in pairs, so that their
// loads are under way together and the sum of many rows rounds less often; the order is fixed.
struct Params {
  rows: u32, // at least one
  columns: u32,
  stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

override LANES: u32 = 64u;
override ADD: u32 = 0u;

fn pair(row: u32, column: u32) -> f32 {
  let last = params.rows - 1u;
  let a = abs(x[min(row, last) * params.stride + column]);
  let b = abs(x[min(row + 1u, last) * params.stride + column]);
  return select(0.0, a, row <= last) + select(0.0, b, row + 1u <= last);
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let column = thread.x;
  if (column >= params.columns) {
    return;
  }
  var sum = 0.0;
  for (var row = 0u; row < params.rows; row += 8u) {
    let first = pair(row, column) + pair(row + 2u, column);
    sum += first + (pair(row + 4u, column) + pair(row + 6u, column));
  }
  if (ADD == 1u) {
    sum += sums[column];
  }
  sums[column] = sum;
}
