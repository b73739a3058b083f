// int4 weights, eight to a word; their scales and the rest: scaled_weights.wgsl.
@group(1) @binding(0) var<storage, read> weight_units: array<Codes8>;

alias Codes8 = u32;

const CODE_SIZE = 16.0; // codes32 are in the upper halves of bytes

fn widened_codes(codes: Codes8, scale: f32) -> Weight8 {
  return widened_halves(codes, scale);
}

// 32 consecutive codes of a column.
alias Units32 = vec4<u32>;

// Behind the last block it is repeated.
fn load_units32(group: u32, column: u32, columns: u32, blocks: u32) -> Units32 {
  let first = 4u * group;
  let last = blocks - 1u;
  return vec4<u32>(
    weight_units[min(first, last) * columns + column],
    weight_units[min(first + 1u, last) * columns + column],
    weight_units[min(first + 2u, last) * columns + column],
    weight_units[min(first + 3u, last) * columns + column],
  );
}

// Codes in the upper half of each byte: as signed bytes they are 16 times as large. Of every eight come
// those of even k, then those of odd k.
fn codes32(units: Units32) -> Codes32 {
  let even = (units << vec4<u32>(4u)) & vec4<u32>(0xf0f0f0f0u);
  let odd = units & vec4<u32>(0xf0f0f0f0u);
  return Codes32(
    vec4<u32>(even.x, odd.x, even.y, odd.y), vec4<u32>(even.z, odd.z, even.w, odd.w),
  );
}
