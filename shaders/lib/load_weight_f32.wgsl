// f32 weights, four to a unit.

// Weights [8 * block, 8 * block + 8) of a column; `columns` is the width of the packed matrix.
fn load_weight8(block: u32, column: u32, columns: u32) -> Weight8 {
  let at = 2u * block * columns + column;
  return Weight8(
    bitcast<vec4<f32>>(weight_unit(at)), bitcast<vec4<f32>>(weight_unit(at + columns)),
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
