// Like multiply_add.wgsl, in packed int8: chains x -> dot product of the four codes of x with those
// of factor; the bits of the result are the next four codes. There are 12 chains of 8 * rounds
// steps, with 8 operations per step.
// start: [lanes]; result[i] = sum of a lane's chains, wrapping.
struct Params {
  rounds: u32,
  factor: u32, // four codes
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> start: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<u32>;

fn step(x: u32) -> u32 {
  return u32(dot4I8Packed(x, params.factor));
}

fn steps(x: vec4<u32>) -> vec4<u32> {
  let once = vec4<u32>(step(x.x), step(x.y), step(x.z), step(x.w));
  return vec4<u32>(step(once.x), step(once.y), step(once.z), step(once.w));
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var x = vec4<u32>(start[id.x]) + vec4<u32>(0u, 1u, 2u, 3u);
  var y = x + 4u;
  var z = x + 8u;
  for (var round = 0u; round < params.rounds; round++) {
    x = steps(steps(steps(steps(x))));
    y = steps(steps(steps(steps(y))));
    z = steps(steps(steps(steps(z))));
  }
  let sum = x + y + z;
  result[id.x] = sum.x + sum.y + sum.z + sum.w;
}
