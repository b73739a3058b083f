// Adds up the sums of squares of a gradient, in an order that LANES alone decides, by one workgroup.
// sums: [count]; norm: (s, sqrt(s), min(1, most / sqrt(s)), 1 / (sqrt(s) + 1e-7)): the third scales a
// gradient to a length of at most `most`, the fourth a matrix to length 1 (Jordan 2024, muon.py).
struct Params {
  count: u32,
  most: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;

override LANES: u32 = 32u;
const HELD = 8u;

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var first = lane; first < params.count; first += HELD * LANES) {
    var held: array<f32, HELD>;
    for (var i = 0u; i < HELD; i++) {
      held[i] = sums[min(first + i * LANES, params.count - 1u)];
    }
    for (var i = 0u; i < HELD; i++) {
      sum += select(0.0, held[i], first + i * LANES < params.count);
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  if (lane > 0u) {
    return;
  }
  var squares = 0.0;
  for (var i = 0u; i < LANES; i++) {
    squares += partial[i];
  }
  let length = sqrt(squares);
  norm[0] = squares;
  norm[1] = length;
  // Also 1 where the length is 0.
  norm[2] = select(1.0, params.most / length, length > params.most);
  norm[3] = 1.0 / (length + 1e-7);
}
