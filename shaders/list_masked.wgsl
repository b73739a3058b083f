// Lists the masked rows that a denoising step may commit, ascending; one workgroup per sequence.
// ids: [rows]; sequences: (first row, rows, ...); finished: [sequences], 1 once an early stop was reached;
// asked: [sequences, capacity]; asked_rows: only the rows, counted from the first row of the hidden
// states; when GUIDED each is followed by its unconditional twin; counts: [sequences].
// Places after a sequence's count repeat its first candidate row.
struct Params {
  capacity: u32,
  plan_offset: u32,
  mask_token: u32,
  twin_rows: u32, // from a row to its unconditional twin
  first_hidden_row: u32, // the row that is first in the hidden states
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> sequences: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> row_position: array<u32>;
@group(0) @binding(4) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(5) var<storage, read> finished: array<u32>;
@group(0) @binding(6) var<storage, read_write> asked: array<Asked>;
@group(0) @binding(7) var<storage, read_write> asked_rows: array<u32>;
@group(0) @binding(8) var<storage, read_write> counts: array<u32>;

override GUIDED: u32 = 0u;

const LANES = 32u;
var<workgroup> masked: array<u32, LANES>;

fn list(sequence: u32, slot: u32, row: u32) {
  let at = sequence * params.capacity + slot;
  asked[at] = Asked(row, row_position[row], sequence, NO_TOKEN);
  if (GUIDED == 1u) {
    asked_rows[2u * at] = row - params.first_hidden_row;
    asked_rows[2u * at + 1u] = row - params.first_hidden_row + params.twin_rows;
  } else {
    asked_rows[at] = row - params.first_hidden_row;
  }
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let sequence = group.x;
  let first = sequences[sequence].x;
  let plan = plans[params.plan_offset + sequence];
  var rows = plan.candidate_end;
  if (finished[sequence] == 1u) {
    rows = 0u;
  }
  var count = 0u;
  for (var start = plan.candidate_first; start < rows; start += LANES) {
    let row = first + start + lane;
    let is_masked = start + lane < rows && ids[row] == params.mask_token;
    workgroupBarrier();
    masked[lane] = select(0u, 1u, is_masked);
    workgroupBarrier();
    var slot = count;
    for (var i = 0u; i < LANES; i++) {
      if (i < lane) {
        slot += masked[i];
      }
      count += masked[i];
    }
    if (is_masked && slot < params.capacity) {
      list(sequence, slot, row);
    }
  }
  count = min(count, params.capacity);
  for (var slot = count + lane; slot < params.capacity; slot += LANES) {
    list(sequence, slot, first + plan.candidate_first);
  }
  if (lane == 0u) {
    counts[sequence] = count;
  }
}
