// In place of a load_weight_*.wgsl, for benches: weights come from their place, at no load.
@group(1) @binding(0) var<storage, read> weight_units: array<vec4<u32>>;

fn load_weight8(block: u32, column: u32, columns: u32) -> Weight8 {
  let low = f32(block) + vec4<f32>(f32(column));
  // Reading the length keeps the binding.
  let high = low + f32(arrayLength(&weight_units));
  return Weight8(low, high);
}

alias Unit8 = Weight8;

fn load_unit8(block: u32, column: u32, columns: u32) -> Unit8 {
  return load_weight8(block, column, columns);
}

fn weight8_of(unit: Unit8, block: u32) -> Weight8 {
  return unit;
}
