// The softmax of a row of logits, made by all lanes of its workgroup. A kernel declares
// `logits: array<vec4<f32>>` in [rows, stride], `params.columns` and `params.stride`.

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

// Groups of four logits that a lane asks memory for at the same time.
const HELD = 4u;
const LOWEST = -3.0e38;
const FAR = 200.0;
const NOWHERE = 0xffffffffu;

var<workgroup> peaks: array<f32, LANES>;
var<workgroup> places: array<u32, LANES>;
var<workgroup> sums: array<f32, LANES>;
var<workgroup> grouped_sums: array<f32, GROUPS>;

// ln(1 + s), s >= 0: log() may be off by 2^-21 near 1.
fn log1p(s: f32) -> f32 {
  if (s < 0.01) {
    return s * (1.0 - s * (0.5 - s * (1.0 / 3.0 - s * 0.25)));
  }
  return log(1.0 + s);
}

// exp(l - peak): 0 where they are far apart, however far.
fn below(peak: f32, values: vec4<f32>) -> vec4<f32> {
  return exp(-min(vec4<f32>(peak) - values, vec4<f32>(FAR)));
}

fn row_logit(row: u32, token: u32) -> f32 {
  return logits[(row * params.stride + token) / 4u][token % 4u];
}

// Tokens of a group of four.
fn tokens_of(quad: u32) -> vec4<u32> {
  return vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
}

fn row_softmax(row: u32, lane: u32) -> RowSoftmax {
  let start = row * params.stride / 4u;
  let quads = (params.columns + 3u) / 4u;
  var found = RowSoftmax(LOWEST, NOWHERE, 0.0);
  for (var first = lane; first < quads; first += HELD * LANES) {
    var held: array<vec4<f32>, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, quads - 1u)];
    }
    for (var i = 0u; i < HELD; i++) {
      for (var part = 0u; part < 4u; part++) {
        let token = 4u * (first + i * LANES) + part;
        if (token < params.columns && held[i][part] > found.peak) {
          found.peak = held[i][part];
          found.place = token;
        }
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
  var terms = vec4<f32>(0.0);
  for (var first = lane; first < quads; first += HELD * LANES) {
    var held: array<vec4<f32>, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = logits[start + min(first + i * LANES, quads - 1u)];
    }
    for (var i = 0u; i < HELD; i++) {
      let tokens = tokens_of(first + i * LANES);
      let counts = (tokens < vec4<u32>(params.columns)) & (tokens != vec4<u32>(found.place));
      terms += select(vec4<f32>(0.0), below(found.peak, held[i]), counts);
    }
  }
  sums[lane] = (terms.x + terms.y) + (terms.z + terms.w);
  workgroupBarrier();
  if (lane < GROUPS) {
    var sum = 0.0;
    for (var i = lane; i < LANES; i += GROUPS) {
      sum += sums[i];
    }
    grouped_sums[lane] = sum;
  }
  workgroupBarrier();
  for (var i = 0u; i < GROUPS; i++) {
    found.others += grouped_sums[i];
  }
  return found;
}
