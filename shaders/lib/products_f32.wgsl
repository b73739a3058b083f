// Products in f32, one fma for each, in the order of k.

// Row k of the weights for a lane's four columns, eight k at a time.
struct Columns4 {
  k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>,
  k4: vec4<f32>, k5: vec4<f32>, k6: vec4<f32>, k7: vec4<f32>,
}

fn columns_of(units: Units4, block: u32) -> Columns4 {
  let a = weight8_of(units.a, block);
  let b = weight8_of(units.b, block);
  let c = weight8_of(units.c, block);
  let d = weight8_of(units.d, block);
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
