// The `count` largest logits of each row, largest first, ties to the lower token, and the softmax of
// the row, one workgroup a row: all that is kept of a teacher. Tokens are dealt out to classes, and the
// count-th largest of the classes' largest logits is a bound: at least `count` tokens reach it, and of
// most rows few more. They are collected and ranked. Where more than MOST reach it, as where very many
// logits are equal, the best of the rest is looked for `count` times.
// logits: [rows, stride]; row r is entry first_row + r of the others; ranked: [entries, count] of (token,
// bits of its logit), NOWHERE where no token is left; sums: [entries] of (peak, others), see RowSoftmax.
struct Params {
  columns: u32,
  stride: u32,
  first_row: u32,
  count: u32, // at most CLASSES
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> ranked: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<f32>>;

override KEPT: u32 = 4u; // classes of a lane: 1, 2 or 4
override CLASSES: u32 = 128u; // LANES * KEPT; naga 29 panics at arrays of a product's size

const MOST = 256u;

var<workgroup> class_peaks: array<f32, CLASSES>;
var<workgroup> bound: f32;
var<workgroup> taken: atomic<u32>;
var<workgroup> reached: u32; // taken, once all are
var<workgroup> candidates: array<vec2<u32>, MOST>;

fn is_before(a: f32, a_token: u32, b: f32, b_token: u32) -> bool {
  return a > b || (a == b && a_token < b_token);
}

// Leaves the bound, for all lanes behind the next barrier.
fn find_bound(start: u32, lane: u32) {
  let last = params.columns - 1u;
  var largest: array<f32, HELD>;
  for (var i = 0u; i < HELD; i++) {
    largest[i] = LOWEST;
  }
  for (var first = lane; first <= last; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, last)];
    }
    for (var i = 0u; i < HELD; i++) {
      // No token may count in two classes.
      largest[i] = max(largest[i], select(LOWEST, held[i], first + i * LANES <= last));
    }
  }
  for (var i = 0u; i < 4u; i++) {
    largest[i] = max(largest[i], largest[i + 4u]);
  }
  if (KEPT < 4u) {
    largest[0] = max(largest[0], largest[2]);
    largest[1] = max(largest[1], largest[3]);
  }
  if (KEPT == 1u) {
    largest[0] = max(largest[0], largest[1]);
  }
  for (var i = 0u; i < 4u; i++) {
    if (i < KEPT) {
      class_peaks[lane * KEPT + i] = largest[i];
    }
  }
  workgroupBarrier();
  for (var own = lane * KEPT; own < (lane + 1u) * KEPT; own++) {
    let peak = class_peaks[own];
    var place = 0u;
    for (var i = 0u; i < CLASSES; i++) {
      place += select(0u, 1u, is_before(class_peaks[i], i, peak, own));
    }
    if (place + 1u == params.count) {
      bound = peak;
    }
  }
}

fn collect(start: u32, lane: u32) {
  let last = params.columns - 1u;
  let least = bound;
  for (var first = lane; first <= last; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, last)];
    }
    for (var i = 0u; i < HELD; i++) {
      let token = first + i * LANES;
      if (token <= last && held[i] >= least) {
        let at = atomicAdd(&taken, 1u);
        if (at < MOST) {
          candidates[at] = vec2<u32>(token, bitcast<u32>(held[i]));
        }
      }
    }
  }
}

// The order in which candidates were collected leaves no trace.
fn rank_candidates(to: u32, found: u32, lane: u32) {
  for (var own = lane; own < found; own += LANES) {
    let candidate = candidates[own];
    var place = 0u;
    for (var i = 0u; i < found; i++) {
      let other = candidates[i];
      let comes_before = is_before(
        bitcast<f32>(other.y),
        other.x,
        bitcast<f32>(candidate.y),
        candidate.x,
      );
      place += select(0u, 1u, comes_before);
    }
    if (place < params.count) {
      ranked[to + place] = candidate;
    }
  }
  for (var i = found + lane; i < params.count; i += LANES) {
    ranked[to + i] = vec2<u32>(NOWHERE, 0u);
  }
}

// The best token behind the last one, `count` times.
fn rank_slowly(start: u32, to: u32, lane: u32) {
  var best = -LOWEST;
  var best_token = 0u;
  for (var round = 0u; round < params.count; round++) {
    var own = LOWEST;
    var own_token = NOWHERE;
    for (var token = lane; token < params.columns; token += LANES) {
      let logit = logits[start + token];
      let remains = round == 0u || is_before(best, best_token, logit, token);
      if (remains && is_before(logit, token, own, own_token)) {
        own = logit;
        own_token = token;
      }
    }
    workgroupBarrier();
    peaks[lane] = own;
    places[lane] = own_token;
    workgroupBarrier();
    best = LOWEST;
    best_token = NOWHERE;
    for (var i = 0u; i < LANES; i++) {
      if (is_before(peaks[i], places[i], best, best_token)) {
        best = peaks[i];
        best_token = places[i];
      }
    }
    if (lane == 0u) {
      ranked[to + round] = vec2<u32>(best_token, bitcast<u32>(best));
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let entry = params.first_row + group.x;
  let start = group.x * params.stride;
  let to = entry * params.count;
  let row = row_softmax(group.x, lane);
  if (lane == 0u) {
    sums[entry] = vec2<f32>(row.peak, row.others);
    atomicStore(&taken, 0u);
  }
  find_bound(start, lane);
  workgroupBarrier();
  collect(start, lane);
  workgroupBarrier();
  if (lane == 0u) {
    reached = atomicLoad(&taken);
  }
  let found = workgroupUniformLoad(&reached);
  if (found <= MOST) {
    rank_candidates(to, found, lane);
  } else {
    rank_slowly(start, to, lane);
  }
}
