// c[row, column] = sum over k of a[row, k] * b[k, column], plus c's old value when params.add is 1.
// a: [rows, inner], or [inner, rows] where A_TRANSPOSED is 1; b: [inner, columns]; c: [rows, columns].
// All in units of four numbers of a row. Every sum runs over k in ascending order.
// A workgroup makes 32 rows of LANES * UNITS units, UNITS a lane; how a's numbers come to all lanes is
// lib/strips_exchanged.wgsl or lib/strips_uniform.wgsl. Where the inner size is split, part group.z goes
// to its own place, c[part, rows, columns], and add_splits.wgsl adds them up in order.
struct Params {
  rows: u32,
  column_units: u32,
  inner: u32,
  a_stride: u32, // units from a line to the next
  b_stride: u32,
  c_stride: u32,
  part: u32, // inner size of a part, a multiple of 8
  part_stride: u32, // units from what one part makes to that of the next
  add: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;

override A_TRANSPOSED: u32 = 0u;
override LANES: u32 = 32u;

// [32 * UNITS]: a lane's sums, by row; those of its second unit behind those of the first
var<private> sums: array<vec4<f32>, 64>;

// Unit `unit` of b's row k; behind the part's last row it is 0.
fn unit_inside(k: u32, end: u32, unit: u32) -> vec4<f32> {
  return select(vec4<f32>(), b[min(k, end - 1u) * params.b_stride + unit], k < end);
}

fn store(row: u32, at: u32, value: vec4<f32>) {
  if (row < params.rows) {
    if (params.add == 1u) {
      c[at] = c[at] + value;
    } else {
      c[at] = value;
    }
  }
}

fn store_row(first: u32, row: u32, start: u32, sum: u32) {
  store(first + row, start + (first + row) * params.c_stride, sums[sum + row]);
}

fn store_eight(first: u32, row: u32, start: u32, sum: u32) {
  store_row(first, row, start, sum);
  store_row(first, row + 1u, start, sum);
  store_row(first, row + 2u, start, sum);
  store_row(first, row + 3u, start, sum);
  store_row(first, row + 4u, start, sum);
  store_row(first, row + 5u, start, sum);
  store_row(first, row + 6u, start, sum);
  store_row(first, row + 7u, start, sum);
}

// `sum`: where the unit's sums begin.
fn store_unit(first: u32, part: u32, unit: u32, sum: u32) {
  if (unit < params.column_units) {
    let start = part * params.part_stride + unit;
    store_eight(first, 0u, start, sum);
    store_eight(first, 8u, start, sum);
    store_eight(first, 16u, start, sum);
    store_eight(first, 24u, start, sum);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let unit = group.x * LANES * UNITS + lane;
  let first = group.y * 32u;
  let begin = group.z * params.part;
  let end = min(params.inner, begin + params.part);
  multiply_strips(lane, first, unit, begin, end);
  store_unit(first, group.z, unit, 0u);
  if (UNITS == 2u) {
    store_unit(first, group.z, unit + LANES, 32u);
  }
}
