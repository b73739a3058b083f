// The softmax of a row of logits, made by all lanes of its workgroup. A kernel declares
// `logits: array<f32>` in [rows, stride], `params.columns` and `params.stride`.

// p = exp(l - peak) / (1 + others), where `others` sums exp(l - peak) over all tokens but `place`, the
// first with the largest logit: 1 - p of a sure token is others / (1 + others), with all its digits.
struct RowSoftmax {
  peak: f32,
  place: u32,
  others: f32,
}

override LANES: u32 = 32u;
// Lanes that add up the sums of all lanes, each those of LANES / GROUPS of them.
override GROUPS: u32 = 8u;

// Logits that a lane asks memory for at the same time.
const HELD = 8u;
const LOWEST = -3.0e38;
const FAR = 200.0;
const NOWHERE = 0xffffffffu;

var<workgroup> peaks: array<f32, LANES>;
var<workgroup> places: array<u32, LANES>;
var<workgroup> lane_sums: array<f32, LANES>;
var<workgroup> grouped_sums: array<f32, GROUPS>;

// ln(1 + s), s >= 0: log() may be off by 2^-21 near 1.
fn log1p(s: f32) -> f32 {
  if (s < 0.01) {
    return s * (1.0 - s * (0.5 - s * (1.0 / 3.0 - s * 0.25)));
  }
  return log(1.0 + s);
}

// exp(l - peak): 0 where they are far apart, however far. What is no number stays none.
fn below(peak: f32, logit: f32) -> f32 {
  let gap = peak - logit;
  return select(exp(-gap), 0.0, gap > FAR);
}

fn row_softmax(row: u32, lane: u32) -> RowSoftmax {
  let start = row * params.stride;
  let last = params.columns - 1u;
  var found = RowSoftmax(LOWEST, NOWHERE, 0.0);
  for (var first = lane; first <= last; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, last)];
    }
    // A token beyond the last is no larger than the last, which comes before it.
    for (var i = 0u; i < HELD; i++) {
      if (held[i] > found.peak) {
        found.peak = held[i];
        found.place = min(first + i * LANES, last);
      }
    }
  }
  peaks[lane] = found.peak;
  places[lane] = found.place;
  workgroupBarrier();
  if (lane < GROUPS) {
    for (var i = lane; i < LANES; i += GROUPS) {
      if (peaks[i] > found.peak || (peaks[i] == found.peak && places[i] < found.place)) {
        found.peak = peaks[i];
        found.place = places[i];
      }
    }
    peaks[lane] = found.peak;
    places[lane] = found.place;
  }
  workgroupBarrier();
  for (var i = 0u; i < GROUPS; i++) {
    if (peaks[i] > found.peak || (peaks[i] == found.peak && places[i] < found.place)) {
      found.peak = peaks[i];
      found.place = places[i];
    }
  }
  var sum = 0.0;
  for (var first = lane; first <= last; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, last)];
    }
    var terms = 0.0;
    for (var i = 0u; i < HELD; i++) {
      let token = first + i * LANES;
      terms += select(0.0, below(found.peak, held[i]), token <= last && token != found.place);
    }
    sum += terms;
  }
  lane_sums[lane] = sum;
  workgroupBarrier();
  if (lane < GROUPS) {
    sum = 0.0;
    for (var i = lane; i < LANES; i += GROUPS) {
      sum += lane_sums[i];
    }
    grouped_sums[lane] = sum;
  }
  workgroupBarrier();
  for (var i = 0u; i < GROUPS; i++) {
    found.others += grouped_sums[i];
  }
  return found;
}
