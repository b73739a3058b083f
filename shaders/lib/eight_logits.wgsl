// The candidate of eight neighbouring tokens, which a lane of a software adapter has: four and four at
// once, in an order of its own. Between lanes candidates are merged in their order.
struct Eight {
  near: vec4<f32>,
  far: vec4<f32>,
}

fn added(e: Eight) -> f32 {
  let four = e.near + e.far;
  return (four.x + four.y) + (four.z + four.w);
}

fn largest(e: Eight) -> f32 {
  let four = max(e.near, e.far);
  return max(max(four.x, four.y), max(four.z, four.w));
}

// Where each of eight tokens from `token` on is one of a list.
fn listed(token: u32, list: vec4<u32>) -> array<vec4<bool>, 2> {
  let near = vec4<u32>(token) + vec4<u32>(0u, 1u, 2u, 3u);
  let far = near + 4u;
  return array(
    (near == list.xxxx) | (near == list.yyyy) | (near == list.zzzz) | (near == list.wwww),
    (far == list.xxxx) | (far == list.yyyy) | (far == list.zzzz) | (far == list.wwww),
  );
}

// Of equal scores the first is the better one.
fn better(c: Candidate, token: u32, score: f32, logit: f32) -> Candidate {
  var d = c;
  let wins = score > c.score;
  d.score = select(c.score, score, wins);
  d.token = select(c.token, token, wins);
  d.logit = select(c.logit, logit, wins);
  return d;
}

// `score`: HIDDEN where a token cannot be chosen; `logit`: HIDDEN where the softmax leaves it out.
fn candidate_of_eight(token: u32, score: Eight, logit: Eight, judged: u32, measure: u32) -> Candidate {
  var c = no_candidate(measure);
  c = better(c, token, score.near.x, logit.near.x);
  c = better(c, token + 1u, score.near.y, logit.near.y);
  c = better(c, token + 2u, score.near.z, logit.near.z);
  c = better(c, token + 3u, score.near.w, logit.near.w);
  c = better(c, token + 4u, score.far.x, logit.far.x);
  c = better(c, token + 5u, score.far.y, logit.far.y);
  c = better(c, token + 6u, score.far.z, logit.far.z);
  c = better(c, token + 7u, score.far.w, logit.far.w);
  c.maximum = largest(logit);
  // Terms of what equals the maximum are counted: one of them is the maximum's own, which stays apart.
  let none = vec4<f32>();
  let top_near = logit.near == vec4<f32>(c.maximum);
  let top_far = logit.far == vec4<f32>(c.maximum);
  let gap_near = min(vec4<f32>(c.maximum) - logit.near, vec4<f32>(FAR));
  let gap_far = min(vec4<f32>(c.maximum) - logit.far, vec4<f32>(FAR));
  let terms = Eight(
    select(exp(-gap_near), none, top_near), select(exp(-gap_far), none, top_far),
  );
  let tops = added(Eight(
    select(none, vec4<f32>(1.0), top_near), select(none, vec4<f32>(1.0), top_far),
  ));
  c.others = (tops - 1.0) + added(terms);
  let hidden = vec4<f32>(HIDDEN);
  let asked = listed(token, vec4<u32>(judged));
  c.judged = largest(Eight(
    select(hidden, logit.near, asked[0]), select(hidden, logit.far, asked[1]),
  ));
  if (MEASURED == 1u && measure == MARGIN) {
    let second = largest(Eight(
      select(logit.near, hidden, top_near), select(logit.far, hidden, top_far),
    ));
    c.aside = select(second, c.maximum, tops > 1.0);
  } else if (MEASURED == 1u && measure == ENTROPY) {
    c.aside = added(Eight(terms.near * gap_near, terms.far * gap_far));
  }
  return c;
}

// Eight logits of an asked row as they are chosen from: banned ones HIDDEN, with noise.
fn scores(token: u32, logit: Eight, banned: array<vec4<bool>, 2>, plan: StepPlan, position: u32) -> Eight {
  var score = logit;
  if (NOISE == 1u && plan.temperature > 0.0) {
    score.near += plan.temperature * vec4<f32>(
      noise_of(plan, position, token), noise_of(plan, position, token + 1u),
      noise_of(plan, position, token + 2u), noise_of(plan, position, token + 3u),
    );
    score.far += plan.temperature * vec4<f32>(
      noise_of(plan, position, token + 4u), noise_of(plan, position, token + 5u),
      noise_of(plan, position, token + 6u), noise_of(plan, position, token + 7u),
    );
  }
  let hidden = vec4<f32>(HIDDEN);
  return Eight(select(score.near, hidden, banned[0]), select(score.far, hidden, banned[1]));
}

fn noise_of(plan: StepPlan, position: u32, token: u32) -> f32 {
  return gumbel(plan.seed_low, plan.seed_high, plan.step, position, token);
}
