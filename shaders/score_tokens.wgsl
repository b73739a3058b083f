// Log-softmax of each row's chosen token over all tokens of the row, with one workgroup per row:
// with m the largest logit, at token i, and s = sum of exp(l - m) over all tokens but i,
// log p = l - m - log1p(s). A row's other tokens take the same log1p(s), so that all stay precise near 0.
// logits: [rows, columns]; predictions: [rows]; scores: [rows] of (log p, log1p(s)).
struct Params {
  columns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> predictions: array<Prediction>;
@group(0) @binding(3) var<storage, read_write> scores: array<vec2<f32>>;

const LANES = 64u;
const LOWEST = -3.0e38;
const FAR = 200.0;

var<workgroup> peaks: array<f32, LANES>;
var<workgroup> places: array<u32, LANES>;
var<workgroup> sums: array<f32, LANES>;

// ln(1 + s), s >= 0: log() may be off by 2^-21 near 1.
fn log1p(s: f32) -> f32 {
  if (s < 0.01) {
    return s * (1.0 - s * (0.5 - s * (1.0 / 3.0 - s * 0.25)));
  }
  return log(1.0 + s);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * params.columns;
  var peak = LOWEST;
  var place = 0xffffffffu;
  for (var token = lane; token < params.columns; token += LANES) {
    let logit = logits[first + token];
    if (logit > peak) {
      peak = logit;
      place = token;
    }
  }
  peaks[lane] = peak;
  places[lane] = place;
  workgroupBarrier();
  for (var i = 0u; i < LANES; i++) {
    if (peaks[i] > peak || (peaks[i] == peak && places[i] < place)) {
      peak = peaks[i];
      place = places[i];
    }
  }
  var others = 0.0;
  for (var token = lane; token < params.columns; token += LANES) {
    if (token != place) {
      others += exp(-min(peak - logits[first + token], FAR));
    }
  }
  sums[lane] = others;
  workgroupBarrier();
  if (lane > 0u) {
    return;
  }
  others = 0.0;
  for (var i = 0u; i < LANES; i++) {
    others += sums[i];
  }
  let rest = log1p(others);
  // A row of numbers has a choice; of NaN it has none, which the host notices by the token.
  let token = min(predictions[group.x].token, params.columns - 1u);
  scores[group.x] = vec2<f32>(logits[first + token] - peak - rest, rest);
}
