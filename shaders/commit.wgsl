// Commits each sequence's best candidates, with one workgroup per sequence. A candidate's rank is
// the number of candidates before it, by uncertainty ascending (LOW_CONFIDENCE) or by noise
// (RANDOM), ties to the lower position. Candidates that pass the rule are written to ids, and
// logged at their rank.
// Rules, with c the confidence:
// COUNT: ranks below the plan's number.
// THRESHOLD: c >= t, that is uncertainty <= rule_value = 1 / t - 1, and always rank 0.
// FACTOR: the ranks before the first i > 0 with c < 1 - f / (i + 2), rule_value = f; if only the
// last one fails, it passes too (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618, and its published
// code).
// The result is the same as that of selectCommits in src/denoise/selection.ts.
// places, plans, counts: one a sequence of the call, the first two from their offsets on.
// commit_log: where the place says: (committed, candidates, finished, 0), then
// (row, token, bits of the odds against, bits of the log probability).
// With stop_at_end a sequence is finished once no mask is left before its first end token.
struct Params {
  place_offset: u32,
  plan_offset: u32,
  mask_token: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> asked: array<Asked>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> predictions: array<Prediction>;
@group(0) @binding(4) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(5) var<storage, read> places: array<Place>;
@group(0) @binding(6) var<storage, read_write> ids: array<u32>;
@group(0) @binding(7) var<storage, read_write> finished: array<u32>;
@group(0) @binding(8) var<storage, read_write> commit_log: array<vec4<u32>>;

override GUIDED: u32 = 0u;

const LANES = 32u;
const NEVER = 0xffffffffu;

var<workgroup> first_masked: atomic<u32>;
var<workgroup> first_end: atomic<u32>;
var<workgroup> passing: atomic<u32>; // candidates that the rule lets pass: the ranks below this

fn rank_key(entry: u32, ranking: u32, plan: StepPlan) -> f32 {
  if (ranking == RANDOM) {
    return random_rank(plan.seed_low, plan.seed_high, plan.step, asked[entry].position);
  }
  return bitcast<f32>(predictions[entry].uncertainty);
}

fn rank_of(entry: u32, place: Place, count: u32, plan: StepPlan) -> u32 {
  let first = place.asked_first;
  let key = rank_key(first + entry, place.ranking, plan);
  var rank = 0u;
  for (var other = 0u; other < count; other++) {
    let other_key = rank_key(first + other, place.ranking, plan);
    if (other_key < key || (other_key == key && other < entry)) {
      rank++;
    }
  }
  return rank;
}

// Whether a candidate passes on its own; rank 0 always does.
fn passes(place: Place, uncertainty: f32, rank: u32) -> bool {
  if (rank == 0u) {
    return true;
  }
  if (place.rule == THRESHOLD) {
    return uncertainty <= place.rule_value;
  }
  // c >= 1 - f / (i + 2) with c = 1 / (1 + uncertainty)
  let least = 1.0 - place.rule_value / f32(rank + 2u);
  return least <= 0.0 || uncertainty <= 1.0 / least - 1.0;
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = group.x;
  let place = places[params.place_offset + index];
  let plan = plans[params.plan_offset + index];
  let first = place.asked_first;
  let count = counts[index];
  if (lane == 0u) {
    atomicStore(&first_masked, NEVER);
    atomicStore(&first_end, NEVER);
    atomicStore(&passing, min(count, plan.commits));
  }
  workgroupBarrier();
  if (place.rule != COUNT) {
    for (var entry = lane; entry < count; entry += LANES) {
      let rank = rank_of(entry, place, count, plan);
      if (!passes(place, bitcast<f32>(predictions[first + entry].uncertainty), rank)) {
        // Uncertainty ascends with the rank, so the first failure bounds both rules.
        atomicMin(&passing, rank);
      }
    }
    workgroupBarrier();
    if (lane == 0u && place.rule == FACTOR && count > 1u && atomicLoad(&passing) == count - 1u) {
      atomicStore(&passing, min(count, plan.commits));
    }
    workgroupBarrier();
  }
  let commits = atomicLoad(&passing);
  for (var entry = lane; entry < count; entry += LANES) {
    let rank = rank_of(entry, place, count, plan);
    if (rank < commits) {
      let row = asked[first + entry].row;
      let prediction = predictions[first + entry];
      ids[row] = prediction.token;
      if (GUIDED == 1u) {
        ids[row + place.twin_rows] = prediction.token;
      }
      commit_log[place.log_first + 1u + rank] =
        vec4<u32>(row, prediction.token, prediction.odds_against, prediction.log_probability);
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (place.stop_at_end == 1u) {
    for (var row = place.answer_first + lane; row < place.answer_end; row += LANES) {
      let token = ids[row];
      if (token == params.mask_token) {
        atomicMin(&first_masked, row);
      } else if (any(place.end_tokens == vec4<u32>(token))) {
        atomicMin(&first_end, row);
      }
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    let end = atomicLoad(&first_end);
    if (place.stop_at_end == 1u && end < atomicLoad(&first_masked)) {
      finished[place.sequence] = 1u;
    }
    commit_log[place.log_first] = vec4<u32>(commits, count, finished[place.sequence], 0u);
  }
}
