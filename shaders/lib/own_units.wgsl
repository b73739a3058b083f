// What kernels of attention's backward pass do with some units, for all units of a head. Units are literals,
// so that arrays of them stay in registers once this is inlined. Kernels define load_unit and store_unit (of
// one unit), score_units (of four) and add_units (of two).

fn load8(i: u32) {
  load_unit(i);
  load_unit(i + 1u);
  load_unit(i + 2u);
  load_unit(i + 3u);
  load_unit(i + 4u);
  load_unit(i + 5u);
  load_unit(i + 6u);
  load_unit(i + 7u);
}

fn load_all() {
  load8(0u);
  if (UNITS > 8u) {
    load8(8u);
  }
  if (UNITS > 16u) {
    load8(16u);
  }
  if (UNITS > 24u) {
    load8(24u);
  }
}

fn score8(lane: u32, i: u32, fence: u32) {
  score_units(lane, i, fence);
  score_units(lane, i + 4u, fence);
}

fn score_all(lane: u32, fence: u32) {
  score8(lane, 0u, fence);
  if (UNITS > 8u) {
    score8(lane, 8u, fence);
  }
  if (UNITS > 16u) {
    score8(lane, 16u, fence);
  }
  if (UNITS > 24u) {
    score8(lane, 24u, fence);
  }
}

fn add8(lane: u32, i: u32, factor: f32, fence: u32) {
  add_units(lane, i, factor, fence);
  add_units(lane, i + 2u, factor, fence);
  add_units(lane, i + 4u, factor, fence);
  add_units(lane, i + 6u, factor, fence);
}

fn add_all(lane: u32, factor: f32, fence: u32) {
  add8(lane, 0u, factor, fence);
  if (UNITS > 8u) {
    add8(lane, 8u, factor, fence);
  }
  if (UNITS > 16u) {
    add8(lane, 16u, factor, fence);
  }
  if (UNITS > 24u) {
    add8(lane, 24u, factor, fence);
  }
}

fn store8(i: u32, at: u32, factor: f32) {
  store_unit(i, at, factor);
  store_unit(i + 1u, at, factor);
  store_unit(i + 2u, at, factor);
  store_unit(i + 3u, at, factor);
  store_unit(i + 4u, at, factor);
  store_unit(i + 5u, at, factor);
  store_unit(i + 6u, at, factor);
  store_unit(i + 7u, at, factor);
}

fn store_all(at: u32, factor: f32) {
  store8(0u, at, factor);
  if (UNITS > 8u) {
    store8(8u, at, factor);
  }
  if (UNITS > 16u) {
    store8(16u, at, factor);
  }
  if (UNITS > 24u) {
    store8(24u, at, factor);
  }
}

// sums + the products of four rows' units with a lane's own one, one sum a row.
fn dots(
  sums: vec4<f32>, own: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
) -> vec4<f32> {
  var s = fma(vec4<f32>(own.x), vec4<f32>(a.x, b.x, c.x, d.x), sums);
  s = fma(vec4<f32>(own.y), vec4<f32>(a.y, b.y, c.y, d.y), s);
  s = fma(vec4<f32>(own.z), vec4<f32>(a.z, b.z, c.z, d.z), s);
  return fma(vec4<f32>(own.w), vec4<f32>(a.w, b.w, c.w, d.w), s);
}

// The same of two units and the first, or last, four of eight rows.
fn dots_low(sums: vec4<f32>, a: vec4<f32>, b: vec4<f32>, rows: EightRows) -> vec4<f32> {
  let s = dots(sums, a, rows.a[0], rows.a[1], rows.a[2], rows.a[3]);
  return dots(s, b, rows.b[0], rows.b[1], rows.b[2], rows.b[3]);
}

fn dots_high(sums: vec4<f32>, a: vec4<f32>, b: vec4<f32>, rows: EightRows) -> vec4<f32> {
  let s = dots(sums, a, rows.a[4], rows.a[5], rows.a[6], rows.a[7]);
  return dots(s, b, rows.b[4], rows.b[5], rows.b[6], rows.b[7]);
}

// sum + the sum of eight rows' units, each with its weight.
fn weighed(sum: vec4<f32>, low: vec4<f32>, high: vec4<f32>, rows: array<vec4<f32>, 8>) -> vec4<f32> {
  var s = fma(vec4<f32>(low.x), rows[0], sum);
  s = fma(vec4<f32>(low.y), rows[1], s);
  s = fma(vec4<f32>(low.z), rows[2], s);
  s = fma(vec4<f32>(low.w), rows[3], s);
  s = fma(vec4<f32>(high.x), rows[4], s);
  s = fma(vec4<f32>(high.y), rows[5], s);
  s = fma(vec4<f32>(high.z), rows[6], s);
  return fma(vec4<f32>(high.w), rows[7], s);
}
