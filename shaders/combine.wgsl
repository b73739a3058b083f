// y = own y + other x, in place. FACTOR_OF says which of the two is also multiplied by a number that
// was computed on the GPU, norm[FACTOR] (finish_norm.wgsl): 0 neither, 1 own, 2 other.
// x, y: [elements], with zeros behind them up to a whole group of four.
struct Params {
  elements: u32,
  own: f32,
  other: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> norm: array<f32>;

override FACTOR_OF: u32 = 0u;
override FACTOR: u32 = 2u;

@compute @workgroup_size(256)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  var own = params.own;
  var other = params.other;
  if (FACTOR_OF == 1u) {
    own *= norm[FACTOR];
  } else if (FACTOR_OF == 2u) {
    other *= norm[FACTOR];
  }
  let quads = (params.elements + 3u) / 4u;
  for (var i = id.x; i < quads; i += 256u * workgroups.x) {
    y[i] = own * y[i] + other * x[i];
  }
}
