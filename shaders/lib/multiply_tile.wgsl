// sums[i][c] = sum over k of x[row(i), k] * w[k, columns[c]], for 8 * ROW_GROUPS rows and 4 columns a
// lane. Every sum runs over k in ascending order with one fma per term, whatever the tile: a row has
// the same bits alone and in any batch.
//
// The kernel defines load_x4(row, k) -> x[row, k..k+4] and says where its rows start.

override ROW_GROUPS: u32 = 2u;

var<private> sums: array<vec4<f32>, 16>;

// Row k of the weights for a lane's four columns, eight k at a time.
struct Columns4 {
  k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>,
  k4: vec4<f32>, k5: vec4<f32>, k6: vec4<f32>, k7: vec4<f32>,
}

fn load_columns(block: u32, at: vec4<u32>, columns: u32) -> Columns4 {
  let a = load_weight8(block, at.x, columns);
  let b = load_weight8(block, at.y, columns);
  let c = load_weight8(block, at.z, columns);
  let d = load_weight8(block, at.w, columns);
  return Columns4(
    vec4<f32>(a.low.x, b.low.x, c.low.x, d.low.x),
    vec4<f32>(a.low.y, b.low.y, c.low.y, d.low.y),
    vec4<f32>(a.low.z, b.low.z, c.low.z, d.low.z),
    vec4<f32>(a.low.w, b.low.w, c.low.w, d.low.w),
    vec4<f32>(a.high.x, b.high.x, c.high.x, d.high.x),
    vec4<f32>(a.high.y, b.high.y, c.high.y, d.high.y),
    vec4<f32>(a.high.z, b.high.z, c.high.z, d.high.z),
    vec4<f32>(a.high.w, b.high.w, c.high.w, d.high.w),
  );
}

fn accumulate(sum: vec4<f32>, x_low: vec4<f32>, x_high: vec4<f32>, w: Columns4) -> vec4<f32> {
  var s = fma(vec4<f32>(x_low.x), w.k0, sum);
  s = fma(vec4<f32>(x_low.y), w.k1, s);
  s = fma(vec4<f32>(x_low.z), w.k2, s);
  s = fma(vec4<f32>(x_low.w), w.k3, s);
  s = fma(vec4<f32>(x_high.x), w.k4, s);
  s = fma(vec4<f32>(x_high.y), w.k5, s);
  s = fma(vec4<f32>(x_high.z), w.k6, s);
  return fma(vec4<f32>(x_high.w), w.k7, s);
}

// `rows`: the two rows that this lane brings, of the first and of the second group of eight.
fn multiply_tile(lane: u32, rows: vec2<u32>, at: vec4<u32>, columns: u32, blocks: u32) {
  for (var block = 0u; block < blocks; block++) {
    let w = load_columns(block, at, columns);
    let x = gather_rows(lane, load_x4(rows.x, 8u * block), load_x4(rows.x, 8u * block + 4u));
    sums[0] = accumulate(sums[0], x.a[0], x.b[0], w);
    sums[1] = accumulate(sums[1], x.a[1], x.b[1], w);
    sums[2] = accumulate(sums[2], x.a[2], x.b[2], w);
    sums[3] = accumulate(sums[3], x.a[3], x.b[3], w);
    sums[4] = accumulate(sums[4], x.a[4], x.b[4], w);
    sums[5] = accumulate(sums[5], x.a[5], x.b[5], w);
    sums[6] = accumulate(sums[6], x.a[6], x.b[6], w);
    sums[7] = accumulate(sums[7], x.a[7], x.b[7], w);
    if (ROW_GROUPS == 2u) {
      let z = gather_rows(lane, load_x4(rows.y, 8u * block), load_x4(rows.y, 8u * block + 4u));
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
