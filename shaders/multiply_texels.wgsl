// c[row, column] = sum over k of a[row, k] * b[k, column], plus c's old value when params.add is 1: the
// twin of multiply_rows.wgsl for software adapters, which run eight lanes as one vector. A read costs them
// as much for one lane as for all, from a buffer three times what it costs from a texture: so both factors
// lie in texels, and each of eight lanes reads one unit of a, which they exchange. Four k a turn, 32 rows
// and two units of columns a lane: of what an instruction cache holds, this makes most products for every
// number that is read.
// a: [rows, inner], or [inner, rows] where A_TRANSPOSED is 1; b: [inner, columns], or [columns, inner]
// where B_TRANSPOSED is 1; c: [rows, columns]. All in units of four numbers of a row. Every sum runs over
// k in ascending order.
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
@group(0) @binding(1) var a: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var b: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;

override A_TRANSPOSED: u32 = 0u;
override B_TRANSPOSED: u32 = 0u;
override LANES: u32 = 32u;

// [64]: a lane's sums, by row; those of its second unit behind those of the first
var<private> sums: array<vec4<f32>, 64>;

fn a_unit(i: u32) -> vec4<f32> {
  return textureLoad(a, vec2<u32>(i % 4096u, i / 4096u));
}

fn b_unit(i: u32) -> vec4<f32> {
  return textureLoad(b, vec2<u32>(i % 4096u, i / 4096u));
}

// Unit `unit` of row k; behind the last k it is 0.
fn row_unit(k: u32, end: u32, unit: u32) -> vec4<f32> {
  return select(vec4<f32>(), b_unit(min(k, end - 1u) * params.b_stride + unit), k < end);
}

// Numbers k to k + 3 of a column that is a line of b; behind the last column they are 0.
fn column_unit(k: u32, column: u32) -> vec4<f32> {
  let at = min(column, params.columns - 1u) * params.b_stride + k / 4u;
  return select(vec4<f32>(), b_unit(at), column < params.columns);
}

// Rows k to k + 3 of b in a lane's unit.
struct FourUnits {
  k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>,
}

fn load_units(k: u32, end: u32, unit: u32) -> FourUnits {
  if (B_TRANSPOSED == 0u) {
    return FourUnits(
      row_unit(k, end, unit), row_unit(k + 1u, end, unit),
      row_unit(k + 2u, end, unit), row_unit(k + 3u, end, unit),
    );
  }
  let p = column_unit(k, 4u * unit);
  let q = column_unit(k, 4u * unit + 1u);
  let r = column_unit(k, 4u * unit + 2u);
  let s = column_unit(k, 4u * unit + 3u);
  let none = vec4<f32>();
  return FourUnits(
    vec4<f32>(p.x, q.x, r.x, s.x),
    select(none, vec4<f32>(p.y, q.y, r.y, s.y), k + 1u < end),
    select(none, vec4<f32>(p.z, q.z, r.z, s.z), k + 2u < end),
    select(none, vec4<f32>(p.w, q.w, r.w, s.w), k + 3u < end),
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
fn multiply_block(lane: u32, first: u32, k: u32, end: u32, unit: u32, other: u32) {
  let i = row_of_lane(lane);
  let p = a_unit(place(i, first, k));
  let q = a_unit(place(i, first + 8u, k));
  let r = a_unit(place(i, first + 16u, k));
  let s = a_unit(place(i, first + 24u, k));
  let w = load_units(k, end, unit);
  let z = load_units(k, end, other);
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
  for (var k = begin; k < end; k += 4u) {
    multiply_block(lane, first, k, end, column, other);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let unit = group.y * 2u * LANES + lane;
  let first = group.x * 32u;
  let begin = group.z * params.part;
  let end = min(params.inner, begin + params.part);
  multiply_strips(lane, first, unit, begin, end);
  store_unit(first, group.z, unit, 0u);
  store_unit(first, group.z, unit + LANES, 32u);
}
