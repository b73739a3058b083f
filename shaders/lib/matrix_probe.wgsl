// Multiplies on matrix units as lib/matrix_tile.wgsl does: four subgroups, each with factors of its own;
// the left ones straight from memory, the right ones and products through workgroup memory.
// lefts: for each subgroup [k tiles, MATRIX_ROWS, MATRIX_INNER] of f16; rights: for each subgroup by columns,
// [MATRIX_COLUMNS, WIDTH]; products: for each subgroup [MATRIX_ROWS, MATRIX_COLUMNS].
@group(0) @binding(0) var<storage, read_write> products: array<f32>;
@group(0) @binding(1) var<storage, read> lefts: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> rights: array<vec4<f16>>;

override WORKGROUP: u32 = 128u; // four subgroups

const SUBGROUPS = 4u;
const WIDTH = 8u; // of the inner dimension, in vec4
const STRIDE = 10u;
const COLUMNS = SUBGROUPS * MATRIX_COLUMNS;
const ELEMENTS = MATRIX_ROWS * MATRIX_COLUMNS;

var<workgroup> tile: array<vec4<f16>, COLUMNS * STRIDE>;
var<workgroup> taken: array<f32, SUBGROUPS * ELEMENTS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  for (var i = thread; i < COLUMNS * WIDTH; i += WORKGROUP) {
    tile[i / WIDTH * STRIDE + i % WIDTH] = rights[i];
  }
  workgroupBarrier();
  var sum: Product;
  for (var k = 0u; k < WIDTH; k += MATRIX_INNER / 4u) {
    let first = (subgroup * WIDTH + k) * MATRIX_ROWS;
    let left = subgroupMatrixLoad<Left, row_major>(&lefts, first, MATRIX_INNER / 4u);
    let column = subgroup * MATRIX_COLUMNS;
    let right = subgroupMatrixLoad<Right, col_major>(&tile, column * STRIDE + k, STRIDE);
    sum = subgroupMatrixMultiplyAccumulate(left, right, sum);
  }
  subgroupMatrixStore<row_major>(&taken, subgroup * ELEMENTS, sum, MATRIX_COLUMNS);
  workgroupBarrier();
  for (var i = thread; i < SUBGROUPS * ELEMENTS; i += WORKGROUP) {
    products[i] = taken[i];
  }
}
