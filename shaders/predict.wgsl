// Merges a row's candidates from all vocabulary tiles into its prediction, with one workgroup per
// row.
// With s = others and d = maximum - logit of the chosen (or judged) token:
// odds against = s + (1 + s) expm1(d), log p = -(log1p(s) + d), logsumexp = maximum + log1p(s).
// Ranking key: PROBABILITY the odds against; with g = maximum - second-largest logit, MARGIN
// (s + exp(-g)) / (1 - exp(-g)); ENTROPY log1p(s) + sum of exp(l - maximum) (maximum - l) / (1 + s).
// candidates: [entries, tiles]; plans: one per sequence from plan_offset; predictions: [entries].
struct Params {
  tiles: u32,
  plan_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> candidates: array<Candidate>;
@group(0) @binding(2) var<storage, read> asked: array<Asked>;
@group(0) @binding(3) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(4) var<storage, read_write> predictions: array<Prediction>;

const LANES = 32u;
const INFINITY_BITS = 0x7f800000u;
const SIGN_BIT = 0x80000000u;

var<workgroup> merged: array<Candidate, LANES>;

// ln(1 + s), s >= 0: log() may be off by 2^-21 near 1.
fn log1p(s: f32) -> f32 {
  if (s < 0.01) {
    return s * (1.0 - s * (0.5 - s * (1.0 / 3.0 - s * 0.25)));
  }
  return log(1.0 + s);
}

// exp(d) - 1, d >= 0.
fn expm1(d: f32) -> f32 {
  if (d < 0.01) {
    return d * (1.0 + d * (0.5 + d * (1.0 / 6.0 + d * (1.0 / 24.0))));
  }
  return exp(d) - 1.0;
}

// 1 - exp(-g), g >= 0.
fn fall(g: f32) -> f32 {
  if (g < 0.01) {
    return g * (1.0 - g * (0.5 - g * (1.0 / 6.0 - g * (1.0 / 24.0))));
  }
  return 1.0 - fade(g);
}

// Bits of the odds against a token of this logit.
fn odds_against(c: Candidate, logit: f32) -> u32 {
  if (logit <= HIDDEN) {
    return INFINITY_BITS;
  }
  return bitcast<u32>(c.others + (1.0 + c.others) * expm1(c.maximum - logit));
}

// Bits of the ranking key; `odds` are those against the chosen token.
fn uncertainty(c: Candidate, odds: u32, measure: u32) -> u32 {
  if (MEASURED == 0u || measure == PROBABILITY || c.logit <= HIDDEN) {
    return odds;
  }
  if (measure == ENTROPY) {
    return bitcast<u32>(log1p(c.others) + c.aside / (1.0 + c.others));
  }
  let gap = c.maximum - c.aside;
  if (gap <= 0.0) {
    return INFINITY_BITS;
  }
  return bitcast<u32>((c.others + fade(gap)) / fall(gap));
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let measure = plans[params.plan_offset + asked[group.x].sequence].measure;
  var c = no_candidate(measure);
  for (var tile = lane; tile < params.tiles; tile += LANES) {
    c = merge(c, candidates[group.x * params.tiles + tile], measure);
  }
  merged[lane] = c;
  workgroupBarrier();
  if (lane > 0u) {
    return;
  }
  for (var i = 1u; i < LANES; i++) {
    c = merge(c, merged[i], measure);
  }
  var p: Prediction;
  p.token = c.token;
  p.log_sum_exp = c.maximum + log1p(c.others);
  p.odds_against = odds_against(c, c.logit);
  p.uncertainty = uncertainty(c, p.odds_against, measure);
  p.judged_odds = odds_against(c, c.judged);
  p.log_probability = INFINITY_BITS | SIGN_BIT;
  if (c.logit > HIDDEN) {
    p.log_probability = bitcast<u32>(-(log1p(c.others) + (c.maximum - c.logit)));
  }
  predictions[group.x] = p;
}
