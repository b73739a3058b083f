// Commits each sequence's best candidates: one workgroup a sequence. A candidate's rank is the number
// of candidates before it, by odds against ascending (or by random rank), ties to the lower position;
// those ranked below the plan's number are written to ids and logged at their rank.
// The twin of selectCommits in src/denoise/selection.ts.
// commit_log: [sequences, log_stride] from log_offset: (committed, candidates, finished, 0), then
// (row, token, bits of the odds against, bits of the log probability).
// With stop_at_end a sequence is finished once no mask is left before its first end token.
struct Params {
  capacity: u32,
  plan_offset: u32,
  mask_token: u32,
  twin_rows: u32, // from a row to its unconditional twin
  log_offset: u32,
  log_stride: u32,
  random: u32, // 1 ranks by noise
  stop_at_end: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> asked: array<Asked>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> predictions: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(5) var<storage, read> answers: array<Answer>;
@group(0) @binding(6) var<storage, read_write> ids: array<u32>;
@group(0) @binding(7) var<storage, read_write> finished: array<u32>;
@group(0) @binding(8) var<storage, read_write> commit_log: array<vec4<u32>>;

override GUIDED: u32 = 0u;

// The generation's rows and the tokens that end it.
struct Answer {
  first_row: u32,
  end_row: u32,
  reserved_a: u32,
  reserved_b: u32,
  end_tokens: vec4<u32>, // NO_TOKEN where unused
}

const LANES = 32u;
const NEVER = 0xffffffffu;

var<workgroup> first_masked: atomic<u32>;
var<workgroup> first_end: atomic<u32>;

fn rank_key(entry: u32, plan: StepPlan) -> f32 {
  if (params.random == 1u) {
    return random_rank(plan.seed_low, plan.seed_high, plan.step, asked[entry].position);
  }
  return bitcast<f32>(predictions[entry].y);
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let sequence = group.x;
  let plan = plans[params.plan_offset + sequence];
  let first = sequence * params.capacity;
  let count = counts[sequence];
  let log_start = params.log_offset + sequence * params.log_stride;
  for (var entry = lane; entry < count; entry += LANES) {
    let key = rank_key(first + entry, plan);
    var rank = 0u;
    for (var other = 0u; other < count; other++) {
      let other_key = rank_key(first + other, plan);
      if (other_key < key || (other_key == key && other < entry)) {
        rank++;
      }
    }
    if (rank < plan.commits) {
      let row = asked[first + entry].row;
      let prediction = predictions[first + entry];
      ids[row] = prediction.x;
      if (GUIDED == 1u) {
        ids[row + params.twin_rows] = prediction.x;
      }
      commit_log[log_start + 1u + rank] = vec4<u32>(row, prediction.xyz);
    }
  }
  if (lane == 0u) {
    atomicStore(&first_masked, NEVER);
    atomicStore(&first_end, NEVER);
  }
  storageBarrier();
  workgroupBarrier();
  let answer = answers[sequence];
  if (params.stop_at_end == 1u) {
    for (var row = answer.first_row + lane; row < answer.end_row; row += LANES) {
      let token = ids[row];
      if (token == params.mask_token) {
        atomicMin(&first_masked, row);
      } else if (any(answer.end_tokens == vec4<u32>(token))) {
        atomicMin(&first_end, row);
      }
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    let end = atomicLoad(&first_end);
    if (params.stop_at_end == 1u && end < atomicLoad(&first_masked)) {
      finished[sequence] = 1u;
    }
    commit_log[log_start] = vec4<u32>(min(count, plan.commits), count, finished[sequence], 0u);
  }
}
