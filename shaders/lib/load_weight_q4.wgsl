// int4 weights, eight to a word, times an f16 scale for each group of 8 * GROUP_BLOCKS of a column.
@group(1) @binding(0) var<storage, read> weight_units: array<u32>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>; // two groups to a word

override GROUP_BLOCKS: u32 = 4u;

// Weights [8 * block, 8 * block + 8) of a column; `columns` is the width of the packed matrix.
fn load_weight8(block: u32, column: u32, columns: u32) -> Weight8 {
  let unit = weight_units[block * columns + column];
  let group = block / GROUP_BLOCKS;
  let scales = unpack2x16float(weight_scales[(group / 2u) * columns + column]);
  let scale = select(scales.x, scales.y, (group & 1u) == 1u);
  // Each code is moved to the top of its word, then down again with its sign.
  let low = vec4<i32>(vec4<u32>(unit) << vec4<u32>(28u, 24u, 20u, 16u)) >> vec4<u32>(28u);
  let high = vec4<i32>(vec4<u32>(unit) << vec4<u32>(12u, 8u, 4u, 0u)) >> vec4<u32>(28u);
  return Weight8(vec4<f32>(low) * scale, vec4<f32>(high) * scale);
}

// The scale of 32 weights from 32 * group on.
fn load_scale(group: u32, column: u32, columns: u32) -> f32 {
  let own = group * 4u / GROUP_BLOCKS;
  let scales = unpack2x16float(weight_scales[(own / 2u) * columns + column]);
  return select(scales.x, scales.y, (own & 1u) == 1u);
}

// Four codes of 4 bits, in the lower half of each byte, become bytes with their sign.
fn with_sign(codes: u32) -> u32 {
  // A code from 8 on is negative: its upper half is all ones.
  return codes | ((codes & 0x08080808u) * 30u);
}

// Eight codes, four to a word.
fn load_codes8(block: u32, column: u32, columns: u32, blocks: u32) -> vec2<u32> {
  let word = weight_units[min(block, blocks - 1u) * columns + column];
  let low = (word & 0xfu) | ((word & 0xf0u) << 4u) | ((word & 0xf00u) << 8u) |
    ((word & 0xf000u) << 12u);
  let upper = word >> 16u;
  let high = (upper & 0xfu) | ((upper & 0xf0u) << 4u) | ((upper & 0xf00u) << 8u) |
    ((upper & 0xf000u) << 12u);
  return select(vec2<u32>(0u), vec2<u32>(with_sign(low), with_sign(high)), block < blocks);
}

// 32 codes, four to a word; 0 behind the last block.
fn load_codes32(group: u32, column: u32, columns: u32, blocks: u32) -> Codes32 {
  let first = 4u * group;
  return Codes32(
    vec4<u32>(
      load_codes8(first, column, columns, blocks), load_codes8(first + 1u, column, columns, blocks),
    ),
    vec4<u32>(
      load_codes8(first + 2u, column, columns, blocks),
      load_codes8(first + 3u, column, columns, blocks),
    ),
  );
}
