// A tile whose numbers of a come to all lanes by address: every lane reads all of them, at addresses that
// the lanes share. GPUs read those once a wave, into scalar registers.
const UNITS = 1u;

struct EightRows {
  a: array<vec4<f32>, 8>,
  b: array<vec4<f32>, 8>,
}

// Units `offset` and `offset + 1` of lines first to first + 7; behind the last one it is repeated.
fn eight_lines(lane: u32, first: u32, last: u32, stride: u32, offset: u32) -> EightRows {
  let at0 = min(first, last) * stride + offset;
  let at1 = min(first + 1u, last) * stride + offset;
  let at2 = min(first + 2u, last) * stride + offset;
  let at3 = min(first + 3u, last) * stride + offset;
  let at4 = min(first + 4u, last) * stride + offset;
  let at5 = min(first + 5u, last) * stride + offset;
  let at6 = min(first + 6u, last) * stride + offset;
  let at7 = min(first + 7u, last) * stride + offset;
  return EightRows(
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
fn multiply_eight(lane: u32, row: u32, first: u32, k: u32, w: EightUnits) {
  if (A_TRANSPOSED == 1u) {
    let x = eight_lines(lane, k, params.inner - 1u, params.a_stride, min((first + row) / 4u, params.a_stride - 2u));
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
    let x = eight_lines(lane, first + row, params.rows - 1u, params.a_stride, k / 4u);
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

fn multiply_block(lane: u32, first: u32, k: u32, w: EightUnits) {
  multiply_eight(lane, 0u, first, k, w);
  multiply_eight(lane, 8u, first, k, w);
  multiply_eight(lane, 16u, first, k, w);
  multiply_eight(lane, 24u, first, k, w);
}

fn multiply_strips(lane: u32, first: u32, unit: u32, begin: u32, end: u32) {
  let column = min(unit, params.column_units - 1u);
  let whole = (end - begin) / 8u;
  if (whole > 0u) {
    // Units are asked for a turn before they are needed.
    var next = load_units(begin, column);
    for (var block = 0u; block < whole; block++) {
      let k = begin + 8u * block;
      let w = next;
      next = load_units(select(k, k + 8u, block + 1u < whole), column);
      multiply_block(lane, first, k, w);
    }
  }
  if (begin + 8u * whole < end) {
    let k = begin + 8u * whole;
    multiply_block(lane, first, k, load_last_units(k, end, column));
  }
}
