// Lists the masked rows that a denoising step may commit, ascending; one workgroup per sequence.
// ids: [rows]; places, plans: one a sequence of the call, from their offsets on; finished: by a place's
// sequence, 1 once an early stop was reached; asked: each sequence's rows where its place says, which
// name it by its number in the call; asked_rows: only the rows, as those of the hidden states; when GUIDED
// each is followed by its unconditional twin's; counts: one a sequence of the call.
// Rows of asked after a sequence's count repeat its first candidate row.
struct Params {
  place_offset: u32,
  plan_offset: u32,
  mask_token: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> places: array<Place>;
@group(0) @binding(3) var<storage, read> row_position: array<u32>;
@group(0) @binding(4) var<storage, read> plans: array<StepPlan>;
@group(0) @binding(5) var<storage, read> finished: array<u32>;
@group(0) @binding(6) var<storage, read_write> asked: array<Asked>;
@group(0) @binding(7) var<storage, read_write> asked_rows: array<u32>;
@group(0) @binding(8) var<storage, read_write> counts: array<u32>;

override GUIDED: u32 = 0u;

const LANES = 32u;
var<workgroup> masked: array<u32, LANES>;

fn list(index: u32, place: Place, slot: u32, row: u32) {
  let at = place.asked_first + slot;
  asked[at] = Asked(row, row_position[row], index, NO_TOKEN);
  if (GUIDED == 1u) {
    asked_rows[2u * at] = row - place.hidden_shift;
    asked_rows[2u * at + 1u] = row - place.twin_shift;
  } else {
    asked_rows[at] = row - place.hidden_shift;
  }
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = group.x;
  let place = places[params.place_offset + index];
  let first = place.first_row;
  let plan = plans[params.plan_offset + index];
  var rows = plan.candidate_end;
  if (finished[place.sequence] == 1u) {
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
    if (is_masked && slot < place.capacity) {
      list(index, place, slot, row);
    }
  }
  count = min(count, place.capacity);
  for (var slot = count + lane; slot < place.capacity; slot += LANES) {
    list(index, place, slot, first + plan.candidate_first);
  }
  if (lane == 0u) {
    counts[index] = count;
  }
}
