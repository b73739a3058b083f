// sums[i][c] = sum over k of x[row(i), k] * w[k, columns[c]], for 8 * ROW_GROUPS rows and 4 columns a
// lane. Every sum runs over k in ascending order, whatever the tile: a row has the same bits alone and
// in any batch.
//
// The kernel defines x_at(i), the i-th vec4 of x [rows, 8 * blocks]; products_f32.wgsl or
// products_f16.wgsl say in what the products are made.

// Whether one turn is best made in matmul's loop over turns as well, which gives compilers more room.
const LOOPED = true;

// Of a lane's four columns, as they lie in memory.
struct Units4 {
  a: Unit8,
  b: Unit8,
  c: Unit8,
  d: Unit8,
}

fn load_columns(block: u32, at: vec4<u32>, columns: u32) -> Units4 {
  return Units4(
    load_unit8(block, at.x, columns), load_unit8(block, at.y, columns),
    load_unit8(block, at.z, columns), load_unit8(block, at.w, columns),
  );
}

// Behind the last block, which lanes with a shorter split reach, a term is 0.
fn x_in(i: u32, inside: bool) -> RowUnit {
  if (WORKGROUP == LANES) {
    return x_at(i);
  }
  return select(RowUnit(), x_at(i), inside);
}

// `rows`: by rows_of_tile; `own`: as first_unit has it.
fn multiply_tile(
  thread: u32, rows: vec4<u32>, at: vec4<u32>, columns: u32, blocks: u32, own: u32,
) {
  let begin = first_unit(thread, own, blocks);
  let turns = turns_of(own, blocks);
  var next: Units4;
  if (AHEAD) {
    next = load_columns(min(begin, blocks - 1u), at, columns);
  }
  for (var turn = 0u; turn < turns; turn++) {
    let block = begin + turn;
    var w: Columns4;
    if (AHEAD) {
      w = columns_of(next, block);
      next = load_columns(min(block + 1u, blocks - 1u), at, columns);
    } else if (WORKGROUP > LANES) {
      w = columns_of(load_columns(min(block, blocks - 1u), at, columns), block);
    } else {
      w = columns_of(load_columns(block, at, columns), block);
    }
    let inside = block < blocks;
    let x = eight_rows(thread, rows, 0u, 2u * blocks, 2u * block, inside);
    sums[0] = accumulate(sums[0], x.a[0], x.b[0], w);
    sums[1] = accumulate(sums[1], x.a[1], x.b[1], w);
    sums[2] = accumulate(sums[2], x.a[2], x.b[2], w);
    sums[3] = accumulate(sums[3], x.a[3], x.b[3], w);
    sums[4] = accumulate(sums[4], x.a[4], x.b[4], w);
    sums[5] = accumulate(sums[5], x.a[5], x.b[5], w);
    sums[6] = accumulate(sums[6], x.a[6], x.b[6], w);
    sums[7] = accumulate(sums[7], x.a[7], x.b[7], w);
    if (ROW_GROUPS >= 2u) {
      let z = eight_rows(thread, rows, 1u, 2u * blocks, 2u * block, inside);
      sums[8] = accumulate(sums[8], z.a[0], z.b[0], w);
      sums[9] = accumulate(sums[9], z.a[1], z.b[1], w);
      sums[10] = accumulate(sums[10], z.a[2], z.b[2], w);
      sums[11] = accumulate(sums[11], z.a[3], z.b[3], w);
      sums[12] = accumulate(sums[12], z.a[4], z.b[4], w);
      sums[13] = accumulate(sums[13], z.a[5], z.b[5], w);
      sums[14] = accumulate(sums[14], z.a[6], z.b[6], w);
      sums[15] = accumulate(sums[15], z.a[7], z.b[7], w);
    }
    if (ROW_GROUPS == 4u) {
      let p = eight_rows(thread, rows, 2u, 2u * blocks, 2u * block, inside);
      sums[16] = accumulate(sums[16], p.a[0], p.b[0], w);
      sums[17] = accumulate(sums[17], p.a[1], p.b[1], w);
      sums[18] = accumulate(sums[18], p.a[2], p.b[2], w);
      sums[19] = accumulate(sums[19], p.a[3], p.b[3], w);
      sums[20] = accumulate(sums[20], p.a[4], p.b[4], w);
      sums[21] = accumulate(sums[21], p.a[5], p.b[5], w);
      sums[22] = accumulate(sums[22], p.a[6], p.b[6], w);
      sums[23] = accumulate(sums[23], p.a[7], p.b[7], w);
      let q = eight_rows(thread, rows, 3u, 2u * blocks, 2u * block, inside);
      sums[24] = accumulate(sums[24], q.a[0], q.b[0], w);
      sums[25] = accumulate(sums[25], q.a[1], q.b[1], w);
      sums[26] = accumulate(sums[26], q.a[2], q.b[2], w);
      sums[27] = accumulate(sums[27], q.a[3], q.b[3], w);
      sums[28] = accumulate(sums[28], q.a[4], q.b[4], w);
      sums[29] = accumulate(sums[29], q.a[5], q.b[5], w);
      sums[30] = accumulate(sums[30], q.a[6], q.b[6], w);
      sums[31] = accumulate(sums[31], q.a[7], q.b[7], w);
    }
  }
}
