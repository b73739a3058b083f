// Computes logits of the asked rows for one part of the vocabulary and reduces them to one
// candidate for each row and tile of 128 tokens; predict.wgsl merges the candidates. Logits are
// never stored.
// logit[row, token] = sum over k of x[row, k] * w[token, k].
// GUIDED: rows come in pairs (conditional, unconditional) and
// logit = unconditional + guidance * (conditional - unconditional), guidance = cfg_scale + 1
// (Ho and Salimans 2022, arXiv 2207.12598, as LLaDA uses it).
// Temperature: score = logit + temperature * gumbel noise.
// x: [entries (times 2), 8 * blocks]; plans: one per sequence from plan_offset;
// candidates: [entries, tiles].
struct Params {
  entries: u32,
  columns: u32, // tokens in this part
  blocks: u32, // hidden size / 8
  first_token: u32,
  first_tile: u32,
  tiles: u32, // of the whole vocabulary
  plan_offset: u32,
  guidance: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<RowUnit>;
@group(0) @binding(2) var<storage, read> asked: array<Asked>;
@group(0) @binding(3) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(4) var<storage, read_write> candidates: array<Candidate>;

override GUIDED: u32 = 0u;

// Of all 16 rows, or of four at a time: less memory lets a GPU run more workgroups at once.
override CANDIDATES: u32 = 128u;

// [rows, LANES]
var<workgroup> numbers: array<vec4<f32>, CANDIDATES>;
var<workgroup> tokens: array<u32, CANDIDATES>;
var<workgroup> asides: array<f32, CANDIDATES>; // used if MEASURED
// [16 rows], HIDDEN where the judged token is in another tile
var<workgroup> judged: array<f32, 16>;

fn x_at(i: u32) -> RowUnit {
  return x[i];
}

fn consider(
  c: Candidate, plan: StepPlan, who: Asked, slot: u32, column: u32, logit: f32,
) -> Candidate {
  if (column >= params.columns) {
    return c;
  }
  let token = params.first_token + column;
  let banned = any(plan.banned == vec4<u32>(token));
  let unconfident = any(plan.unconfident == vec4<u32>(token));
  var score = logit;
  if (plan.temperature > 0.0) {
    score += plan.temperature *
      gumbel(plan.seed_low, plan.seed_high, plan.step, who.position, token);
  }
  let confident = select(logit, HIDDEN, banned || unconfident);
  if (token == who.judged) {
    judged[slot] = confident;
  }
  let aside = no_aside(plan.measure);
  return merge(
    c,
    Candidate(select(score, HIDDEN, banned), token, confident, confident, 0.0, HIDDEN, aside),
    plan.measure,
  );
}

fn put(at: u32, c: Candidate) {
  numbers[at] = vec4<f32>(c.score, c.logit, c.maximum, c.others);
  tokens[at] = c.token;
  if (MEASURED == 1u) {
    asides[at] = c.aside;
  }
}

fn take(at: u32) -> Candidate {
  let n = numbers[at];
  var aside = 0.0;
  if (MEASURED == 1u) {
    aside = asides[at];
  }
  return Candidate(n.x, tokens[at], n.y, n.z, n.w, HIDDEN, aside);
}

fn keep(entry: u32, slot: u32, lane: u32, column: u32, logits: vec4<f32>) {
  if (entry >= params.entries) {
    return;
  }
  let who = asked[entry];
  let plan = plans[params.plan_offset + who.sequence];
  var c = no_candidate(plan.measure);
  c = consider(c, plan, who, slot, column, logits.x);
  c = consider(c, plan, who, slot, column + LANES, logits.y);
  c = consider(c, plan, who, slot, column + 2u * LANES, logits.z);
  c = consider(c, plan, who, slot, column + 3u * LANES, logits.w);
  put((slot * LANES + lane) % CANDIDATES, c);
}

// Merges the candidates of `rows` rows, a lane a row.
fn merge_rows(entry: u32, slot: u32, rows: u32, lane: u32, place: u32) {
  workgroupBarrier();
  if (lane < rows && entry + lane < params.entries) {
    let measure = plans[params.plan_offset + asked[entry + lane].sequence].measure;
    var c = no_candidate(measure);
    for (var i = 0u; i < LANES; i++) {
      c = merge(c, take(lane * LANES + i), measure);
    }
    c.judged = judged[slot + lane];
    candidates[(entry + lane) * params.tiles + place] = c;
  }
}

// Merges four rows to make room for the next; nothing to do if there is room for all.
fn merge_four(entry: u32, slot: u32, lane: u32, place: u32) {
  if (CANDIDATES < 16u * LANES) {
    merge_rows(entry, slot, 4u, lane, place);
    workgroupBarrier();
  }
}

fn guide(conditional: vec4<f32>, unconditional: vec4<f32>) -> vec4<f32> {
  return unconditional + params.guidance * (conditional - unconditional);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  judged[lane % 16u] = HIDDEN;
  workgroupBarrier();
  let first = group.x * 8u * ROW_GROUPS;
  let last = select(params.entries, 2u * params.entries, GUIDED == 1u) - 1u;
  let rows = rows_of_tile(thread, first, last);
  let column = group.y * 4u * LANES + lane;
  let at = min(
    column + vec4<u32>(0u, LANES, 2u * LANES, 3u * LANES), vec4<u32>(params.columns - 1u),
  );
  multiply_tile(thread, rows, at, params.columns, params.blocks, 0u);

  let place = params.first_tile + group.y;
  var slots = 8u * ROW_GROUPS;
  var entry = first;
  if (GUIDED == 1u) {
    slots = slots / 2u;
    entry = first / 2u;
    keep(entry, 0u, lane, column, guide(sums[0], sums[1]));
    keep(entry + 1u, 1u, lane, column, guide(sums[2], sums[3]));
    keep(entry + 2u, 2u, lane, column, guide(sums[4], sums[5]));
    keep(entry + 3u, 3u, lane, column, guide(sums[6], sums[7]));
    merge_four(entry, 0u, lane, place);
    if (ROW_GROUPS == 2u) {
      keep(entry + 4u, 4u, lane, column, guide(sums[8], sums[9]));
      keep(entry + 5u, 5u, lane, column, guide(sums[10], sums[11]));
      keep(entry + 6u, 6u, lane, column, guide(sums[12], sums[13]));
      keep(entry + 7u, 7u, lane, column, guide(sums[14], sums[15]));
      merge_four(entry + 4u, 4u, lane, place);
    }
  } else {
    keep(entry, 0u, lane, column, sums[0]);
    keep(entry + 1u, 1u, lane, column, sums[1]);
    keep(entry + 2u, 2u, lane, column, sums[2]);
    keep(entry + 3u, 3u, lane, column, sums[3]);
    merge_four(entry, 0u, lane, place);
    keep(entry + 4u, 4u, lane, column, sums[4]);
    keep(entry + 5u, 5u, lane, column, sums[5]);
    keep(entry + 6u, 6u, lane, column, sums[6]);
    keep(entry + 7u, 7u, lane, column, sums[7]);
    merge_four(entry + 4u, 4u, lane, place);
    if (ROW_GROUPS == 2u) {
      keep(entry + 8u, 8u, lane, column, sums[8]);
      keep(entry + 9u, 9u, lane, column, sums[9]);
      keep(entry + 10u, 10u, lane, column, sums[10]);
      keep(entry + 11u, 11u, lane, column, sums[11]);
      merge_four(entry + 8u, 8u, lane, place);
      keep(entry + 12u, 12u, lane, column, sums[12]);
      keep(entry + 13u, 13u, lane, column, sums[13]);
      keep(entry + 14u, 14u, lane, column, sums[14]);
      keep(entry + 15u, 15u, lane, column, sums[15]);
      merge_four(entry + 12u, 12u, lane, place);
    }
  }
  if (CANDIDATES == 16u * LANES) {
    merge_rows(entry, 0u, slots, lane, place);
  }
}
