// The least logit of each row that its filters let pass, with one workgroup per row. With p the
// softmax of the row without hidden tokens:
// top_k: the k-th largest logit (0: no filter).
// top_p: the largest logit such that the tokens from it up have at least the share top_p of the
// probability of those that top_k lets pass (1: no filter).
// min_p: the logit of probability min_p * largest p; log_min_p = ln(min_p).
// The cutoff is the largest of the three, and never above the row's maximum. Tokens whose logits tie
// with it all pass. A logit's bits, ordered as integers, are found bit by bit from the highest: sums
// of fewer terms are never larger, because their order is fixed and rounding keeps order.
// logits: [rows, columns]; cutoffs: [rows].
struct Params {
  columns: u32,
  top_k: u32,
  top_p: f32,
  log_min_p: f32,
  banned_a: u32, // tokens that cannot be chosen, NO_TOKEN where unused
  banned_b: u32,
  banned_c: u32,
  banned_d: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> cutoffs: array<f32>;

// Whether top_k and top_p leave tokens out. No parameters: a software adapter's driver compiles a kernel
// anew in each call whose branches depend on these.
override TOP_K: u32 = 1u;
override TOP_P: u32 = 1u;

const LANES = 256u;
// As in lib/candidate.wgsl.
const HIDDEN = -1.0e38;
const FAR = 200.0;

var<workgroup> parts: array<f32, LANES>;
var<workgroup> counts: array<u32, LANES>;
var<workgroup> whole: f32;
var<workgroup> count: u32;

// Orders as the float does.
fn key_of(logit: f32) -> u32 {
  let bits = bitcast<u32>(logit);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn logit_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

// HIDDEN for a token that cannot be chosen.
fn logit(row: u32, token: u32) -> f32 {
  let banned = token == params.banned_a || token == params.banned_b ||
    token == params.banned_c || token == params.banned_d;
  return select(logits[row * params.columns + token], HIDDEN, banned);
}

fn maximum(row: u32, lane: u32) -> f32 {
  var most = HIDDEN;
  for (var token = lane; token < params.columns; token += LANES) {
    most = max(most, logit(row, token));
  }
  parts[lane] = most;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 0u; i < LANES; i++) {
      most = max(most, parts[i]);
    }
    whole = most;
  }
  workgroupBarrier();
  return whole;
}

// Number of tokens with at least this key.
fn count_from(row: u32, lane: u32, key: u32) -> u32 {
  var own = 0u;
  for (var token = lane; token < params.columns; token += LANES) {
    let l = logit(row, token);
    own += select(0u, 1u, l > HIDDEN && key_of(l) >= key);
  }
  counts[lane] = own;
  workgroupBarrier();
  if (lane == 0u) {
    own = 0u;
    for (var i = 0u; i < LANES; i++) {
      own += counts[i];
    }
    count = own;
  }
  workgroupBarrier();
  return count;
}

// Sum of exp(logit - most) over the tokens with at least this key.
fn mass_from(row: u32, lane: u32, key: u32, most: f32) -> f32 {
  var mass = 0.0;
  for (var token = lane; token < params.columns; token += LANES) {
    let l = logit(row, token);
    if (l > HIDDEN && key_of(l) >= key) {
      mass += exp(-min(most - l, FAR));
    }
  }
  parts[lane] = mass;
  workgroupBarrier();
  if (lane == 0u) {
    mass = 0.0;
    for (var i = 0u; i < LANES; i++) {
      mass += parts[i];
    }
    whole = mass;
  }
  workgroupBarrier();
  return whole;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let most = maximum(row, lane);
  let lowest = key_of(HIDDEN);
  var least = lowest;
  if (TOP_K == 1u) {
    var key = 0u;
    for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
      if (count_from(row, lane, key | bit) >= params.top_k) {
        key |= bit;
      }
    }
    least = max(least, key);
  }
  if (TOP_P == 1u) {
    let share = params.top_p * mass_from(row, lane, least, most);
    var key = 0u;
    for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
      if (mass_from(row, lane, max(least, key | bit), most) >= share) {
        key |= bit;
      }
    }
    least = max(least, key);
  }
  if (lane == 0u) {
    let cutoff = max(logit_of(min(least, key_of(most))), most + params.log_min_p);
    cutoffs[row] = min(cutoff, most);
  }
}
