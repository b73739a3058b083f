// AdamW with decoupled decay (Loshchilov and Hutter 2019, algorithm 2), on f32 weights:
//   g = factor gradient; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2
//   weight = (1 - rate decay) weight - rate (m correction1) / (sqrt(v correction2) + epsilon)
// with correction_i = 1 / (1 - beta_i^step), and factor the third number of `norm` (finish_norm.wgsl).
// weight, gradient, m, v: [elements], with zeros behind them up to a whole group of four, which stay
// zeros. CLEAR leaves the gradient 0, for the next step to add to.
struct Params {
  elements: u32,
  rate: f32,
  kept: f32, // 1 - rate decay
  beta1: f32,
  beta2: f32,
  rest1: f32, // 1 - beta1, rounded once
  rest2: f32,
  correction1: f32,
  correction2: f32,
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> norm: array<f32>;

override CLEAR: u32 = 0u;

@compute @workgroup_size(256)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  let quads = (params.elements + 3u) / 4u;
  for (var i = id.x; i < quads; i += 256u * workgroups.x) {
    let g = norm[2] * gradient[i];
    let mean = params.beta1 * m[i] + params.rest1 * g;
    let spread = params.beta2 * v[i] + params.rest2 * g * g;
    let root = sqrt(params.correction2 * spread) + params.epsilon;
    weight[i] = params.kept * weight[i] - params.rate * params.correction1 * mean / root;
    m[i] = mean;
    v[i] = spread;
    if (CLEAR == 1u) {
      gradient[i] = vec4<f32>(0.0);
    }
  }
}
