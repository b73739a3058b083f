// A tile whose numbers of a come to all lanes by exchange: each of eight lanes reads one unit. For adapters
// that run lanes as one vector, on which a read costs as much for one lane as for all.
// Four k a turn, two units a lane: of what a software adapter's instruction cache holds, this multiplies
// most for every number that is read.
const UNITS = 2u;

// Rows k to k + 3 of b in a lane's units.
struct FourUnits {
  k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>,
}

fn load_units(k: u32, unit: u32) -> FourUnits {
  let at = k * params.b_stride + unit;
  let step = params.b_stride;
  return FourUnits(b[at], b[at + step], b[at + 2u * step], b[at + 3u * step]);
}

// The same where b may end before row k + 3: what is behind it counts as 0.
fn load_last_units(k: u32, end: u32, unit: u32) -> FourUnits {
  return FourUnits(
    unit_inside(k, end, unit), unit_inside(k + 1u, end, unit),
    unit_inside(k + 2u, end, unit), unit_inside(k + 3u, end, unit),
  );
}

fn add_products(row: u32, x: vec4<f32>, w: FourUnits, z: FourUnits) {
  var s = fma(vec4<f32>(x.x), w.k0, sums[row]);
  s = fma(vec4<f32>(x.y), w.k1, s);
  s = fma(vec4<f32>(x.z), w.k2, s);
  sums[row] = fma(vec4<f32>(x.w), w.k3, s);
  var t = fma(vec4<f32>(x.x), z.k0, sums[row + 32u]);
  t = fma(vec4<f32>(x.y), z.k1, t);
  t = fma(vec4<f32>(x.z), z.k2, t);
  sums[row + 32u] = fma(vec4<f32>(x.w), z.k3, t);
}

// Where lane i of eight reads for eight rows from `row` on: row i; or of four k each, its rows' half.
fn place(eighth: u32, row: u32, k: u32) -> u32 {
  if (A_TRANSPOSED == 1u) {
    return min(k + eighth % 4u, params.inner - 1u) * params.a_stride +
      min(row / 4u + eighth / 4u, params.a_stride - 1u);
  }
  return min(row + eighth, params.rows - 1u) * params.a_stride + k / 4u;
}

// Eight rows from `row` on, as the eight lanes read them.
fn multiply_eight(row: u32, x: array<vec4<f32>, 8>, w: FourUnits, z: FourUnits) {
  if (A_TRANSPOSED == 1u) {
    add_products(row, vec4<f32>(x[0].x, x[1].x, x[2].x, x[3].x), w, z);
    add_products(row + 1u, vec4<f32>(x[0].y, x[1].y, x[2].y, x[3].y), w, z);
    add_products(row + 2u, vec4<f32>(x[0].z, x[1].z, x[2].z, x[3].z), w, z);
    add_products(row + 3u, vec4<f32>(x[0].w, x[1].w, x[2].w, x[3].w), w, z);
    add_products(row + 4u, vec4<f32>(x[4].x, x[5].x, x[6].x, x[7].x), w, z);
    add_products(row + 5u, vec4<f32>(x[4].y, x[5].y, x[6].y, x[7].y), w, z);
    add_products(row + 6u, vec4<f32>(x[4].z, x[5].z, x[6].z, x[7].z), w, z);
    add_products(row + 7u, vec4<f32>(x[4].w, x[5].w, x[6].w, x[7].w), w, z);
  } else {
    add_products(row, x[0], w, z);
    add_products(row + 1u, x[1], w, z);
    add_products(row + 2u, x[2], w, z);
    add_products(row + 3u, x[3], w, z);
    add_products(row + 4u, x[4], w, z);
    add_products(row + 5u, x[5], w, z);
    add_products(row + 6u, x[6], w, z);
    add_products(row + 7u, x[7], w, z);
  }
}

// Numbers of a are read before those of b: what is read last is used first.
fn multiply_block(lane: u32, first: u32, k: u32, unit: u32, other: u32) {
  let i = row_of_lane(lane);
  let p = a[place(i, first, k)];
  let q = a[place(i, first + 8u, k)];
  let r = a[place(i, first + 16u, k)];
  let s = a[place(i, first + 24u, k)];
  multiply_all(lane, p, q, r, s, load_units(k, unit), load_units(k, other));
}

// The same where b may end before row k + 3.
fn multiply_last(lane: u32, first: u32, k: u32, end: u32, unit: u32, other: u32) {
  let i = row_of_lane(lane);
  multiply_all(
    lane, a[place(i, first, k)], a[place(i, first + 8u, k)], a[place(i, first + 16u, k)],
    a[place(i, first + 24u, k)], load_last_units(k, end, unit), load_last_units(k, end, other),
  );
}

fn multiply_all(
  lane: u32, p: vec4<f32>, q: vec4<f32>, r: vec4<f32>, s: vec4<f32>, w: FourUnits, z: FourUnits,
) {
  let x = gather_rows(lane, p, q);
  multiply_eight(0u, x.a, w, z);
  multiply_eight(8u, x.b, w, z);
  let y = gather_rows(lane, r, s);
  multiply_eight(16u, y.a, w, z);
  multiply_eight(24u, y.b, w, z);
}

fn multiply_strips(lane: u32, first: u32, unit: u32, begin: u32, end: u32) {
  let column = min(unit, params.column_units - 1u);
  let other = min(unit + LANES, params.column_units - 1u);
  let whole = (end - begin) / 4u;
  for (var block = 0u; block < whole; block++) {
    multiply_block(lane, first, begin + 4u * block, column, other);
  }
  if (begin + 4u * whole < end) {
    multiply_last(lane, first, begin + 4u * whole, end, column, other);
  }
}
