// Products in f16: those of eight consecutive k are added up in f16, their sums in f32.

// Row k of the weights for a lane's four columns, eight k at a time.
struct Columns4 {
  k0: vec4<f16>, k1: vec4<f16>, k2: vec4<f16>, k3: vec4<f16>,
  k4: vec4<f16>, k5: vec4<f16>, k6: vec4<f16>, k7: vec4<f16>,
}

fn columns_of(units: Units4, block: u32) -> Columns4 {
  let a = weight8_of(units.a, block);
  let b = weight8_of(units.b, block);
  let c = weight8_of(units.c, block);
  let d = weight8_of(units.d, block);
  return Columns4(
    vec4<f16>(vec4<f32>(a.low.x, b.low.x, c.low.x, d.low.x)),
    vec4<f16>(vec4<f32>(a.low.y, b.low.y, c.low.y, d.low.y)),
    vec4<f16>(vec4<f32>(a.low.z, b.low.z, c.low.z, d.low.z)),
    vec4<f16>(vec4<f32>(a.low.w, b.low.w, c.low.w, d.low.w)),
    vec4<f16>(vec4<f32>(a.high.x, b.high.x, c.high.x, d.high.x)),
    vec4<f16>(vec4<f32>(a.high.y, b.high.y, c.high.y, d.high.y)),
    vec4<f16>(vec4<f32>(a.high.z, b.high.z, c.high.z, d.high.z)),
    vec4<f16>(vec4<f32>(a.high.w, b.high.w, c.high.w, d.high.w)),
  );
}

fn accumulate(sum: vec4<f32>, x_low: RowUnit, x_high: RowUnit, w: Columns4) -> vec4<f32> {
  let low = vec4<f16>(x_low);
  let high = vec4<f16>(x_high);
  var s = low.x * w.k0;
  s = fma(vec4<f16>(low.y), w.k1, s);
  s = fma(vec4<f16>(low.z), w.k2, s);
  s = fma(vec4<f16>(low.w), w.k3, s);
  s = fma(vec4<f16>(high.x), w.k4, s);
  s = fma(vec4<f16>(high.y), w.k5, s);
  s = fma(vec4<f16>(high.z), w.k6, s);
  s = fma(vec4<f16>(high.w), w.k7, s);
  return sum + vec4<f32>(s);
}
