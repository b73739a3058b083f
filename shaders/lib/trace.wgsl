// Rectangles and glyphs of a trace's picture, one instance each: 6 vertices, pixel coordinates
// (origin top left) through an orthographic camera.
//
// A glyph is 5 x 9 bits, row by row from the top left, in two words, the low one first.
// All bits set make a plain rectangle.

const COLUMNS = 5u;
const ROWS = 9u;

struct Corner {
  @builtin(position) position: vec4f,
  @location(0) place: vec2f, // in the rectangle, [0, 1]
  @location(1) @interpolate(flat) colour: vec4f,
  @location(2) @interpolate(flat) bits: vec2u,
}

@group(0) @binding(0) var<uniform> camera: mat4x4f;

@vertex
fn place_corner(
  @builtin(vertex_index) vertex: u32,
  @location(0) rectangle: vec4f, // left, top, width, height
  @location(1) colour: vec4f,
  @location(2) bits: vec2u,
) -> Corner {
  // Two triangles: corners 0 1 2 and 2 1 3.
  let corner = select(vertex, 6u - vertex, vertex > 2u);
  let place = vec2f(f32(corner & 1u), f32(corner >> 1u));
  let pixel = rectangle.xy + place * rectangle.zw;
  return Corner(camera * vec4f(pixel, 0.0, 1.0), place, colour, bits);
}

@fragment
fn paint(corner: Corner) -> @location(0) vec4f {
  let cell = min(vec2u(corner.place * vec2f(f32(COLUMNS), f32(ROWS))), vec2u(COLUMNS, ROWS) - 1u);
  let index = cell.y * COLUMNS + cell.x;
  let word = select(corner.bits.x, corner.bits.y, index >= 32u);
  if ((word >> (index & 31u)) & 1u) == 0u {
    discard;
  }
  return corner.colour;
}
