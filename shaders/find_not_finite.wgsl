// Whether weights, as they are read from disk, hold an infinity or what is no number.
// rows: words of one f32, or of two f16 or bf16 each; found: [tensors], 1 where a weight is not finite,
// else left as it is. An exponent of ones alone carries into the sign when its lowest bit is added.
struct Params {
  words: u32, // those behind the last in `rows` may hold anything
  last: u32, // bits of the last word that hold weights
  tensor: u32, // of `found`
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;

override SOURCE: u32 = 2u; // of the weights: 0 f32, 1 f16, 2 bf16

const F32 = 0u;
const F16 = 1u;

@compute @workgroup_size(256)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  // Bits of the exponents in a word, and the lowest bit of each.
  var exponents = 0x7f807f80u;
  var lowest = 0x00800080u;
  if (SOURCE == F32) {
    exponents = 0x7f800000u;
    lowest = 0x00800000u;
  } else if (SOURCE == F16) {
    exponents = 0x7c007c00u;
    lowest = 0x04000400u;
  }
  var carries = vec4<u32>(0u);
  let whole = (params.words - 1u) / 4u;
  for (var i = id.x; i < whole; i += 256u * workgroups.x) {
    carries |= (rows[i] & vec4<u32>(exponents)) + lowest;
  }
  if (id.x == 0u) {
    // Up to four words are left, of the last perhaps half: what follows it is no weight.
    for (var i = 4u * whole; i + 1u < params.words; i++) {
      carries.x |= (rows[i / 4u][i % 4u] & exponents) + lowest;
    }
    let end = params.words - 1u;
    carries.x |= (rows[end / 4u][end % 4u] & params.last & exponents) + lowest;
  }
  // Many may write, all of them the same. A sum of f32 leaves bit 15 clear.
  if (any((carries & vec4<u32>(0x80008000u)) != vec4<u32>(0u))) {
    found[params.tensor] = 1u;
  }
}
