// Changes the logits of listed tokens in every row, in place:
// l' = (l > 0 ? l / repetition : l * repetition) + offset, or HIDDEN if the offset is HIDDEN
// (repetition: Keskar et al. 2019, CTRL, arXiv 1909.05858; offset: bias minus penalties).
// logits: [rows, columns]; adjustments: [count], each token once.
struct Params {
  columns: u32,
  count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> adjustments: array<Adjustment>;
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;

struct Adjustment {
  token: u32,
  repetition: f32, // 1 for a token that is not repeated
  offset: f32,
  reserved: u32,
}

// As in lib/candidate.wgsl.
const HIDDEN = -1.0e38;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 128u + lane;
  if (i >= params.count) {
    return;
  }
  let one = adjustments[i];
  if (one.token >= params.columns) {
    return;
  }
  let at = group.y * params.columns + one.token;
  let logit = logits[at];
  let repeated = select(logit * one.repetition, logit / one.repetition, logit > 0.0);
  logits[at] = select(repeated + one.offset, HIDDEN, one.offset <= HIDDEN);
}
