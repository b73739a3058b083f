// y[row, column] = the sums of all splits, in their order, y's old value first when ADD is 1: as
// matmul.wgsl adds them up where one workgroup makes all splits in turn.
// sums: [SPLITS, rows, columns]; y: [rows, y_stride].
struct Params {
  rows: u32,
  columns: u32,
  y_stride: u32,
  y_column: u32, // where the columns start in y
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

override ADD: u32 = 0u;
override SPLITS: u32 = 4u;

@compute @workgroup_size(128)
fn main(@builtin(global_invocation_id) place: vec3<u32>) {
  if (place.x >= params.columns) {
    return;
  }
  let i = place.y * params.columns + place.x;
  let at = place.y * params.y_stride + params.y_column + place.x;
  let split_stride = params.rows * params.columns;
  var total = sums[i];
  if (ADD == 1u) {
    total = y[at] + total;
  }
  for (var split = 1u; split < SPLITS; split++) {
    total += sums[split * split_stride + i];
  }
  y[at] = total;
}
