// y[i] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, r = row_index[i] if GATHER is 1, else first_row + i:
// rms_norm.wgsl on a software adapter. x: [x rows, stride]; y: [rows, stride]; the mean runs over 4 * units
// columns. One workgroup makes eight rows, one a lane: numbers cost such an adapter one by one, and a lane's
// four neighbours less than four lanes' one. Weights, which all rows share, come by exchange.
struct Params {
  units: u32, // vec4 of a row
  stride: u32, // vec4 from a row to the next
  rows: u32,
  x_rows: u32,
  first_row: u32,
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> row_index: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

override GATHER: u32 = 0u;

const LANES = 8u;

fn store(inside: bool, source: u32, goal: u32, unit: u32, scale: f32, gain: vec4<f32>) {
  if (inside && unit < params.units) {
    y[goal + unit] = x[source + unit] * scale * gain;
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group.x * LANES + lane;
  let inside = place < params.rows;
  // Behind the last row it is made again, and not stored.
  var row = min(place, params.rows - 1u);
  if (GATHER == 1u) {
    row = min(row_index[row], params.x_rows - 1u);
  } else {
    row += params.first_row;
  }
  let source = row * params.stride;
  let goal = place * params.stride;
  // Eight columns at a time, in order: as strip_add_norm.wgsl adds them, which must come to the same bits.
  var sum = 0.0;
  // Not from 0 to the parameter: the driver would unroll that anew for each call. All lanes' begin at the
  // same place, since they exchange.
  let start = group.x;
  let end = start + params.units;
  for (var at = start; at < end; at += 2u) {
    let unit = at - start;
    let a = x[source + unit];
    let b = select(vec4<f32>(), x[source + min(unit + 1u, params.units - 1u)], at + 1u < end);
    sum += dot(a, a) + dot(b, b);
  }
  let scale = 1.0 / sqrt(sum / f32(4u * params.units) + params.epsilon);
  let own = row_of_lane(lane);
  for (var at = start; at < end; at += LANES) {
    let unit = at - start;
    let gain = weight[min(unit + own, params.units - 1u)];
    let gains = gather_rows(lane, gain, gain).a;
    store(inside, source, goal, unit, scale, gains[0]);
    store(inside, source, goal, unit + 1u, scale, gains[1]);
    store(inside, source, goal, unit + 2u, scale, gains[2]);
    store(inside, source, goal, unit + 3u, scale, gains[3]);
    store(inside, source, goal, unit + 4u, scale, gains[4]);
    store(inside, source, goal, unit + 5u, scale, gains[5]);
    store(inside, source, goal, unit + 6u, scale, gains[6]);
    store(inside, source, goal, unit + 7u, scale, gains[7]);
  }
}
