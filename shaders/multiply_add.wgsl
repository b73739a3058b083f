// Measures the device's peak rate of multiply-adds, with which other kernels' rates are compared.
// result[i] = sum of 12 chains x -> x * a + b, 8 * rounds steps each; start: [lanes].
// A lane does 2 * 12 * 8 * rounds floating-point operations, with hardly any memory traffic. A
// round has eight steps, because a software adapter spends as much on a loop's turn as on about a
// dozen steps.
struct Params {
  rounds: u32,
  a: f32,
  b: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> start: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

fn four_steps(x: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return fma(fma(fma(fma(x, a, b), a, b), a, b), a, b);
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = vec4<f32>(params.a);
  let b = vec4<f32>(params.b);
  var x = vec4<f32>(start[id.x]);
  var y = x + 1.0;
  var z = x + 2.0;
  for (var round = 0u; round < params.rounds; round++) {
    x = four_steps(x, a, b);
    y = four_steps(y, a, b);
    z = four_steps(z, a, b);
    x = four_steps(x, a, b);
    y = four_steps(y, a, b);
    z = four_steps(z, a, b);
  }
  let sum = x + y + z;
  result[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
