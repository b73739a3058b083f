// Channels i and i + head_dim / 2 of a head are a pair (a, b), which becomes
// (a cos - b sin, b cos + a sin) at the row's position (Su et al. 2021, RoFormer, eq. 34), in place.
// With direction -1 the angle is the opposite one: a rotation's inverse, and its gradient.
// x: [rows, stride], its heads head_stride apart; positions: [rows]; rotation: [positions, head_dim / 2] of
// (cos, sin). One lane a pair.
struct Params {
  pairs: u32, // of a row: heads * head_dim / 2
  stride: u32,
  direction: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> rotation: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

// A division by what is known while compiling is cheap.
override HALF: u32 = 64u; // head_dim / 2
override HEAD_STRIDE: u32 = 128u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let pair = group.x * 64u + lane;
  if (pair >= params.pairs) {
    return;
  }
  let row = group.y;
  let channel = pair % HALF;
  let at = row * params.stride + pair / HALF * HEAD_STRIDE + channel;
  let turn = rotation[positions[row] * HALF + channel] * vec2<f32>(1.0, params.direction);
  let a = x[at];
  let b = x[at + HALF];
  x[at] = a * turn.x - b * turn.y;
  x[at + HALF] = b * turn.x + a * turn.y;
}
