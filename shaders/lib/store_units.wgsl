// Sums of 32 rows and one unit of four columns are stored: kernels of products in training. The kernel
// has c, params (rows, add, c_stride, part_stride, column_units) and sums, a unit's rows in order.

// One store: a software adapter runs both sides of a branch.
fn store(row: u32, at: u32, value: vec4<f32>) {
  if (row < params.rows) {
    var sum = value;
    if (params.add == 1u) {
      sum += c[at];
    }
    c[at] = sum;
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
