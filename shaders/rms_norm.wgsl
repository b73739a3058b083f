// y[i] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, r = row_index[i] if GATHER is 1, else i.
// x: [rows, stride]; y: [workgroups, stride]; the mean runs over `columns`. One workgroup a row.
struct Params {
  columns: u32,
  stride: u32,
  rows: u32, // rows of x
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> row_index: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

override GATHER: u32 = 0u;

override LANES: u32 = 32u;
var<workgroup> partial: array<f32, LANES>;
var<workgroup> row_scale: f32;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var row = group.x;
  if (GATHER == 1u) {
    row = min(row_index[group.x], params.rows - 1u);
  }
  let from_start = row * params.stride;
  var sum = 0.0;
  for (var column = lane; column < params.columns; column += LANES) {
    let value = x[from_start + column];
    sum = fma(value, value, sum);
  }
  partial[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0.0;
    for (var i = 0u; i < LANES; i++) {
      total += partial[i];
    }
    row_scale = 1.0 / sqrt(total / f32(params.columns) + params.epsilon);
  }
  workgroupBarrier();
  let scale = row_scale;
  let to_start = group.x * params.stride;
  for (var column = lane; column < params.columns; column += LANES) {
    y[to_start + column] = x[from_start + column] * scale * weight[column];
  }
}
