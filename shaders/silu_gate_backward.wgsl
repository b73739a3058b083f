// The gradient of act = silu(gate) * up, with s = 1 / (1 + exp(-gate)):
//   d_gate = d_act * up * s * (1 + gate * (1 - s)),  d_up = d_act * gate * s.
// All are [units] of four numbers. One lane a unit.
struct Params {
  units: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_act: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_gate: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_up: array<vec4<f32>>;

const LANES = 64u;
const ACROSS = 32768u; // workgroups in x

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ACROSS + group.x) * LANES + lane;
  if (i >= params.units) {
    return;
  }
  let z = gate[i];
  let d = d_act[i];
  let s = 1.0 / (1.0 + exp(-z));
  d_gate[i] = d * up[i] * s * fma(z, 1.0 - s, vec4<f32>(1.0));
  d_up[i] = d * z * s;
}
