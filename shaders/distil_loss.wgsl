// What a student's row loses against a teacher's, and its gradient in place of the student's logits,
// one workgroup a row. With s the student's logits and p their softmax over all tokens, a the teacher's
// first token, T its best `count` tokens, t their logits, and P, Q softmax(s / temperature) and
// softmax(t / temperature), each over T alone:
//   ce = -ln p[a]
//   kl = temperature^2 sum over T of P ln(P / Q), or of Q ln(Q / P) if FROM_TEACHER
//   mse = (max p - the teacher's largest probability)^2
//   total = ce_share ce + kl_share kl + mse_share mse
// logits: [rows, stride], 0 beyond `columns` afterwards; row r is entry first_row + r of the others:
// ranked, sums: as top_tokens leaves them; weights: [entries]; losses: [entries] of (ce, kl, mse,
// total), each times the weight, as the gradient is; correct: [entries], 1 where the student's first
// largest logit is that of a.
struct Params {
  columns: u32,
  stride: u32,
  first_row: u32,
  count: u32, // at most MOST
  temperature: f32,
  ce_share: f32,
  kl_share: f32,
  mse_share: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> ranked: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> losses: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> correct: array<u32>;

override FROM_TEACHER: u32 = 0u;

const MOST = 64u;

// Of each token of T: its place, and its logits; later ln P and ln Q.
var<workgroup> best: array<u32, MOST>;
var<workgroup> student: array<f32, MOST>;
var<workgroup> teacher: array<f32, MOST>;

// Over T, of the student's (x) and the teacher's (y) logits: the largest, and the logarithm of the sum
// of exp((l - largest) / temperature). They stay apart: their sum has fewer digits behind the point.
struct LogSums {
  peak: vec2<f32>,
  rest: vec2<f32>,
}

fn log_sums() -> LogSums {
  var peak = vec2<f32>(LOWEST);
  for (var i = 0u; i < params.count; i++) {
    peak = max(peak, vec2<f32>(student[i], teacher[i]));
  }
  var sum = vec2<f32>(0.0);
  for (var i = 0u; i < params.count; i++) {
    let gaps = (peak - vec2<f32>(student[i], teacher[i])) / params.temperature;
    sum += exp(-min(gaps, vec2<f32>(FAR)));
  }
  return LogSums(peak, log(sum));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let entry = params.first_row + group.x;
  let weight = weights[entry];
  let start = group.x * params.stride;
  for (var i = lane; i < params.count; i += LANES) {
    let found = ranked[entry * params.count + i];
    // Where a row has fewer tokens than are asked for, none stands here.
    let exists = found.x < params.columns;
    let token = min(found.x, params.columns - 1u);
    best[i] = found.x;
    student[i] = select(LOWEST, logits[start + token], exists);
    teacher[i] = select(LOWEST, bitcast<f32>(found.y), exists);
  }
  let top = min(ranked[entry * params.count].x, params.columns - 1u);
  let top_logit = logits[start + top];
  let row = row_softmax(group.x, lane);
  // Every lane has read before any lane writes.
  storageBarrier();

  let found = log_sums();
  workgroupBarrier();
  for (var i = lane; i < params.count; i += LANES) {
    let logs = (vec2<f32>(student[i], teacher[i]) - found.peak) / params.temperature - found.rest;
    let exists = best[i] < params.columns;
    student[i] = select(-FAR, logs.x, exists);
    teacher[i] = select(-FAR, logs.y, exists);
  }
  workgroupBarrier();
  var kl = 0.0;
  for (var i = 0u; i < params.count; i++) {
    let more = student[i] - teacher[i];
    if (FROM_TEACHER == 1u) {
      kl -= exp(max(teacher[i], -FAR)) * more;
    } else {
      kl += exp(max(student[i], -FAR)) * more;
    }
  }

  // With Z = 1 + others, the largest probabilities are 1 / Z; they differ by this, exactly where near.
  let z = 1.0 + row.others;
  let teacher_others = sums[entry].y;
  let apart = (teacher_others - row.others) / (z * (1.0 + teacher_others));
  let is_correct = top == row.place;
  let ce_share = weight * params.ce_share;
  // d mse / d s[j] = 2 apart max p ((j == place) - p[j])
  let mse_share = weight * params.mse_share * 2.0 * apart / z;
  let scale = (ce_share - mse_share) / z;
  let at_top = select(
    scale * below(row.peak, top_logit) - ce_share,
    -ce_share * row.others / z + mse_share * row.others / z,
    is_correct,
  );
  let at_place = select(ce_share / z + mse_share * row.others / z, at_top, is_correct);
  let last = params.columns - 1u;
  for (var first = lane; first < params.stride; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      // A lane reads only what it writes itself.
      let token = first + i * LANES;
      held[i] = logits[start + select(first, token, token < params.stride)];
    }
    for (var i = 0u; i < HELD; i++) {
      let token = first + i * LANES;
      if (token < params.stride) {
        var gradient = scale * below(row.peak, held[i]);
        gradient = select(gradient, at_place, token == row.place);
        gradient = select(gradient, at_top, token == top);
        logits[start + token] = select(0.0, gradient, token <= last);
      }
    }
  }
  storageBarrier();
  // d kl / d s = temperature P (ln(P / Q) - sum of P ln(P / Q)), or temperature (P - Q).
  let kl_share = weight * params.kl_share * params.temperature;
  for (var i = lane; i < params.count; i += LANES) {
    let token = best[i];
    if (token < params.columns) {
      let p = exp(max(student[i], -FAR));
      var slope = p * (student[i] - teacher[i] - kl);
      if (FROM_TEACHER == 1u) {
        slope = p - exp(max(teacher[i], -FAR));
      }
      logits[start + token] += kl_share * slope;
    }
  }
  if (lane == 0u) {
    let ce = row.peak - top_logit + log1p(row.others);
    let terms = vec3<f32>(ce, params.temperature * params.temperature * kl, apart * apart);
    let total = dot(terms, vec3<f32>(params.ce_share, params.kl_share, params.mse_share));
    losses[entry] = weight * vec4<f32>(terms, total);
    correct[entry] = select(0u, 1u, is_correct);
  }
}
