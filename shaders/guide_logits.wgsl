// Logits with classifier-free guidance, as in head.wgsl:
// guided = unconditional + guidance * (conditional - unconditional).
// logits: [rows, 2, columns], conditional first; guided: [rows, columns].
struct Params {
  columns: u32,
  guidance: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> guided: array<f32>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * 128u + lane;
  if (column >= params.columns) {
    return;
  }
  let conditional = logits[2u * group.y * params.columns + column];
  let unconditional = logits[(2u * group.y + 1u) * params.columns + column];
  guided[group.y * params.columns + column] =
    unconditional + params.guidance * (conditional - unconditional);
}
