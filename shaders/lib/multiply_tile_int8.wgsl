// As multiply_tile.wgsl, with activations quantised by quantize_rows.wgsl: 32 codes of a row by 32 of a
// column are multiplied and added up exactly, in integers, and join the f32 sum times both scales.
//
// The kernel defines x_at(i), the i-th vec4 of x [rows, 3 * groups of 32]: 32 codes in two vec4, then
// (scale, 0, 0, 0). Behind the last block they are 0, so what a column's codes are there does not matter.
// The weights' snippet defines load_units32, codes32, load_scales and scale_of.

const LOOPED = false; // as in multiply_tile.wgsl: scalar registers are short

// 32 consecutive codes of a lane's four columns, and their scales, as they lie in memory.
struct Units4 {
  a: Units32,
  b: Units32,
  c: Units32,
  d: Units32,
  scales: vec4<u32>,
}

struct Columns4 {
  a: Codes32,
  b: Codes32,
  c: Codes32,
  d: Codes32,
  scales: vec4<f32>,
}

fn load_columns(group: u32, at: vec4<u32>, columns: u32, blocks: u32) -> Units4 {
  return Units4(
    load_units32(group, at.x, columns, blocks),
    load_units32(group, at.y, columns, blocks),
    load_units32(group, at.z, columns, blocks),
    load_units32(group, at.w, columns, blocks),
    vec4<u32>(
      load_scales(group, at.x, columns), load_scales(group, at.y, columns),
      load_scales(group, at.z, columns), load_scales(group, at.w, columns),
    ),
  );
}

fn columns_of(units: Units4, group: u32) -> Columns4 {
  return Columns4(
    codes32(units.a), codes32(units.b), codes32(units.c), codes32(units.d),
    vec4<f32>(
      scale_of(units.scales.x, group), scale_of(units.scales.y, group),
      scale_of(units.scales.z, group), scale_of(units.scales.w, group),
    ),
  );
}

// On a GPU: an integer below 2^22 added to these bits of 1.5 * 2^23 is that number plus the integer, and
// to subtract the number again takes less than a conversion.
const OFFSET = 12582912.0;
const START = select(0, 0x4b400000, AHEAD);

fn number_of(sums: vec4<i32>) -> vec4<f32> {
  if (AHEAD) {
    return bitcast<vec4<f32>>(sums) - OFFSET;
  }
  return vec4<f32>(sums);
}

fn dot32(x_low: vec4<u32>, x_high: vec4<u32>, w: Codes32) -> i32 {
  return START +
    dot4I8Packed(x_low.x, w.low.x) + dot4I8Packed(x_low.y, w.low.y) +
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
  return fma(number_of(products), scale * w.scales, sum);
}

// Behind the last group, which lanes with a shorter split reach, a term is 0.
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
  let groups = (blocks + 3u) / 4u;
  let units = 3u * groups; // of a row
  let begin = first_unit(thread, own, groups);
  let turns = turns_of(own, groups);
  var next: Units4;
  if (AHEAD) {
    next = load_columns(min(begin, groups - 1u), at, columns, blocks);
  }
  for (var turn = 0u; turn < turns; turn++) {
    let group = begin + turn;
    let last = min(group, groups - 1u);
    var w: Columns4;
    if (AHEAD) {
      w = columns_of(next, group);
      next = load_columns(min(group + 1u, groups - 1u), at, columns, blocks);
    } else {
      w = columns_of(load_columns(last, at, columns, blocks), last);
    }
    let inside = group < groups;
    let x = eight_rows(thread, rows, 0u, units, 3u * group, inside);
    let xs = eight_scales(thread, rows, 0u, units, 3u * group + 2u, inside);
    sums[0] = accumulate(sums[0], x.a[0], x.b[0], xs[0], w);
    sums[1] = accumulate(sums[1], x.a[1], x.b[1], xs[1], w);
    sums[2] = accumulate(sums[2], x.a[2], x.b[2], xs[2], w);
    sums[3] = accumulate(sums[3], x.a[3], x.b[3], xs[3], w);
    sums[4] = accumulate(sums[4], x.a[4], x.b[4], xs[4], w);
    sums[5] = accumulate(sums[5], x.a[5], x.b[5], xs[5], w);
    sums[6] = accumulate(sums[6], x.a[6], x.b[6], xs[6], w);
    sums[7] = accumulate(sums[7], x.a[7], x.b[7], xs[7], w);
    if (ROW_GROUPS >= 2u) {
      let z = eight_rows(thread, rows, 1u, units, 3u * group, inside);
      let zs = eight_scales(thread, rows, 1u, units, 3u * group + 2u, inside);
      sums[8] = accumulate(sums[8], z.a[0], z.b[0], zs[0], w);
      sums[9] = accumulate(sums[9], z.a[1], z.b[1], zs[1], w);
      sums[10] = accumulate(sums[10], z.a[2], z.b[2], zs[2], w);
      sums[11] = accumulate(sums[11], z.a[3], z.b[3], zs[3], w);
      sums[12] = accumulate(sums[12], z.a[4], z.b[4], zs[4], w);
      sums[13] = accumulate(sums[13], z.a[5], z.b[5], zs[5], w);
      sums[14] = accumulate(sums[14], z.a[6], z.b[6], zs[6], w);
      sums[15] = accumulate(sums[15], z.a[7], z.b[7], zs[7], w);
    }
    if (ROW_GROUPS == 4u) {
      let p = eight_rows(thread, rows, 2u, units, 3u * group, inside);
      let ps = eight_scales(thread, rows, 2u, units, 3u * group + 2u, inside);
      sums[16] = accumulate(sums[16], p.a[0], p.b[0], ps[0], w);
      sums[17] = accumulate(sums[17], p.a[1], p.b[1], ps[1], w);
      sums[18] = accumulate(sums[18], p.a[2], p.b[2], ps[2], w);
      sums[19] = accumulate(sums[19], p.a[3], p.b[3], ps[3], w);
      sums[20] = accumulate(sums[20], p.a[4], p.b[4], ps[4], w);
      sums[21] = accumulate(sums[21], p.a[5], p.b[5], ps[5], w);
      sums[22] = accumulate(sums[22], p.a[6], p.b[6], ps[6], w);
      sums[23] = accumulate(sums[23], p.a[7], p.b[7], ps[7], w);
      let q = eight_rows(thread, rows, 3u, units, 3u * group, inside);
      let qs = eight_scales(thread, rows, 3u, units, 3u * group + 2u, inside);
      sums[24] = accumulate(sums[24], q.a[0], q.b[0], qs[0], w);
      sums[25] = accumulate(sums[25], q.a[1], q.b[1], qs[1], w);
      sums[26] = accumulate(sums[26], q.a[2], q.b[2], qs[2], w);
      sums[27] = accumulate(sums[27], q.a[3], q.b[3], qs[3], w);
      sums[28] = accumulate(sums[28], q.a[4], q.b[4], qs[4], w);
      sums[29] = accumulate(sums[29], q.a[5], q.b[5], qs[5], w);
      sums[30] = accumulate(sums[30], q.a[6], q.b[6], qs[6], w);
      sums[31] = accumulate(sums[31], q.a[7], q.b[7], qs[7], w);
    }
  }
}
