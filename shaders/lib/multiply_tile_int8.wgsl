// As multiply_tile.wgsl, with activations quantised by quantize_rows.wgsl: 32 codes of a row by 32 of a
// column are multiplied and added up exactly, in integers, and join the f32 sum times both scales.
//
// The kernel defines x_at(i), the i-th vec4 of x [rows, 3 * groups of 32]: 32 codes in two vec4, then
// (scale, 0, 0, 0). The weights' snippet defines load_codes32 and load_scale.

// 32 consecutive codes of a lane's four columns, and their scales.
struct Columns4 {
  a: Codes32,
  b: Codes32,
  c: Codes32,
  d: Codes32,
  scales: vec4<f32>,
}

fn load_columns(group: u32, at: vec4<u32>, columns: u32, blocks: u32) -> Columns4 {
  return Columns4(
    load_codes32(group, at.x, columns, blocks),
    load_codes32(group, at.y, columns, blocks),
    load_codes32(group, at.z, columns, blocks),
    load_codes32(group, at.w, columns, blocks),
    vec4<f32>(
      load_scale(group, at.x, columns), load_scale(group, at.y, columns),
      load_scale(group, at.z, columns), load_scale(group, at.w, columns),
    ),
  );
}

fn dot32(x_low: vec4<u32>, x_high: vec4<u32>, w: Codes32) -> i32 {
  return dot4I8Packed(x_low.x, w.low.x) + dot4I8Packed(x_low.y, w.low.y) +
    dot4I8Packed(x_low.z, w.low.z) + dot4I8Packed(x_low.w, w.low.w) +
    dot4I8Packed(x_high.x, w.high.x) + dot4I8Packed(x_high.y, w.high.y) +
    dot4I8Packed(x_high.z, w.high.z) + dot4I8Packed(x_high.w, w.high.w);
}

fn accumulate(
  sum: vec4<f32>, x_low: vec4<f32>, x_high: vec4<f32>, scale: f32, w: Columns4,
) -> vec4<f32> {
  let low = bitcast<vec4<u32>>(x_low);
  let high = bitcast<vec4<u32>>(x_high);
  let products = vec4<i32>(
    dot32(low, high, w.a), dot32(low, high, w.b), dot32(low, high, w.c), dot32(low, high, w.d),
  );
  return fma(vec4<f32>(products), scale * w.scales, sum);
}

// Behind the last group, which lanes with a shorter split reach, a term is 0.
fn x_in(i: u32, inside: bool) -> vec4<f32> {
  if (WORKGROUP == LANES) {
    return x_at(i);
  }
  return select(vec4<f32>(0.0), x_at(i), inside);
}

// `rows`: the rows that this lane brings, one of each group of eight; `split`: by split_of.
fn multiply_tile(
  thread: u32, rows: vec4<u32>, at: vec4<u32>, columns: u32, blocks: u32, split: u32,
) {
  let groups = (blocks + 3u) / 4u;
  let row_start = rows * groups * 3u;
  let each = (groups + SPLITS - 1u) / SPLITS;
  var begin = 0u;
  if (SPLITS > 1u) {
    begin = split * each;
  }
  // Lanes with different splits take as many turns: those that hand rows to each other must do it
  // together.
  var turns = each;
  if (SPLITS > 1u && WORKGROUP == LANES) {
    turns = min(each, max(groups, begin) - begin);
  }
  for (var turn = 0u; turn < turns; turn++) {
    let group = begin + turn;
    let w = load_columns(min(group, groups - 1u), at, columns, blocks);
    let inside = group < groups;
    let from_first = row_start.x + 3u * group;
    let x = gather_rows(thread, x_in(from_first, inside), x_in(from_first + 1u, inside));
    let first_scale = x_in(from_first + 2u, inside);
    let xs = gather_rows(thread, first_scale, first_scale);
    sums[0] = accumulate(sums[0], x.a[0], x.b[0], xs.a[0].x, w);
    sums[1] = accumulate(sums[1], x.a[1], x.b[1], xs.a[1].x, w);
    sums[2] = accumulate(sums[2], x.a[2], x.b[2], xs.a[2].x, w);
    sums[3] = accumulate(sums[3], x.a[3], x.b[3], xs.a[3].x, w);
    sums[4] = accumulate(sums[4], x.a[4], x.b[4], xs.a[4].x, w);
    sums[5] = accumulate(sums[5], x.a[5], x.b[5], xs.a[5].x, w);
    sums[6] = accumulate(sums[6], x.a[6], x.b[6], xs.a[6].x, w);
    sums[7] = accumulate(sums[7], x.a[7], x.b[7], xs.a[7].x, w);
    if (ROW_GROUPS >= 2u) {
      let from_second = row_start.y + 3u * group;
      let z = gather_rows(thread, x_in(from_second, inside), x_in(from_second + 1u, inside));
      let second_scale = x_in(from_second + 2u, inside);
      let zs = gather_rows(thread, second_scale, second_scale);
      sums[8] = accumulate(sums[8], z.a[0], z.b[0], zs.a[0].x, w);
      sums[9] = accumulate(sums[9], z.a[1], z.b[1], zs.a[1].x, w);
      sums[10] = accumulate(sums[10], z.a[2], z.b[2], zs.a[2].x, w);
      sums[11] = accumulate(sums[11], z.a[3], z.b[3], zs.a[3].x, w);
      sums[12] = accumulate(sums[12], z.a[4], z.b[4], zs.a[4].x, w);
      sums[13] = accumulate(sums[13], z.a[5], z.b[5], zs.a[5].x, w);
      sums[14] = accumulate(sums[14], z.a[6], z.b[6], zs.a[6].x, w);
      sums[15] = accumulate(sums[15], z.a[7], z.b[7], zs.a[7].x, w);
    }
    if (ROW_GROUPS == 4u) {
      let from_third = row_start.z + 3u * group;
      let p = gather_rows(thread, x_in(from_third, inside), x_in(from_third + 1u, inside));
      let third_scale = x_in(from_third + 2u, inside);
      let ps = gather_rows(thread, third_scale, third_scale);
      sums[16] = accumulate(sums[16], p.a[0], p.b[0], ps.a[0].x, w);
      sums[17] = accumulate(sums[17], p.a[1], p.b[1], ps.a[1].x, w);
      sums[18] = accumulate(sums[18], p.a[2], p.b[2], ps.a[2].x, w);
      sums[19] = accumulate(sums[19], p.a[3], p.b[3], ps.a[3].x, w);
      sums[20] = accumulate(sums[20], p.a[4], p.b[4], ps.a[4].x, w);
      sums[21] = accumulate(sums[21], p.a[5], p.b[5], ps.a[5].x, w);
      sums[22] = accumulate(sums[22], p.a[6], p.b[6], ps.a[6].x, w);
      sums[23] = accumulate(sums[23], p.a[7], p.b[7], ps.a[7].x, w);
      let from_fourth = row_start.w + 3u * group;
      let q = gather_rows(thread, x_in(from_fourth, inside), x_in(from_fourth + 1u, inside));
      let fourth_scale = x_in(from_fourth + 2u, inside);
      let qs = gather_rows(thread, fourth_scale, fourth_scale);
      sums[24] = accumulate(sums[24], q.a[0], q.b[0], qs.a[0].x, w);
      sums[25] = accumulate(sums[25], q.a[1], q.b[1], qs.a[1].x, w);
      sums[26] = accumulate(sums[26], q.a[2], q.b[2], qs.a[2].x, w);
      sums[27] = accumulate(sums[27], q.a[3], q.b[3], qs.a[3].x, w);
      sums[28] = accumulate(sums[28], q.a[4], q.b[4], qs.a[4].x, w);
      sums[29] = accumulate(sums[29], q.a[5], q.b[5], qs.a[5].x, w);
      sums[30] = accumulate(sums[30], q.a[6], q.b[6], qs.a[6].x, w);
      sums[31] = accumulate(sums[31], q.a[7], q.b[7], qs.a[7].x, w);
    }
  }
}
