// x[row] = table[ids[row] - first_token], for the rows whose token is in this part of the table.
// ids: [rows]; table: [tokens, 4 * units]; x: [rows, 4 * units]. One lane four numbers.
struct Params {
  units: u32, // a row's
  first_token: u32,
  tokens: u32, // in this part of the table
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let unit = group.x * 32u + lane;
  let row = group.y;
  let id = ids[row];
  let token = id - params.first_token;
  if (unit >= params.units || id < params.first_token || token >= params.tokens) {
    return;
  }
  x[row * params.units + unit] = table[token * params.units + unit];
}
