// Multiplies on matrix units as lib/matrix_tile.wgsl does: four subgroups, each with factors of its
// own in workgroup memory, two steps of the inner size, the product through workgroup memory.
// factors: for each subgroup a left factor [MATRIX_ROWS, 2 * MATRIX_INNER] of f32, then a right one by
// columns, [MATRIX_COLUMNS, 2 * MATRIX_INNER]; products: for each subgroup [MATRIX_ROWS, MATRIX_COLUMNS].
@group(0) @binding(0) var<storage, read_write> products: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;

override WORKGROUP: u32 = 128u; // four subgroups

const SUBGROUPS = 4u;
const WIDTH = 2u * MATRIX_INNER;
const LEFTS = MATRIX_ROWS * WIDTH;
const RIGHTS = MATRIX_COLUMNS * WIDTH;
const ELEMENTS = MATRIX_ROWS * MATRIX_COLUMNS;

var<workgroup> tile: array<f16, SUBGROUPS * (LEFTS + RIGHTS)>;
var<workgroup> taken: array<f32, SUBGROUPS * ELEMENTS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  for (var i = thread; i < SUBGROUPS * (LEFTS + RIGHTS); i += WORKGROUP) {
    tile[i] = f16(factors[i]);
  }
  workgroupBarrier();
  var sum: Product;
  let start = subgroup * (LEFTS + RIGHTS);
  for (var k = 0u; k < WIDTH; k += MATRIX_INNER) {
    let left = subgroupMatrixLoad<Left, row_major>(&tile, start + k, WIDTH);
    let right = subgroupMatrixLoad<Right, col_major>(&tile, start + LEFTS + k, WIDTH);
    sum = subgroupMatrixMultiplyAccumulate(left, right, sum);
  }
  subgroupMatrixStore<row_major>(&taken, subgroup * ELEMENTS, sum, MATRIX_COLUMNS);
  workgroupBarrier();
  for (var i = thread; i < SUBGROUPS * ELEMENTS; i += WORKGROUP) {
    products[i] = taken[i];
  }
}
