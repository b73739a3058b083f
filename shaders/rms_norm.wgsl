// y[i] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, r = row_index[i] if GATHER is 1, else first_row + i.
// x: [rows, stride]; y: [workgroups, stride]; the mean runs over `columns`. One workgroup a row.
struct Params {
  columns: u32,
  stride: u32,
  rows: u32, // rows of x
  first_row: u32,
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> row_index: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

override GATHER: u32 = 0u;

override LANES: u32 = 32u;
// Lanes that add up the sums of all lanes, each those of LANES / GROUPS of them.
override GROUPS: u32 = 8u;
var<workgroup> partial: array<f32, LANES>;
var<workgroup> grouped: array<f32, GROUPS>;

// Columns that a lane keeps in registers, with their weights: they are read once, all at the same time.
const HELD = 16u;
// How many columns a row has, against what all lanes keep: 0 as many, so that nobody asks, 1 fewer, 2 more.
override FIT: u32 = 2u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var row = params.first_row + group.x;
  if (GATHER == 1u) {
    row = min(row_index[group.x], params.rows - 1u);
  }
  let from_start = row * params.stride;
  let last = params.columns - 1u;
  var held: array<f32, HELD>;
  var gain: array<f32, HELD>;
  for (var i = 0u; i < HELD; i++) {
    let column = lane + i * LANES;
    held[i] = select(0.0, x[from_start + min(column, last)], FIT == 0u || column <= last);
    gain[i] = weight[min(column, last)];
  }
  var sum = 0.0;
  for (var i = 0u; i < HELD; i++) {
    sum = fma(held[i], held[i], sum);
  }
  if (FIT == 2u) {
    for (var column = lane + HELD * LANES; column <= last; column += LANES) {
      let value = x[from_start + column];
      sum = fma(value, value, sum);
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  if (lane < GROUPS) {
    var total = 0.0;
    for (var i = lane; i < LANES; i += GROUPS) {
      total += partial[i];
    }
    grouped[lane] = total;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < GROUPS; i++) {
    total += grouped[i];
  }
  let scale = 1.0 / sqrt(total / f32(params.columns) + params.epsilon);
  let to_start = group.x * params.stride;
  for (var i = 0u; i < HELD; i++) {
    let column = lane + i * LANES;
    if (FIT == 0u || column <= last) {
      y[to_start + column] = held[i] * scale * gain[i];
    }
  }
  if (FIT == 2u) {
    for (var column = lane + HELD * LANES; column <= last; column += LANES) {
      y[to_start + column] = x[from_start + column] * scale * weight[column];
    }
  }
}
