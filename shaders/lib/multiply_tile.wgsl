// sums[i][c] = sum over k of x[row(i), k] * w[k, columns[c]], for 8 * ROW_GROUPS rows and 4 columns a
// lane. Every sum runs over k in ascending order, whatever the tile: a row has the same bits alone and
// in any batch.
//
// The kernel defines x_at(i), the i-th vec4 of x [rows, 8 * blocks]; products_f32.wgsl or
// products_f16.wgsl say in what the products are made.

// Behind the last block, which splits of unequal length reach, a term is 0.
fn x_in(i: u32, inside: bool) -> vec4<f32> {
  if (SPLITS == 1u) {
    return x_at(i);
  }
  return select(vec4<f32>(0.0), x_at(i), inside);
}

// `rows`: the two rows that this lane brings, of the first and of the second group of eight.
fn multiply_tile(thread: u32, rows: vec2<u32>, at: vec4<u32>, columns: u32, blocks: u32) {
  let start = rows * blocks * 2u;
  let each = (blocks + SPLITS - 1u) / SPLITS;
  var begin = 0u;
  if (SPLITS > 1u) {
    begin = thread / LANES * each;
  }
  for (var block = begin; block < begin + each; block++) {
    var held = block;
    if (SPLITS > 1u) {
      held = min(block, blocks - 1u);
    }
    let w = load_columns(held, at, columns);
    let from_first = start.x + 2u * block;
    let inside = block < blocks;
    let x = gather_rows(thread, x_in(from_first, inside), x_in(from_first + 1u, inside));
    sums[0] = accumulate(sums[0], x.a[0], x.b[0], w);
    sums[1] = accumulate(sums[1], x.a[1], x.b[1], w);
    sums[2] = accumulate(sums[2], x.a[2], x.b[2], w);
    sums[3] = accumulate(sums[3], x.a[3], x.b[3], w);
    sums[4] = accumulate(sums[4], x.a[4], x.b[4], w);
    sums[5] = accumulate(sums[5], x.a[5], x.b[5], w);
    sums[6] = accumulate(sums[6], x.a[6], x.b[6], w);
    sums[7] = accumulate(sums[7], x.a[7], x.b[7], w);
    if (ROW_GROUPS == 2u) {
      let from_second = start.y + 2u * block;
      let z = gather_rows(thread, x_in(from_second, inside), x_in(from_second + 1u, inside));
      sums[8] = accumulate(sums[8], z.a[0], z.b[0], w);
      sums[9] = accumulate(sums[9], z.a[1], z.b[1], w);
      sums[10] = accumulate(sums[10], z.a[2], z.b[2], w);
      sums[11] = accumulate(sums[11], z.a[3], z.b[3], w);
      sums[12] = accumulate(sums[12], z.a[4], z.b[4], w);
      sums[13] = accumulate(sums[13], z.a[5], z.b[5], w);
      sums[14] = accumulate(sums[14], z.a[6], z.b[6], w);
      sums[15] = accumulate(sums[15], z.a[7], z.b[7], w);
    }
  }
}
