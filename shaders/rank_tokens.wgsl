// The k tokens of each row with the largest scores, largest first, ties to the lower token, and the
// softmax of the row, with one workgroup per row. score = logit + temperature * gumbel; tokens whose
// logit is below the row's cutoff are left out if FILTERED, and those that are HIDDEN or no number
// always are. A token's rank is a number of 64 bits: the score's, which order as integers, then those
// of the token, turned round. The k-th largest is found eight bits at a time, by counting how many
// tokens have each value of them; few rows need more than the first 32 bits.
// raw, logits: [rows, columns], before and after changes; cutoffs, positions: [rows];
// ranked: [rows, k] of (token, bits of score, of logit, of raw logit), NO_TOKEN where none is left;
// sums: [rows] of (m, sum of exp(l - m) over all tokens but the first with logit m), of logits, of raw.
struct Params {
  columns: u32,
  k: u32, // at most LANES
  temperature: f32,
  seed_low: u32,
  seed_high: u32,
  step: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> raw: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> cutoffs: array<f32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> ranked: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> sums: array<vec4<f32>>;

override FILTERED: u32 = 0u;
override CHANGED: u32 = 0u; // whether logits differ from raw
override NOISY: u32 = 0u; // whether the temperature is above 0

const LANES = 256u;
const DIGITS = 8u;
const NO_TOKEN = 0xffffffffu;
// As in lib/candidate.wgsl.
const HIDDEN = -1.0e38;
const FAR = 200.0;

var<workgroup> bins: array<atomic<u32>, LANES>;
var<workgroup> least: vec2<u32>; // rank of the k-th token, as far as it is known
var<workgroup> wanted: u32; // tokens still to find among those that share its known bits
var<workgroup> is_found: u32;
var<workgroup> taken: atomic<u32>;
var<workgroup> ranks: array<vec2<u32>, LANES>;
var<workgroup> peaks: array<f32, LANES>;
var<workgroup> places: array<u32, LANES>;
var<workgroup> largest: vec2<u32>; // bits of a row's largest logit, and its token

// Orders as the float does.
fn key_of(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn score_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

fn is_before(a: vec2<u32>, b: vec2<u32>) -> bool {
  return a.x > b.x || (a.x == b.x && a.y > b.y);
}

// 0 for a token that is left out.
fn rank_of(row: u32, token: u32) -> vec2<u32> {
  let logit = logits[row * params.columns + token];
  let is_number = (bitcast<u32>(logit) & 0x7fffffffu) <= 0x7f800000u;
  if (!is_number || logit <= HIDDEN || (FILTERED == 1u && logit < cutoffs[row])) {
    return vec2<u32>(0u);
  }
  var score = logit;
  if (NOISY == 1u) {
    score += params.temperature *
      gumbel(params.seed_low, params.seed_high, params.step, positions[row], token);
  }
  // Both zeros are the same score.
  return vec2<u32>(key_of(select(score, 0.0, score == 0.0)), ~token);
}

fn digit_of(rank: vec2<u32>, digit: u32) -> u32 {
  return (rank[digit / 4u] >> (24u - 8u * (digit % 4u))) & 255u;
}

// Whether a rank has the known bits: those of the digits before this one.
fn is_near(rank: vec2<u32>, known: vec2<u32>, digit: u32) -> bool {
  if (digit == 0u) {
    return true;
  }
  if (digit < 4u) {
    let unknown = 32u - 8u * digit;
    return (rank.x >> unknown) == (known.x >> unknown);
  }
  if (digit == 4u) {
    return rank.x == known.x;
  }
  let unknown = 64u - 8u * digit;
  return rank.x == known.x && (rank.y >> unknown) == (known.y >> unknown);
}

// (m, sum of exp(l - m) over all tokens but the first with logit m) of a row, for lane 0.
fn softmax(row: u32, lane: u32, is_raw: bool) -> vec2<f32> {
  var peak = 2.0 * HIDDEN;
  var place = NO_TOKEN;
  for (var token = lane; token < params.columns; token += LANES) {
    let at = row * params.columns + token;
    let logit = select(logits[at], raw[at], is_raw);
    if (logit > peak) {
      peak = logit;
      place = token;
    }
  }
  peaks[lane] = peak;
  places[lane] = place;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 1u; i < LANES; i++) {
      if (peaks[i] > peak || (peaks[i] == peak && places[i] < place)) {
        peak = peaks[i];
        place = places[i];
      }
    }
    largest = vec2<u32>(bitcast<u32>(peak), place);
  }
  let found = workgroupUniformLoad(&largest);
  peak = bitcast<f32>(found.x);
  place = found.y;
  var others = 0.0;
  for (var token = lane; token < params.columns; token += LANES) {
    let at = row * params.columns + token;
    if (token != place) {
      others += exp(-min(peak - select(logits[at], raw[at], is_raw), FAR));
    }
  }
  peaks[lane] = others;
  workgroupBarrier();
  if (lane == 0u) {
    for (var i = 1u; i < LANES; i++) {
      others += peaks[i];
    }
  }
  workgroupBarrier();
  return vec2<f32>(peak, others);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  if (lane == 0u) {
    least = vec2<u32>(0u);
    wanted = params.k;
    is_found = 0u;
    atomicStore(&taken, 0u);
  }
  for (var digit = 0u; digit < DIGITS; digit++) {
    // This waits for the lane that reads the bins.
    if (workgroupUniformLoad(&is_found) == 1u) {
      break;
    }
    atomicStore(&bins[lane], 0u);
    workgroupBarrier();
    let known = least;
    for (var token = lane; token < params.columns; token += LANES) {
      let rank = rank_of(row, token);
      if (rank.x > 0u && is_near(rank, known, digit)) {
        atomicAdd(&bins[digit_of(rank, digit)], 1u);
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var left = wanted;
      var value = 255u;
      while (value > 0u && atomicLoad(&bins[value]) < left) {
        left -= atomicLoad(&bins[value]);
        value--;
      }
      least[digit / 4u] |= value << (24u - 8u * (digit % 4u));
      // Fewer than k tokens are left over where even value 0 has too few.
      is_found = select(0u, 1u, atomicLoad(&bins[value]) <= left);
      wanted = left;
    }
  }
  let from_rank = workgroupUniformLoad(&least);
  for (var token = lane; token < params.columns; token += LANES) {
    let rank = rank_of(row, token);
    if (rank.x > 0u && !is_before(from_rank, rank)) {
      let at = atomicAdd(&taken, 1u);
      if (at < LANES) {
        ranks[at] = rank;
      }
    }
  }
  workgroupBarrier();
  let count = min(params.k, atomicLoad(&taken));
  if (lane < count) {
    let own = ranks[lane];
    var place = 0u;
    for (var i = 0u; i < count; i++) {
      place += select(0u, 1u, is_before(ranks[i], own));
    }
    let at = row * params.columns + ~own.y;
    ranked[row * params.k + place] = vec4<u32>(
      ~own.y, bitcast<u32>(score_of(own.x)), bitcast<u32>(logits[at]), bitcast<u32>(raw[at]),
    );
  } else if (lane < params.k) {
    ranked[row * params.k + lane] = vec4<u32>(NO_TOKEN, 0u, 0u, 0u);
  }
  let changed = softmax(row, lane, false);
  var unchanged = changed;
  if (CHANGED == 1u) {
    unchanged = softmax(row, lane, true);
  }
  if (lane == 0u) {
    sums[row] = vec4<f32>(changed, unchanged);
  }
}
