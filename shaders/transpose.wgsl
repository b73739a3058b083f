// y[column, row] = x[row, column]. x: [rows, 4 * x_units]; y: [4 * x_units, 4 * y_units], zero where
// x has no row. A lane turns 4 x 4 numbers, a workgroup 32 x 32.
struct Params {
  rows: u32,
  x_units: u32,
  y_units: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn unit_of(row: u32, unit: u32) -> vec4<f32> {
  return select(
    vec4<f32>(), x[min(row, params.rows - 1u) * params.x_units + unit], row < params.rows,
  );
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row_unit = 8u * group.x + lane / 8u;
  let unit = 8u * group.y + lane % 8u;
  if (row_unit >= params.y_units || unit >= params.x_units) {
    return;
  }
  let row = 4u * row_unit;
  let p = unit_of(row, unit);
  let q = unit_of(row + 1u, unit);
  let r = unit_of(row + 2u, unit);
  let s = unit_of(row + 3u, unit);
  let at = 4u * unit * params.y_units + row_unit;
  y[at] = vec4<f32>(p.x, q.x, r.x, s.x);
  y[at + params.y_units] = vec4<f32>(p.y, q.y, r.y, s.y);
  y[at + 2u * params.y_units] = vec4<f32>(p.z, q.z, r.z, s.z);
  y[at + 3u * params.y_units] = vec4<f32>(p.w, q.w, r.w, s.w);
}
