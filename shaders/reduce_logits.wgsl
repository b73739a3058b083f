// Reduces rows of logits to a candidate for each row and tile of 128 tokens, like head.wgsl, whose
// order of merging it keeps; one workgroup per tile and row. In EIGHTS the order is that of strip_head.wgsl.
// Only tokens from the row's cutoff up may be chosen; the softmax has them all. A logit of HIDDEN is
// a banned token's.
// logits: [entries, tokens]; cutoffs: [entries]; plans: one per sequence from plan_offset;
// candidates: [entries, tiles].
struct Params {
  tokens: u32, // of the whole vocabulary
  columns: u32, // tokens in this part
  first_token: u32,
  first_tile: u32,
  tiles: u32, // of the whole vocabulary
  plan_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> cutoffs: array<f32>;
@group(0) @binding(3) var<storage, read> asked: array<Asked>;
@group(0) @binding(4) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(5) var<storage, read_write> candidates: array<Candidate>;

override EIGHTS: u32 = 0u;
override NOISE: u32 = 1u; // as in strip_head.wgsl

const LANES = 32u;
const EIGHT_LANES = 16u; // that have eight tokens each

var<workgroup> found: array<Candidate, LANES>;

fn consider(c: Candidate, plan: StepPlan, who: Asked, entry: u32, column: u32) -> Candidate {
  if (column >= params.columns) {
    return c;
  }
  let token = params.first_token + column;
  let logit = logits[entry * params.tokens + token];
  let banned = logit <= HIDDEN || any(plan.banned == vec4<u32>(token));
  let unconfident = any(plan.unconfident == vec4<u32>(token));
  var score = logit;
  if (plan.temperature > 0.0) {
    score += plan.temperature *
      gumbel(plan.seed_low, plan.seed_high, plan.step, who.position, token);
  }
  let confident = select(logit, HIDDEN, banned || unconfident);
  let passes = !banned && logit >= cutoffs[entry];
  let judged = select(HIDDEN, confident, token == who.judged);
  return merge(
    c,
    Candidate(
      select(HIDDEN, score, passes), token, confident, confident, 0.0, judged,
      no_aside(plan.measure),
    ),
    plan.measure,
  );
}

// Of token first + i the logit; HIDDEN behind the part's last.
fn logit_at(entry: u32, column: u32, i: u32) -> f32 {
  if (column + i < params.columns) {
    return logits[entry * params.tokens + params.first_token + column + i];
  }
  return HIDDEN;
}

fn consider_eight(plan: StepPlan, who: Asked, entry: u32, column: u32) -> Candidate {
  let logit = Eight(
    vec4<f32>(
      logit_at(entry, column, 0u), logit_at(entry, column, 1u),
      logit_at(entry, column, 2u), logit_at(entry, column, 3u),
    ),
    vec4<f32>(
      logit_at(entry, column, 4u), logit_at(entry, column, 5u),
      logit_at(entry, column, 6u), logit_at(entry, column, 7u),
    ),
  );
  let token = params.first_token + column;
  let hidden = vec4<f32>(HIDDEN);
  let cutoff = vec4<f32>(cutoffs[entry]);
  var banned = listed(token, plan.banned);
  banned[0] |= logit.near <= hidden;
  banned[1] |= logit.far <= hidden;
  let unconfident = listed(token, plan.unconfident);
  let confident = Eight(
    select(logit.near, hidden, banned[0] | unconfident[0]),
    select(logit.far, hidden, banned[1] | unconfident[1]),
  );
  let out = array(banned[0] | (logit.near < cutoff), banned[1] | (logit.far < cutoff));
  let score = scores(token, logit, out, plan, who.position);
  return candidate_of_eight(token, score, confident, who.judged, plan.measure);
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let entry = group.y;
  let who = asked[entry];
  let plan = plans[params.plan_offset + who.sequence];
  var c = no_candidate(plan.measure);
  if (EIGHTS == 1u) {
    if (lane < EIGHT_LANES) {
      c = consider_eight(plan, who, entry, (group.x * EIGHT_LANES + lane) * 8u);
    }
    found[lane] = c;
    workgroupBarrier();
    if (lane == 0u) {
      for (var i = 1u; i < EIGHT_LANES; i++) {
        c = merge(c, found[i], plan.measure);
      }
      candidates[entry * params.tiles + params.first_tile + group.x] = c;
    }
    return;
  }
  let column = group.x * 4u * LANES + lane;
  c = consider(c, plan, who, entry, column);
  c = consider(c, plan, who, entry, column + LANES);
  c = consider(c, plan, who, entry, column + 2u * LANES);
  c = consider(c, plan, who, entry, column + 3u * LANES);
  found[lane] = c;
  workgroupBarrier();
  if (lane > 0u) {
    return;
  }
  c = no_candidate(plan.measure);
  for (var i = 0u; i < LANES; i++) {
    c = merge(c, found[i], plan.measure);
  }
  candidates[entry * params.tiles + params.first_tile + group.x] = c;
}
