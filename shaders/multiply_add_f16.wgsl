enable f16;
// Like multiply_add.wgsl, in f16: 12 chains x -> x * a + b of four components, 8 * rounds steps
// each.
struct Params {
  rounds: u32,
  a: f32,
  b: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> start: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

fn four_steps(x: vec4<f16>, a: vec4<f16>, b: vec4<f16>) -> vec4<f16> {
  return fma(fma(fma(fma(x, a, b), a, b), a, b), a, b);
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = vec4<f16>(f16(params.a));
  let b = vec4<f16>(f16(params.b));
  var x = vec4<f16>(f16(start[id.x]));
  var y = x + 1.0h;
  var z = x + 2.0h;
  for (var round = 0u; round < params.rounds; round++) {
    x = four_steps(x, a, b);
    y = four_steps(y, a, b);
    z = four_steps(z, a, b);
    x = four_steps(x, a, b);
    y = four_steps(y, a, b);
    z = four_steps(z, a, b);
  }
  let sum = vec4<f32>(x) + vec4<f32>(y) + vec4<f32>(z);
  result[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
