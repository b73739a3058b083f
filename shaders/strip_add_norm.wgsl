// y += x W^T, then normed = y / sqrt(mean(y^2) + epsilon) * gain, row by row: strip_matmul.wgsl and
// strip_rms_norm.wgsl in one, where one strip has a row's columns: a call costs a software adapter as much
// as some ten rows do. One workgroup makes eight rows; see lib/multiply_strip.wgsl.
// x: [rows, 8 * blocks]; y, normed: [rows, stride]. Columns and the stride are whole vec4.
struct Params {
  rows: u32,
  columns: u32, // of the weight matrix and of a row, at most 8 * LANES
  blocks: u32, // inner size / 8
  stride: u32,
  epsilon: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>; // [columns]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> normed: array<vec4<f32>>;

const ROWS = 8u;

// [LANES, rows]: sums of squares of a lane's columns; components are rows
var<workgroup> squares: array<vec4<f32>, 32>;
// [rows]; components likewise
var<workgroup> factors: array<vec4<f32>, 2>;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}

fn add_four(row: u32, column: u32, value: vec4<f32>) -> vec4<f32> {
  var sum = vec4<f32>();
  if (row < params.rows && column < params.columns) {
    let at = (row * params.stride + column) / 4u;
    sum = y[at] + value;
    y[at] = sum;
  }
  return sum;
}

fn add_row(first: u32, place: u32, column: u32) -> f32 {
  near[place] = add_four(first + place, column, near[place]);
  far[place] = add_four(first + place, column + 4u, far[place]);
  return dot(near[place], near[place]) + dot(far[place], far[place]);
}

fn store_four(row: u32, column: u32, value: vec4<f32>) {
  if (row < params.rows && column < params.columns) {
    normed[(row * params.stride + column) / 4u] = value;
  }
}

fn store_row(first: u32, place: u32, column: u32, factor: f32, gain_near: vec4<f32>, gain_far: vec4<f32>) {
  store_four(first + place, column, near[place] * factor * gain_near);
  store_four(first + place, column + 4u, far[place] * factor * gain_far);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * ROWS;
  let column = lane * 8u;
  let columns = min(vec2<u32>(column, column + 4u), vec2<u32>(params.columns - 4u));
  multiply_strip(lane, first, params.rows, columns, params.columns, params.blocks);
  squares[2u * lane] = vec4<f32>(
    add_row(first, 0u, column), add_row(first, 1u, column),
    add_row(first, 2u, column), add_row(first, 3u, column),
  );
  squares[2u * lane + 1u] = vec4<f32>(
    add_row(first, 4u, column), add_row(first, 5u, column),
    add_row(first, 6u, column), add_row(first, 7u, column),
  );
  workgroupBarrier();
  // A lane makes a row's factor. Lanes' sums are added in order.
  if (lane < ROWS) {
    var sum = 0.0;
    for (var other = 0u; other < LANES; other++) {
      sum += squares[2u * other + lane / 4u][lane % 4u];
    }
    factors[lane / 4u][lane % 4u] = 1.0 / sqrt(sum / f32(params.columns) + params.epsilon);
  }
  workgroupBarrier();
  let low = factors[0];
  let high = factors[1];
  let gain_near = gain[columns.x / 4u];
  let gain_far = gain[columns.y / 4u];
  store_row(first, 0u, column, low.x, gain_near, gain_far);
  store_row(first, 1u, column, low.y, gain_near, gain_far);
  store_row(first, 2u, column, low.z, gain_near, gain_far);
  store_row(first, 3u, column, low.w, gain_near, gain_far);
  store_row(first, 4u, column, high.x, gain_near, gain_far);
  store_row(first, 5u, column, high.y, gain_near, gain_far);
  store_row(first, 6u, column, high.z, gain_near, gain_far);
  store_row(first, 7u, column, high.w, gain_near, gain_far);
}
