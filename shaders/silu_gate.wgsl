// act = silu(gate) * up, silu(z) = z / (1 + exp(-z)): LLaDA's feed-forward layer between its projections.
// gate, up, act: [units] of four numbers. One lane a unit.
struct Params {
  units: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> act: array<vec4<f32>>;

const LANES = 64u;
const ACROSS = 32768u; // workgroups in x

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ACROSS + group.x) * LANES + lane;
  if (i >= params.units) {
    return;
  }
  let z = gate[i];
  act[i] = z / (1.0 + exp(-z)) * up[i];
}
