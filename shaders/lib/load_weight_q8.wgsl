// int8 weights, eight to a unit; their scales and the rest: scaled_weights.wgsl.
@group(1) @binding(0) var<storage, read> weight_units: array<Codes8>;

alias Codes8 = vec2<u32>;

const CODE_SIZE = 1.0;

fn widened_codes(codes: Codes8, scale: f32) -> Weight8 {
  return widened_bytes(codes, scale);
}

// 32 consecutive codes of a column, four to a word.
alias Units32 = Codes32;

// Behind the last block it is repeated.
fn load_units32(group: u32, column: u32, columns: u32, blocks: u32) -> Units32 {
  let first = 4u * group;
  let last = blocks - 1u;
  return Codes32(
    vec4<u32>(
      weight_units[min(first, last) * columns + column],
      weight_units[min(first + 1u, last) * columns + column],
    ),
    vec4<u32>(
      weight_units[min(first + 2u, last) * columns + column],
      weight_units[min(first + 3u, last) * columns + column],
    ),
  );
}

fn codes32(units: Units32) -> Codes32 {
  return units;
}
