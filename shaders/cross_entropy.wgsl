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
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> correct: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let entry = params.first_row + group.x;
  let weight = weights[entry];
  let start = group.x * params.stride;
  let target_token = min(targets[entry], params.columns - 1u);
  let target_logit = logits[start + target_token];
  let row = row_softmax(group.x, lane);
  // Every lane has read before any lane writes.
  storageBarrier();
  let is_peak = target_token == row.place;
  let scale = weight / (1.0 + row.others);
  let at_target = select(
    scale * below(row.peak, target_logit) - weight,
    -scale * row.others,
    is_peak,
  );
  let last = params.columns - 1u;
  for (var first = lane; first < params.stride; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      // A lane reads only what it writes itself.
      let token = first + i * LANES;
      held[i] = logits[start + select(first, token, token < params.stride)];
    }
    for (var i = 0u; i < HELD; i++) {
      let token = first + i * LANES;
      if (token < params.stride) {
        let others = select(scale * below(row.peak, held[i]), at_target, token == target_token);
        logits[start + token] = select(0.0, others, token <= last);
      }
    }
  }
  if (lane == 0u) {
    losses[entry] = weight * (row.peak - target_logit + log1p(row.others));
    correct[entry] = select(0u, 1u, is_peak);
  }
}
