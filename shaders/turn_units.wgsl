// y[unit, row] = x[row, unit], units of four numbers: lanes that have a row each then read neighbours.
// x: [rows, units]; y: [units, rows]. One workgroup 32 rows of eight units.
struct Params {
  rows: u32,
  units: u32, // of a row
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x * 32u + lane;
  if (row >= params.rows) {
    return;
  }
  let first = group.y * 8u;
  let end = min(first + 8u, params.units);
  for (var unit = first; unit < end; unit++) {
    y[unit * params.rows + row] = x[row * params.units + unit];
  }
}
