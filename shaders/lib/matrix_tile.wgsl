// Products of rows and weights on matrix units: f16 factors, f32 sums. x comes from matrix_rows.wgsl, in
// PARTS f16 each; a weight is rounded to one f16.
//
// A workgroup makes a tile of TILE_ROWS x TILE_COLUMNS: SUBGROUPS subgroups, SUBGROUP_ROWS of them one above
// another, each with 2 x WIDE matrices. It widens its columns' weights into workgroup memory, 32 k at a
// time, and asks for those of the next turn before it multiplies. Rows come straight from memory. Every
// sum runs over k in ascending order, in steps of the units' inner size, part by part, whatever its place
// in the tile and whatever the tile. If the units sum every row in the same way, a row has the same bits
// in every batch.
//
// The kernel defines params.rows, params.columns, params.blocks and x, in whole matrices. PAIRED: the weight
// part is [8 * blocks, 2 * columns], the first of each pair in front; the first half of a subgroup's
// matrices in a row holds the first, the other half their seconds.
override PARTS: u32 = 2u;
override PAIRED: u32 = 0u;
override WORKGROUP: u32 = 128u; // lanes of SUBGROUPS subgroups
override SUBGROUPS: u32 = 4u;
override SUBGROUP_ROWS: u32 = 2u; // 1, 2 or 4
override WIDE: u32 = 4u; // matrices of a subgroup side by side: 2 or 4, or 1 if not PAIRED

// Of the inner dimension, in vec4: the step, and what a row of it takes in workgroup memory. The gap
// keeps rows that are read together in different banks.
const STEP = 8u;
const STRIDE = 10u;
const ELEMENTS = MATRIX_ROWS * MATRIX_COLUMNS;
const MATRIX_UNITS = MATRIX_ROWS * MATRIX_INNER / 4u; // of a matrix of x, in vec4
// Blocks of eight weights that a lane brings in a turn, at most.
const MOST_BLOCKS = 8u;

override TILE_ROWS: u32 = SUBGROUP_ROWS * 2u * MATRIX_ROWS;
override SUBGROUP_WIDTH: u32 = WIDE * MATRIX_COLUMNS;
override TILE_COLUMNS: u32 = SUBGROUPS / SUBGROUP_ROWS * SUBGROUP_WIDTH;
override LANE_BLOCKS: u32 = TILE_COLUMNS * (STEP / 2u) / WORKGROUP;

var<workgroup> w_tile: array<vec4<f16>, TILE_COLUMNS * STRIDE>;
var<workgroup> taken: array<f32, SUBGROUPS * ELEMENTS>; // one matrix of each subgroup

// Which column of the weights stands at a place of the tile.
fn weight_column(place: u32, group: u32) -> u32 {
  if (PAIRED == 0u) {
    return min(group * TILE_COLUMNS + place, params.columns - 1u);
  }
  let half = SUBGROUP_WIDTH / 2u;
  let pair = (group * TILE_COLUMNS + place) / SUBGROUP_WIDTH * half + place % half;
  return min(pair, params.columns - 1u) + select(0u, params.columns, place % SUBGROUP_WIDTH >= half);
}

// A lane's share of the weights of a turn.
fn weights_of(thread: u32, group: u32, step: u32) -> array<Weight8, MOST_BLOCKS> {
  let width = params.columns * (1u + PAIRED);
  var weights: array<Weight8, MOST_BLOCKS>;
  for (var j = 0u; j < LANE_BLOCKS; j++) {
    let i = thread + j * WORKGROUP;
    // Behind the last block x is zero: what is brought there must only be finite.
    let block = min(step / 2u + i / TILE_COLUMNS, params.blocks - 1u);
    weights[j] = load_weight8(block, weight_column(i % TILE_COLUMNS, group), width);
  }
  return weights;
}

fn bring(thread: u32, weights: array<Weight8, MOST_BLOCKS>) {
  for (var j = 0u; j < LANE_BLOCKS; j++) {
    let i = thread + j * WORKGROUP;
    let to = i % TILE_COLUMNS * STRIDE + i / TILE_COLUMNS * 2u;
    w_tile[to] = vec4<f16>(weights[j].low);
    w_tile[to + 1u] = vec4<f16>(weights[j].high);
  }
}

// Matrices of x in a row of them: whole turns.
fn k_tiles() -> u32 {
  return (2u * params.blocks + STEP - 1u) / STEP * (4u * STEP / MATRIX_INNER);
}

fn left(row_tile: u32, k_tile: u32, part: u32) -> Left {
  // Behind the last row the last matrix is repeated; nobody takes what is made of it.
  let tile = min(row_tile, (params.rows - 1u) / MATRIX_ROWS);
  let matrix = (tile * k_tiles() + k_tile) * PARTS + part;
  return subgroupMatrixLoad<Left, row_major>(&x, matrix * MATRIX_UNITS, MATRIX_INNER / 4u);
}

fn right(column: u32, k: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&w_tile, column * STRIDE + k / 4u, STRIDE);
}

// Where a subgroup's matrices begin in the workgroup's tile.
fn subgroup_row(subgroup: u32) -> u32 {
  return subgroup % SUBGROUP_ROWS * 2u * MATRIX_ROWS;
}

fn subgroup_column(subgroup: u32) -> u32 {
  return subgroup / SUBGROUP_ROWS * SUBGROUP_WIDTH;
}

// A subgroup's sums: two rows of four matrices, of which WIDE are used.
fn multiply_matrices(group: vec3<u32>, thread: u32, subgroup: u32) -> array<Product, 8> {
  var sums: array<Product, 8>;
  let row_tile = (group.x * TILE_ROWS + subgroup_row(subgroup)) / MATRIX_ROWS;
  let column = subgroup_column(subgroup);
  let end = 2u * params.blocks;
  var weights = weights_of(thread, group.y, 0u);
  for (var step = 0u; step < end; step += STEP) {
    workgroupBarrier();
    bring(thread, weights);
    workgroupBarrier();
    weights = weights_of(thread, group.y, step + STEP);
    for (var k = 0u; k < 4u * STEP; k += MATRIX_INNER) {
      let k_tile = (4u * step + k) / MATRIX_INNER;
      let a = right(column, k);
      if (WIDE == 1u) {
        for (var part = 0u; part < PARTS; part++) {
          sums[0] = subgroupMatrixMultiplyAccumulate(left(row_tile, k_tile, part), a, sums[0]);
          sums[4] = subgroupMatrixMultiplyAccumulate(left(row_tile + 1u, k_tile, part), a, sums[4]);
        }
        continue;
      }
      let b = right(column + MATRIX_COLUMNS, k);
      if (WIDE == 4u) {
        let c = right(column + 2u * MATRIX_COLUMNS, k);
        let d = right(column + 3u * MATRIX_COLUMNS, k);
        for (var part = 0u; part < PARTS; part++) {
          let upper = left(row_tile, k_tile, part);
          sums[0] = subgroupMatrixMultiplyAccumulate(upper, a, sums[0]);
          sums[1] = subgroupMatrixMultiplyAccumulate(upper, b, sums[1]);
          sums[2] = subgroupMatrixMultiplyAccumulate(upper, c, sums[2]);
          sums[3] = subgroupMatrixMultiplyAccumulate(upper, d, sums[3]);
          let lower = left(row_tile + 1u, k_tile, part);
          sums[4] = subgroupMatrixMultiplyAccumulate(lower, a, sums[4]);
          sums[5] = subgroupMatrixMultiplyAccumulate(lower, b, sums[5]);
          sums[6] = subgroupMatrixMultiplyAccumulate(lower, c, sums[6]);
          sums[7] = subgroupMatrixMultiplyAccumulate(lower, d, sums[7]);
        }
      } else {
        for (var part = 0u; part < PARTS; part++) {
          let upper = left(row_tile, k_tile, part);
          sums[0] = subgroupMatrixMultiplyAccumulate(upper, a, sums[0]);
          sums[1] = subgroupMatrixMultiplyAccumulate(upper, b, sums[1]);
          let lower = left(row_tile + 1u, k_tile, part);
          sums[4] = subgroupMatrixMultiplyAccumulate(lower, a, sums[4]);
          sums[5] = subgroupMatrixMultiplyAccumulate(lower, b, sums[5]);
        }
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
