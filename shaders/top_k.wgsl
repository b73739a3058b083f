// Finds the k largest logits of each row, largest first, ties to the lower token. There is one
// workgroup per row. Each round finds the best token after the previous one, so that logits need
// not be changed.
// logits: [rows (times 2), columns]; found: [rows, k] of (token, bits of its logit).
// GUIDED: as in head.wgsl.
struct Params {
  columns: u32,
  k: u32,
  guidance: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> found: array<vec2<u32>>;

override GUIDED: u32 = 0u;

const LANES = 32u;
const LOWEST = -3.0e38;
const NO_TOKEN = 0xffffffffu;

var<workgroup> best_logits: array<f32, LANES>;
var<workgroup> best_tokens: array<u32, LANES>;

fn logit(row: u32, token: u32) -> f32 {
  if (GUIDED == 1u) {
    let conditional = logits[2u * row * params.columns + token];
    let unconditional = logits[(2u * row + 1u) * params.columns + token];
    return unconditional + params.guidance * (conditional - unconditional);
  }
  return logits[row * params.columns + token];
}

// Whether (a, a_token) is ordered before (b, b_token).
fn before(a: f32, a_token: u32, b: f32, b_token: u32) -> bool {
  return a > b || (a == b && a_token < b_token);
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var last = -LOWEST;
  var last_token = 0u;
  // Not from 0 to the parameter: a software adapter's driver would compile that anew for each call.
  let start = group.x;
  for (var at = start; at < start + params.k; at++) {
    let round = at - start;
    var best = LOWEST;
    var best_token = NO_TOKEN;
    for (var token = lane; token < params.columns; token += LANES) {
      let value = logit(group.x, token);
      let remains = round == 0u || before(last, last_token, value, token);
      if (remains && before(value, token, best, best_token)) {
        best = value;
        best_token = token;
      }
    }
    workgroupBarrier();
    best_logits[lane] = best;
    best_tokens[lane] = best_token;
    workgroupBarrier();
    last = LOWEST;
    last_token = NO_TOKEN;
    for (var i = 0u; i < LANES; i++) {
      if (before(best_logits[i], best_tokens[i], last, last_token)) {
        last = best_logits[i];
        last_token = best_tokens[i];
      }
    }
    if (lane == 0u) {
      found[group.x * params.k + round] = vec2<u32>(last_token, bitcast<u32>(last));
    }
  }
}
