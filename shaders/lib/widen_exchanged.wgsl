// Codes times their scale, as a software adapter makes them: by shifts and conversions.

// Eight codes of 4 bits.
fn widened_halves(unit: u32, scale: f32) -> Weight8 {
  // Each code is moved to the top of its word, then down again with its sign.
  let low = vec4<i32>(vec4<u32>(unit) << vec4<u32>(28u, 24u, 20u, 16u)) >> vec4<u32>(28u);
  let high = vec4<i32>(vec4<u32>(unit) << vec4<u32>(12u, 8u, 4u, 0u)) >> vec4<u32>(28u);
  return Weight8(vec4<f32>(low) * scale, vec4<f32>(high) * scale);
}

// Eight codes of 8 bits.
fn widened_bytes(unit: vec2<u32>, scale: f32) -> Weight8 {
  return Weight8(
    vec4<f32>(unpack4xI8(unit.x)) * scale,
    vec4<f32>(unpack4xI8(unit.y)) * scale,
  );
}
