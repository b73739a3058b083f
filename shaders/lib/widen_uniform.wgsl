// Codes times their scale, as GPUs make them fastest. A code without its sign, put among the low bits of
// the f16 number 1024, is 1024 plus the code, and two of them share a word. GPUs read an f16 as a float in
// the instruction that multiplies it. One fma takes the scale and subtracts what was too much. Scales are
// f16, so that every product here has at most 24 bits: the weights are exact, the same as by conversion.

// Eight codes of 4 bits.
fn widened_halves(unit: u32, scale: f32) -> Weight8 {
  let codes = unit ^ 0x88888888u; // plus 8, without a sign
  let upper = codes >> 8u;
  let a = unpack2x16float((codes & 0x000f000fu) | 0x64006400u); // of k = 0 and 4
  let b = unpack2x16float((codes & 0x00f000f0u) | 0x64006400u); // of k = 1 and 5, 16 times as large
  let c = unpack2x16float((upper & 0x000f000fu) | 0x64006400u);
  let d = unpack2x16float((upper & 0x00f000f0u) | 0x64006400u);
  let even = fma(vec4<f32>(a.x, c.x, a.y, c.y), vec4<f32>(scale), vec4<f32>(-1032.0 * scale));
  let odd = fma(
    vec4<f32>(b.x, d.x, b.y, d.y), vec4<f32>(0.0625 * scale), vec4<f32>(-72.0 * scale),
  );
  return Weight8(
    vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w),
  );
}

// Eight codes of 8 bits.
fn widened_bytes(unit: vec2<u32>, scale: f32) -> Weight8 {
  let codes = unit ^ vec2<u32>(0x80808080u); // plus 128, without a sign
  let even = (codes & vec2<u32>(0x00ff00ffu)) | vec2<u32>(0x64006400u);
  let odd = ((codes >> vec2<u32>(8u)) & vec2<u32>(0x00ff00ffu)) | vec2<u32>(0x64006400u);
  let a = unpack2x16float(even.x);
  let b = unpack2x16float(odd.x);
  let c = unpack2x16float(even.y);
  let d = unpack2x16float(odd.y);
  let scales = vec4<f32>(scale);
  let less = vec4<f32>(-1152.0 * scale);
  return Weight8(
    fma(vec4<f32>(a.x, b.x, a.y, b.y), scales, less),
    fma(vec4<f32>(c.x, d.x, c.y, d.y), scales, less),
  );
}
