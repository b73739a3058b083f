// c[row, column] = sum over k of a[row, k] * b[k, column], plus c's old value when params.add is 1.
// a: [rows, inner], or [inner, rows] where A_TRANSPOSED is 1; b: [inner, columns]; c: [rows, columns].
// All in units of four numbers of a row. Every sum runs over k in ascending order.
// A workgroup makes 32 rows of 128 columns, a unit a lane. All lanes read the same numbers of a, at
// addresses that they share: GPUs read those once a wave, into scalar registers. Where the inner size is
// split, part group.z goes to its own place, c[part, rows, columns], and add_splits.wgsl adds them up in
// order. multiply_texels.wgsl is its twin for software adapters.
struct Params {
  rows: u32,
  columns: u32,
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

const LANES = 32u;

var<private> sums: array<vec4<f32>, 32>; // by row

// Eight lines of a, two units of each.
struct EightLines {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

// Units `offset` and `offset + 1` of lines first to first + 7; behind the last one it is repeated.
fn eight_lines(first: u32, last: u32, stride: u32, offset: u32) -> EightLines {
  let at0 = min(first, last) * stride + offset;
  let at1 = min(first + 1u, last) * stride + offset;
  let at2 = min(first + 2u, last) * stride + offset;
  let at3 = min(first + 3u, last) * stride + offset;
  let at4 = min(first + 4u, last) * stride + offset;
  let at5 = min(first + 5u, last) * stride + offset;
  let at6 = min(first + 6u, last) * stride + offset;
  let at7 = min(first + 7u, last) * stride + offset;
  return EightLines(
    array(a[at0], a[at1], a[at2], a[at3], a[at4], a[at5], a[at6], a[at7]),
    array(
      a[at0 + 1u], a[at1 + 1u], a[at2 + 1u], a[at3 + 1u],
      a[at4 + 1u], a[at5 + 1u], a[at6 + 1u], a[at7 + 1u],
    ),
  );
}

// Rows k to k + 7 of b in a lane's four columns.
struct EightUnits {
  k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>,
  k4: vec4<f32>, k5: vec4<f32>, k6: vec4<f32>, k7: vec4<f32>,
}

fn load_units(k: u32, unit: u32) -> EightUnits {
  let at = k * params.b_stride + unit;
  let step = params.b_stride;
  return EightUnits(
    b[at], b[at + step], b[at + 2u * step], b[at + 3u * step],
    b[at + 4u * step], b[at + 5u * step], b[at + 6u * step], b[at + 7u * step],
  );
}

// Unit `unit` of b's row k; behind the part's last row it is 0.
fn unit_inside(k: u32, end: u32, unit: u32) -> vec4<f32> {
  return select(vec4<f32>(), b[min(k, end - 1u) * params.b_stride + unit], k < end);
}

// The same where b may end before row k + 7: what is behind it counts as 0.
fn load_last_units(k: u32, end: u32, unit: u32) -> EightUnits {
  return EightUnits(
    unit_inside(k, end, unit), unit_inside(k + 1u, end, unit),
    unit_inside(k + 2u, end, unit), unit_inside(k + 3u, end, unit),
    unit_inside(k + 4u, end, unit), unit_inside(k + 5u, end, unit),
    unit_inside(k + 6u, end, unit), unit_inside(k + 7u, end, unit),
  );
}

fn add_products(row: u32, low: vec4<f32>, high: vec4<f32>, w: EightUnits) {
  var s = fma(vec4<f32>(low.x), w.k0, sums[row]);
  s = fma(vec4<f32>(low.y), w.k1, s);
  s = fma(vec4<f32>(low.z), w.k2, s);
  s = fma(vec4<f32>(low.w), w.k3, s);
  s = fma(vec4<f32>(high.x), w.k4, s);
  s = fma(vec4<f32>(high.y), w.k5, s);
  s = fma(vec4<f32>(high.z), w.k6, s);
  sums[row] = fma(vec4<f32>(high.w), w.k7, s);
}

// Eight rows from `row` of the tile on, at k to k + 7.
fn multiply_eight(row: u32, first: u32, k: u32, w: EightUnits) {
  if (A_TRANSPOSED == 1u) {
    let x = eight_lines(k, params.inner - 1u, params.a_stride, min((first + row) / 4u, params.a_stride - 2u));
    add_products(row, vec4(x.a[0].x, x.a[1].x, x.a[2].x, x.a[3].x),
      vec4(x.a[4].x, x.a[5].x, x.a[6].x, x.a[7].x), w);
    add_products(row + 1u, vec4(x.a[0].y, x.a[1].y, x.a[2].y, x.a[3].y),
      vec4(x.a[4].y, x.a[5].y, x.a[6].y, x.a[7].y), w);
    add_products(row + 2u, vec4(x.a[0].z, x.a[1].z, x.a[2].z, x.a[3].z),
      vec4(x.a[4].z, x.a[5].z, x.a[6].z, x.a[7].z), w);
    add_products(row + 3u, vec4(x.a[0].w, x.a[1].w, x.a[2].w, x.a[3].w),
      vec4(x.a[4].w, x.a[5].w, x.a[6].w, x.a[7].w), w);
    add_products(row + 4u, vec4(x.b[0].x, x.b[1].x, x.b[2].x, x.b[3].x),
      vec4(x.b[4].x, x.b[5].x, x.b[6].x, x.b[7].x), w);
    add_products(row + 5u, vec4(x.b[0].y, x.b[1].y, x.b[2].y, x.b[3].y),
      vec4(x.b[4].y, x.b[5].y, x.b[6].y, x.b[7].y), w);
    add_products(row + 6u, vec4(x.b[0].z, x.b[1].z, x.b[2].z, x.b[3].z),
      vec4(x.b[4].z, x.b[5].z, x.b[6].z, x.b[7].z), w);
    add_products(row + 7u, vec4(x.b[0].w, x.b[1].w, x.b[2].w, x.b[3].w),
      vec4(x.b[4].w, x.b[5].w, x.b[6].w, x.b[7].w), w);
  } else {
    let x = eight_lines(first + row, params.rows - 1u, params.a_stride, k / 4u);
    add_products(row, x.a[0], x.b[0], w);
    add_products(row + 1u, x.a[1], x.b[1], w);
    add_products(row + 2u, x.a[2], x.b[2], w);
    add_products(row + 3u, x.a[3], x.b[3], w);
    add_products(row + 4u, x.a[4], x.b[4], w);
    add_products(row + 5u, x.a[5], x.b[5], w);
    add_products(row + 6u, x.a[6], x.b[6], w);
    add_products(row + 7u, x.a[7], x.b[7], w);
  }
}

fn multiply_block(first: u32, k: u32, w: EightUnits) {
  multiply_eight(0u, first, k, w);
  multiply_eight(8u, first, k, w);
  multiply_eight(16u, first, k, w);
  multiply_eight(24u, first, k, w);
}

fn multiply_strips(first: u32, unit: u32, begin: u32, end: u32) {
  let column = min(unit, params.column_units - 1u);
  let whole = (end - begin) / 8u;
  if (whole > 0u) {
    // Units are asked for a turn before they are needed.
    var next = load_units(begin, column);
    for (var block = 0u; block < whole; block++) {
      let k = begin + 8u * block;
      let w = next;
      next = load_units(select(k, k + 8u, block + 1u < whole), column);
      multiply_block(first, k, w);
    }
  }
  if (begin + 8u * whole < end) {
    let k = begin + 8u * whole;
    multiply_block(first, k, load_last_units(k, end, column));
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let unit = group.y * LANES + lane;
  let first = group.x * 32u;
  let begin = group.z * params.part;
  multiply_strips(first, unit, begin, min(params.inner, begin + params.part));
  store_unit(first, group.z, unit, 0u);
}
