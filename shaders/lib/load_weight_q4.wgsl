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
