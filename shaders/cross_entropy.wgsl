// Cross-entropy of each row's target, and its gradient in place of the logits, one workgroup a row:
// loss = weight (logsumexp(l) - l[target]); l[j] becomes weight (softmax(l)[j] - (j == target)).
// logits: [rows, stride], 0 beyond `columns` afterwards; row r is entry first_row + r of the others:
// targets, weights, losses: [entries]; correct: [entries], 1 where the first largest logit is the
// target's.
struct Params {
  columns: u32,
  stride: u32,
  first_row: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> correct: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let entry = params.first_row + group.x;
  let weight = weights[entry];
  let target_token = min(targets[entry], params.columns - 1u);
  let target_logit = row_logit(group.x, target_token);
  let row = row_softmax(group.x, lane);
  // Every lane has read before any lane writes.
  storageBarrier();
  let is_peak = target_token == row.place;
  let scale = weight / (1.0 + row.others);
  let least = select(exp(-min(row.peak - target_logit, FAR)) * scale - weight, -row.others * scale, is_peak);
  let start = group.x * params.stride / 4u;
  let quads = params.stride / 4u;
  for (var first = lane; first < quads; first += HELD * LANES) {
    var held: array<vec4<f32>, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, quads - 1u)];
    }
    for (var i = 0u; i < HELD; i++) {
      let quad = first + i * LANES;
      let tokens = tokens_of(quad);
      var gradient = scale * below(row.peak, held[i]);
      gradient = select(gradient, vec4<f32>(least), tokens == vec4<u32>(target_token));
      if (quad < quads) {
        logits[start + quad] = select(vec4<f32>(0.0), gradient, tokens < vec4<u32>(params.columns));
      }
    }
  }
  if (lane == 0u) {
    losses[entry] = weight * (row.peak - target_logit + log1p(row.others));
    correct[entry] = select(0u, 1u, is_peak);
  }
}
