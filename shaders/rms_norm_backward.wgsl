// The gradients of y[i] = x[r] * s * weight, s = 1 / sqrt(mean(x[r]^2) + epsilon), r = row_index[i] if GATHER
// is 1, else i (Zhang and Sennrich 2019):
//   d_x[r] += s * weight * d_y[i] - x[r] * s^3 * mean(weight * d_y[i] * x[r]);
//   d_weight = sum over i of d_y[i] * x[r] * s.
// x, d_x: [x_rows, stride]; d_y: [rows, stride]; means run over `columns`. One workgroup makes `rows_each`
// rows, one after another, and with WEIGHT leaves the sum of its rows' part in d_weight in parts, [workgroups,
// columns]; add_splits.wgsl adds them up. No row stands in row_index twice.
struct Params {
  columns: u32,
  stride: u32,
  rows: u32,
  rows_each: u32,
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> row_index: array<u32>;
@group(0) @binding(4) var<storage, read> d_y: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;

override GATHER: u32 = 0u;
override WEIGHT: u32 = 1u;

override LANES: u32 = 32u;
// Lanes that add up the sums of all lanes, each those of LANES / GROUPS of them.
override GROUPS: u32 = 8u;
var<workgroup> partial: array<vec2<f32>, LANES>;
var<workgroup> grouped: array<vec2<f32>, GROUPS>;

// Columns that a lane keeps in registers, with their weights: they are read once, all at the same time.
const HELD = 16u;
// How many columns a row has, against what all lanes keep: 0 as many, so that nobody asks, 1 fewer, 2 more.
override FIT: u32 = 2u;

// Sums over all lanes.
fn added_up(lane: u32, own: vec2<f32>) -> vec2<f32> {
  partial[lane] = own;
  workgroupBarrier();
  if (lane < GROUPS) {
    var total = vec2<f32>(0.0);
    for (var i = lane; i < LANES; i += GROUPS) {
      total += partial[i];
    }
    grouped[lane] = total;
  }
  workgroupBarrier();
  var total = vec2<f32>(0.0);
  for (var i = 0u; i < GROUPS; i++) {
    total += grouped[i];
  }
  return total;
}

var<private> gain: array<f32, HELD>;
var<private> held: array<f32, HELD>; // of x
var<private> gradient: array<f32, HELD>; // of y
var<private> before: array<f32, HELD>; // in d_x
var<private> d_weight: array<f32, HELD>;

// Loops over what a lane keeps are in functions: within another loop compilers may not unroll them.

fn load_weight(lane: u32, last: u32) {
  for (var i = 0u; i < HELD; i++) {
    gain[i] = weight[min(lane + i * LANES, last)];
  }
}

fn load_row(lane: u32, last: u32, x_start: u32, y_start: u32) {
  for (var i = 0u; i < HELD; i++) {
    let column = lane + i * LANES;
    held[i] = select(0.0, x[x_start + min(column, last)], FIT == 0u || column <= last);
    gradient[i] = d_y[y_start + min(column, last)];
    before[i] = d_x[x_start + min(column, last)];
  }
}

// A lane's part of the sums of x^2 and of weight * d_y * x.
fn own_sums(lane: u32, last: u32, x_start: u32, y_start: u32) -> vec2<f32> {
  var own = vec2<f32>(0.0);
  for (var i = 0u; i < HELD; i++) {
    own += held[i] * vec2<f32>(held[i], gain[i] * gradient[i]);
  }
  if (FIT == 2u) {
    for (var column = lane + HELD * LANES; column <= last; column += LANES) {
      let value = x[x_start + column];
      own += value * vec2<f32>(value, weight[column] * d_y[y_start + column]);
    }
  }
  return own;
}

fn store_row(lane: u32, last: u32, x_start: u32, scale: f32, along: f32) {
  for (var i = 0u; i < HELD; i++) {
    let column = lane + i * LANES;
    let scaled = gradient[i] * scale;
    if (FIT == 0u || column <= last) {
      d_x[x_start + column] = before[i] + (gain[i] * scaled - held[i] * along);
    }
    d_weight[i] = fma(scaled, held[i], d_weight[i]);
  }
}

fn store_part(lane: u32, last: u32, part_start: u32) {
  for (var i = 0u; i < HELD; i++) {
    let column = lane + i * LANES;
    if (FIT == 0u || column <= last) {
      parts[part_start + column] = d_weight[i];
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let last = params.columns - 1u;
  let part_start = group.x * params.columns;
  load_weight(lane, last);
  let first = group.x * params.rows_each;
  let end = min(first + params.rows_each, params.rows);
  if (WEIGHT == 1u && FIT == 2u) {
    for (var column = lane + HELD * LANES; column <= last; column += LANES) {
      parts[part_start + column] = 0.0;
    }
  }
  for (var row = first; row < end; row++) {
    var x_row = row;
    if (GATHER == 1u) {
      x_row = row_index[row];
    }
    let x_start = x_row * params.stride;
    let y_start = row * params.stride;
    load_row(lane, last, x_start, y_start);
    let sums = added_up(lane, own_sums(lane, last, x_start, y_start));
    let means = sums / f32(params.columns);
    let scale = 1.0 / sqrt(means.x + params.epsilon);
    let along = means.y * scale * scale * scale;
    store_row(lane, last, x_start, scale, along);
    if (FIT == 2u) {
      for (var column = lane + HELD * LANES; column <= last; column += LANES) {
        let value = x[x_start + column];
        let scaled = d_y[y_start + column] * scale;
        d_x[x_start + column] += weight[column] * scaled - value * along;
        if (WEIGHT == 1u) {
          parts[part_start + column] += scaled * value;
        }
      }
    }
  }
  if (WEIGHT == 1u) {
    store_part(lane, last, part_start);
  }
}
