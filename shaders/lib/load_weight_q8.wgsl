// int8 weights, eight to a unit, times an f16 scale for each group of 8 * GROUP_BLOCKS of a column.
@group(1) @binding(0) var<storage, read> weight_units: array<vec2<u32>>;
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>; // two groups to a word

override GROUP_BLOCKS: u32 = 4u;

// Weights [8 * block, 8 * block + 8) of a column; `columns` is the width of the packed matrix.
fn load_weight8(block: u32, column: u32, columns: u32) -> Weight8 {
  let unit = weight_units[block * columns + column];
  let group = block / GROUP_BLOCKS;
  let scales = unpack2x16float(weight_scales[(group / 2u) * columns + column]);
  let scale = select(scales.x, scales.y, (group & 1u) == 1u);
  return Weight8(
    vec4<f32>(unpack4xI8(unit.x)) * scale,
    vec4<f32>(unpack4xI8(unit.y)) * scale,
  );
}

// The scale of 32 weights from 32 * group on.
fn load_scale(group: u32, column: u32, columns: u32) -> f32 {
  let own = group * 4u / GROUP_BLOCKS;
  let scales = unpack2x16float(weight_scales[(own / 2u) * columns + column]);
  return select(scales.x, scales.y, (own & 1u) == 1u);
}

fn load_codes8(block: u32, column: u32, columns: u32, blocks: u32) -> vec2<u32> {
  return select(
    vec2<u32>(0u), weight_units[min(block, blocks - 1u) * columns + column], block < blocks,
  );
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
