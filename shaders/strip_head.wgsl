// Logits of the asked rows for one part of the vocabulary, reduced to one candidate for each row and tile of
// 128 tokens: head.wgsl on a software adapter, with its shapes and formulas. One workgroup makes eight rows
// of a tile; see lib/multiply_strip.wgsl. A lane reduces its eight tokens of each row, then rows' lanes are
// merged in order. Tokens of a part are whole fours.
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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> asked: array<Asked>;
@group(0) @binding(3) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(4) var<storage, read_write> candidates: array<Candidate>;

override GUIDED: u32 = 0u; // rows come in pairs
override NOISE: u32 = 1u; // 0 if no plan has a temperature: a software adapter runs both sides of a branch

const ROWS = 8u;

// [rows, LANES]
var<workgroup> numbers: array<vec4<f32>, 128>;
var<workgroup> words: array<vec4<u32>, 128>;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}

fn keep(entry: u32, slot: u32, lane: u32, column: u32, logit: Eight) {
  let who = asked[min(entry, params.entries - 1u)];
  let plan = plans[params.plan_offset + who.sequence];
  let token = params.first_token + column;
  let hidden = vec4<f32>(HIDDEN);
  // Behind the part's last token all are as if banned.
  var banned = listed(token, plan.banned);
  banned[0] |= vec4<bool>(column >= params.columns);
  banned[1] |= vec4<bool>(column + 4u >= params.columns);
  let unconfident = listed(token, plan.unconfident);
  let confident = Eight(
    select(logit.near, hidden, banned[0] | unconfident[0]),
    select(logit.far, hidden, banned[1] | unconfident[1]),
  );
  let score = scores(token, logit, banned, plan, who.position);
  let c = candidate_of_eight(token, score, confident, who.judged, plan.measure);
  let at = slot * LANES + lane;
  numbers[at] = vec4<f32>(c.score, c.logit, c.maximum, c.others);
  words[at] = vec4<u32>(c.token, bitcast<u32>(c.judged), bitcast<u32>(c.aside), 0u);
}

fn take(at: u32) -> Candidate {
  let n = numbers[at];
  let w = words[at];
  return Candidate(n.x, w.x, n.y, n.z, n.w, bitcast<f32>(w.y), bitcast<f32>(w.z));
}

fn guided(conditional: u32, unconditional: u32) -> Eight {
  let near_without = near[unconditional];
  let far_without = far[unconditional];
  return Eight(
    near_without + params.guidance * (near[conditional] - near_without),
    far_without + params.guidance * (far[conditional] - far_without),
  );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let rows = select(params.entries, 2u * params.entries, GUIDED == 1u);
  let column = (group.y * LANES + lane) * 8u;
  let columns = min(vec2<u32>(column, column + 4u), vec2<u32>(params.columns - 4u));
  multiply_strip(lane, group.x * ROWS, rows, columns, params.columns, params.blocks);
  var slots = ROWS;
  if (GUIDED == 1u) {
    slots = ROWS / 2u;
  }
  let entry = group.x * slots;
  if (GUIDED == 1u) {
    keep(entry, 0u, lane, column, guided(0u, 1u));
    keep(entry + 1u, 1u, lane, column, guided(2u, 3u));
    keep(entry + 2u, 2u, lane, column, guided(4u, 5u));
    keep(entry + 3u, 3u, lane, column, guided(6u, 7u));
  } else {
    keep(entry, 0u, lane, column, Eight(near[0], far[0]));
    keep(entry + 1u, 1u, lane, column, Eight(near[1], far[1]));
    keep(entry + 2u, 2u, lane, column, Eight(near[2], far[2]));
    keep(entry + 3u, 3u, lane, column, Eight(near[3], far[3]));
    keep(entry + 4u, 4u, lane, column, Eight(near[4], far[4]));
    keep(entry + 5u, 5u, lane, column, Eight(near[5], far[5]));
    keep(entry + 6u, 6u, lane, column, Eight(near[6], far[6]));
    keep(entry + 7u, 7u, lane, column, Eight(near[7], far[7]));
  }
  workgroupBarrier();
  if (lane < slots && entry + lane < params.entries) {
    let measure = plans[params.plan_offset + asked[entry + lane].sequence].measure;
    var c = take(lane * LANES);
    for (var i = 1u; i < LANES; i++) {
      c = merge(c, take(lane * LANES + i), measure);
    }
    candidates[(entry + lane) * params.tiles + params.first_tile + group.y] = c;
  }
}
