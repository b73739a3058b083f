// Products of rows and weights on matrix units: f16 factors, f32 sums. With PARTS 2 an x is the sum of
// two f16, with PARTS 1 it is rounded to one. A weight is rounded to one f16. What an x loses at most:
//
//   |x|                 PARTS 2                              PARTS 1
//   below 2^-3          2^-23; 2^-14 on a device that        2^-10 of it; below 2^-14 as PARTS 2
//                       takes f16 below 2^-14 for zero
//   2^-3 to 65504       2^-21 of it                          2^-10 of it
//   to 131008           2^-11 of it: the second part is      what is above 65504
//                       large, and rounded to 11 bits
//   more                what is above 131008                 what is above 65504
//
// The loss is half of each fraction if conversions round to nearest. Rows after a norm are far
// below 65504; values between FFN and down may be above.
//
// A workgroup is four subgroups. It loads its rows and columns into workgroup memory, 32 k at a
// time, and each subgroup multiplies 2 x 4 matrices. Every sum runs over k in ascending order, in
// steps of the units' inner size, whatever its place in the tile and whatever else is in the tile.
// If the units sum every row in the same way, a row has the same bits in every batch.
//
// The kernel defines params.rows, params.columns, params.blocks and x_at(i), the i-th vec4 of
// x [rows, 8 * blocks]. PAIRED: the weight part is [8 * blocks, 2 * columns], the first of each pair in
// front; a subgroup's matrices 0 and 1 of a row of four hold the first, 2 and 3 their seconds.
override PARTS: u32 = 2u;
override PAIRED: u32 = 0u;
override WORKGROUP: u32 = 128u; // four subgroups
override SUBGROUP_ROWS: u32 = 2u; // subgroups one above another: 1 or 2

const SUBGROUPS = 4u;
// Of the inner dimension, in vec4: the step, and what a row of it takes in workgroup memory. The gap
// keeps rows that are read together in different banks.
const STEP = 8u;
const STRIDE = 10u;
const ELEMENTS = MATRIX_ROWS * MATRIX_COLUMNS;
const MOST_F16 = vec4<f32>(65504.0);

override TILE_ROWS: u32 = SUBGROUP_ROWS * 2u * MATRIX_ROWS;
override TILE_COLUMNS: u32 = SUBGROUPS / SUBGROUP_ROWS * 4u * MATRIX_COLUMNS;

var<workgroup> x_tile: array<vec4<f16>, PARTS * TILE_ROWS * STRIDE>;
var<workgroup> w_tile: array<vec4<f16>, TILE_COLUMNS * STRIDE>;
var<workgroup> taken: array<f32, SUBGROUPS * ELEMENTS>; // one matrix of each subgroup

fn bring_x(thread: u32, first_row: u32, step: u32) {
  let inner = 2u * params.blocks;
  for (var i = thread; i < TILE_ROWS * STEP; i += WORKGROUP) {
    let row = min(first_row + i / STEP, params.rows - 1u);
    let k4 = step + i % STEP;
    let value = select(vec4<f32>(0.0), x_at(row * inner + min(k4, inner - 1u)), k4 < inner);
    let near = clamp(value, -MOST_F16, MOST_F16);
    let to = i / STEP * STRIDE + i % STEP;
    if (PARTS == 1u) {
      x_tile[to] = vec4<f16>(near);
    } else {
      // Rounded by masking bits, because a compiler may remove a conversion to f16 and back.
      let whole = bitcast<vec4<f32>>(bitcast<vec4<u32>>(near) & vec4<u32>(0xffffe000u));
      x_tile[to] = vec4<f16>(whole);
      x_tile[TILE_ROWS * STRIDE + to] = vec4<f16>(clamp(value - whole, -MOST_F16, MOST_F16));
    }
  }
}

// Which column of the weights stands at a place of the tile.
fn weight_column(place: u32, group: u32) -> u32 {
  if (PAIRED == 0u) {
    return min(group * TILE_COLUMNS + place, params.columns - 1u);
  }
  let within = place % (4u * MATRIX_COLUMNS);
  let pair = within % (2u * MATRIX_COLUMNS);
  let first = group * (TILE_COLUMNS / 2u) + place / (4u * MATRIX_COLUMNS) * (2u * MATRIX_COLUMNS);
  return min(first + pair, params.columns - 1u) + select(0u, params.columns, within != pair);
}

fn bring_weights(thread: u32, group: u32, step: u32) {
  let width = params.columns * (1u + PAIRED);
  for (var i = thread; i < TILE_COLUMNS * (STEP / 2u); i += WORKGROUP) {
    let place = i % TILE_COLUMNS;
    // Behind the last block x is zero: what is brought there must only be finite.
    let block = min(step / 2u + i / TILE_COLUMNS, params.blocks - 1u);
    let w = load_weight8(block, weight_column(place, group), width);
    let to = place * STRIDE + i / TILE_COLUMNS * 2u;
    w_tile[to] = vec4<f16>(w.low);
    w_tile[to + 1u] = vec4<f16>(w.high);
  }
}

fn left(part: u32, row: u32, k: u32) -> Left {
  let at = (part * TILE_ROWS + row) * STRIDE + k / 4u;
  return subgroupMatrixLoad<Left, row_major>(&x_tile, at, STRIDE);
}

fn right(column: u32, k: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&w_tile, column * STRIDE + k / 4u, STRIDE);
}

// Where a subgroup's matrices begin in the workgroup's tile.
fn subgroup_row(subgroup: u32) -> u32 {
  return subgroup % SUBGROUP_ROWS * 2u * MATRIX_ROWS;
}

fn subgroup_column(subgroup: u32) -> u32 {
  return subgroup / SUBGROUP_ROWS * 4u * MATRIX_COLUMNS;
}

// A subgroup's sums: two rows of four matrices.
fn multiply_matrices(group: vec3<u32>, thread: u32, subgroup: u32) -> array<Product, 8> {
  var sums: array<Product, 8>;
  let row = subgroup_row(subgroup);
  let column = subgroup_column(subgroup);
  for (var step = 0u; step < 2u * params.blocks; step += STEP) {
    workgroupBarrier();
    bring_x(thread, group.x * TILE_ROWS, step);
    bring_weights(thread, group.y, step);
    workgroupBarrier();
    for (var k = 0u; k < 4u * STEP; k += MATRIX_INNER) {
      let a = right(column, k);
      let b = right(column + MATRIX_COLUMNS, k);
      let c = right(column + 2u * MATRIX_COLUMNS, k);
      let d = right(column + 3u * MATRIX_COLUMNS, k);
      for (var part = 0u; part < PARTS; part++) {
        let upper = left(part, row, k);
        sums[0] = subgroupMatrixMultiplyAccumulate(upper, a, sums[0]);
        sums[1] = subgroupMatrixMultiplyAccumulate(upper, b, sums[1]);
        sums[2] = subgroupMatrixMultiplyAccumulate(upper, c, sums[2]);
        sums[3] = subgroupMatrixMultiplyAccumulate(upper, d, sums[3]);
        let lower = left(part, row + MATRIX_ROWS, k);
        sums[4] = subgroupMatrixMultiplyAccumulate(lower, a, sums[4]);
        sums[5] = subgroupMatrixMultiplyAccumulate(lower, b, sums[5]);
        sums[6] = subgroupMatrixMultiplyAccumulate(lower, c, sums[6]);
        sums[7] = subgroupMatrixMultiplyAccumulate(lower, d, sums[7]);
      }
    }
  }
  return sums;
}

// Elements of a matrix that a lane takes, at most: 64 among 8 lanes, or 256 among 32.
const TAKEN = 8u;

// The row and column in a matrix of a lane's j-th element; beyond the last row there is none.
fn element(lane: u32, j: u32) -> vec2<u32> {
  let i = lane + j * (WORKGROUP / SUBGROUPS);
  return vec2<u32>(i / MATRIX_COLUMNS, i % MATRIX_COLUMNS);
}

// Hands a matrix's elements out to the lanes.
fn take(subgroup: u32, lane: u32, product: Product) -> array<f32, TAKEN> {
  let start = subgroup * ELEMENTS;
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&taken, start, product, MATRIX_COLUMNS);
  workgroupBarrier();
  var values: array<f32, TAKEN>;
  for (var j = 0u; j < TAKEN; j++) {
    values[j] = taken[start + min(lane + j * (WORKGROUP / SUBGROUPS), ELEMENTS - 1u)];
  }
  return values;
}
