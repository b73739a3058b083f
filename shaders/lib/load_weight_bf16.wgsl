// bf16 weights, two in a u32: a bf16 is the upper half of an f32.

// Weights [8 * block, 8 * block + 8) of a column; `columns` is the width of the packed matrix.
fn load_weight8(block: u32, column: u32, columns: u32) -> Weight8 {
  let unit = weight_unit(block * columns + column);
  return Weight8(
    vec4<f32>(
      bitcast<f32>(unit.x << 16u), bitcast<f32>(unit.x & 0xffff0000u),
      bitcast<f32>(unit.y << 16u), bitcast<f32>(unit.y & 0xffff0000u),
    ),
    vec4<f32>(
      bitcast<f32>(unit.z << 16u), bitcast<f32>(unit.z & 0xffff0000u),
      bitcast<f32>(unit.w << 16u), bitcast<f32>(unit.w & 0xffff0000u),
    ),
  );
}

// Kept as floats until they are used.
alias Unit8 = Weight8;

fn load_unit8(block: u32, column: u32, columns: u32) -> Unit8 {
  return load_weight8(block, column, columns);
}

fn weight8_of(unit: Unit8, block: u32) -> Weight8 {
  return unit;
}
