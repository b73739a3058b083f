// Weights that are codes times an f16 scale for each group of 8 * GROUP_BLOCKS of a column. A scheme
// declares weight_units, defines Codes8, eight codes as they lie in memory, and widened_codes, and says
// how many times as large its codes32 are (CODE_SIZE).
@group(1) @binding(1) var<storage, read> weight_scales: array<u32>; // two groups to a word

override GROUP_BLOCKS: u32 = 4u;

// Eight weights of a column from 8 * block on, as they lie in memory; `columns`: width of the packed matrix.
struct Unit8 {
  codes: Codes8,
  scales: u32,
}

fn load_unit8(block: u32, column: u32, columns: u32) -> Unit8 {
  return Unit8(
    weight_units[block * columns + column],
    weight_scales[(block / GROUP_BLOCKS / 2u) * columns + column],
  );
}

fn weight8_of(unit: Unit8, block: u32) -> Weight8 {
  let shift = 16u * ((block / GROUP_BLOCKS) & 1u);
  return widened_codes(unit.codes, unpack2x16float(unit.scales >> shift).x);
}

fn load_weight8(block: u32, column: u32, columns: u32) -> Weight8 {
  return weight8_of(load_unit8(block, column, columns), block);
}

// Of 32 weights from 32 * group on: the word that holds their scale, and the scale in it, of codes32.
fn load_scales(group: u32, column: u32, columns: u32) -> u32 {
  return weight_scales[(group * 4u / GROUP_BLOCKS / 2u) * columns + column];
}

fn scale_of(scales: u32, group: u32) -> f32 {
  let shift = 16u * ((group * 4u / GROUP_BLOCKS) & 1u);
  return unpack2x16float(scales >> shift).x * (1.0 / CODE_SIZE);
}
