// Rows as matrix units read them: each x as PARTS f16 that add up to it, in whole matrices one after another,
// so that a matrix of rows is one piece of memory. With PARTS 2 an x is the sum of two f16, with PARTS 1 it
// is rounded to one. What an x loses at most:
//
//   |x|                 PARTS 2                              PARTS 1
//   below 2^-3          2^-23; 2^-14 on a device that        2^-10 of it; below 2^-14 as PARTS 2
//                       takes f16 below 2^-14 for zero
//   2^-3 to 65504       2^-21 of it                          2^-10 of it
//   to 131008           2^-11 of it: the second part is      what is above 65504
//                       large, and rounded to 11 bits
//   more                what is above 131008                 what is above 65504
//
// The loss is half of each fraction if conversions round to nearest. Rows after a norm are far
// below 65504; values between FFN and down may be above.
//
// x: [rows, 8 * blocks]; y: [row tiles, k tiles, PARTS, MATRIX_ROWS, MATRIX_INNER], zero behind the last row
// and behind 8 * blocks. One invocation makes four elements of a row.
struct Params {
  rows: u32,
  blocks: u32, // inner size / 8
  k_tiles: u32, // matrices side by side
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f16>>;

override PARTS: u32 = 2u;

const WIDTH = MATRIX_INNER / 4u; // of a matrix, in vec4
const MOST_F16 = vec4<f32>(65504.0);

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let k4 = id.x;
  let row = id.y;
  if (k4 >= params.k_tiles * WIDTH) {
    return;
  }
  var value = vec4<f32>(0.0);
  if (row < params.rows && k4 < 2u * params.blocks) {
    value = x[row * 2u * params.blocks + k4];
  }
  let matrix = row / MATRIX_ROWS * params.k_tiles + k4 / WIDTH;
  let to = (matrix * PARTS * MATRIX_ROWS + row % MATRIX_ROWS) * WIDTH + k4 % WIDTH;
  let near = clamp(value, -MOST_F16, MOST_F16);
  if (PARTS == 1u) {
    y[to] = vec4<f16>(near);
  } else {
    // Rounded by masking bits, because a compiler may remove a conversion to f16 and back.
    let whole = bitcast<vec4<f32>>(bitcast<vec4<u32>>(near) & vec4<u32>(0xffffe000u));
    y[to] = vec4<f16>(whole);
    y[to + MATRIX_ROWS * WIDTH] = vec4<f16>(clamp(value - whole, -MOST_F16, MOST_F16));
  }
}
