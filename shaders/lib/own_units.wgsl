// What kernels of attention's backward pass do with a unit or two, for all units of a head. Units are literals,
// so that arrays of them stay in registers once this is inlined. Kernels define load_unit (one unit),
// score_units, add_units (two) and store_unit.

fn load8(lane: u32, i: u32, start: vec2<u32>) {
  load_unit(lane, i, start);
  load_unit(lane, i + 1u, start);
  load_unit(lane, i + 2u, start);
  load_unit(lane, i + 3u, start);
  load_unit(lane, i + 4u, start);
  load_unit(lane, i + 5u, start);
  load_unit(lane, i + 6u, start);
  load_unit(lane, i + 7u, start);
}

fn load_all(lane: u32, start: vec2<u32>) {
  load8(lane, 0u, start);
  if (UNITS > 8u) {
    load8(lane, 8u, start);
  }
  if (UNITS > 16u) {
    load8(lane, 16u, start);
  }
  if (UNITS > 24u) {
    load8(lane, 24u, start);
  }
}

fn score8(lane: u32, i: u32, fence: u32) {
  score_units(lane, i, fence);
  score_units(lane, i + 2u, fence);
  score_units(lane, i + 4u, fence);
  score_units(lane, i + 6u, fence);
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

// Sums of products of eight rows' units with a lane's own two.
fn dots_low(a: vec4<f32>, b: vec4<f32>, rows: EightRows) -> vec4<f32> {
  return vec4<f32>(dot(a, rows.a[0]), dot(a, rows.a[1]), dot(a, rows.a[2]), dot(a, rows.a[3])) +
    vec4<f32>(dot(b, rows.b[0]), dot(b, rows.b[1]), dot(b, rows.b[2]), dot(b, rows.b[3]));
}

fn dots_high(a: vec4<f32>, b: vec4<f32>, rows: EightRows) -> vec4<f32> {
  return vec4<f32>(dot(a, rows.a[4]), dot(a, rows.a[5]), dot(a, rows.a[6]), dot(a, rows.a[7])) +
    vec4<f32>(dot(b, rows.b[4]), dot(b, rows.b[5]), dot(b, rows.b[6]), dot(b, rows.b[7]));
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
