// Seeded noise, a pure function of its key; the same as in src/denoise/noise.ts. A seed is two
// words: its
// low 32 bits, and the rest (below 2^21).

// One output word of pcg4d (Jarzynski and Olano 2020, JCGT 9(3)). Keys differ in the four words while
// step and position are below 2^16. Multiplications wrap.
fn noise_hash(seed_low: u32, seed_high: u32, step: u32, position: u32, token: u32) -> u32 {
  var v = vec4<u32>(token, position ^ (seed_high & 0xffff0000u), step ^ (seed_high << 16u), seed_low);
  v = v * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4<u32>(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v.w;
}

// Standard Gumbel noise -ln(e) with e = -ln(1 - v), v = (bits + 0.5) / 2^32. log() may be off by 2^-21
// near 1, so a small v takes the series v + v^2/2 + ... + v^8/8, whose rest is below 2^-27 of e.
// 1 - v comes from the complement, since v itself rounds to 1 in f32 for the largest bits.
fn gumbel(seed_low: u32, seed_high: u32, step: u32, position: u32, token: u32) -> f32 {
  let bits = noise_hash(seed_low, seed_high, step, position, token);
  if bits < 0x20000000u {
    let v = (f32(bits) + 0.5) * 0x1p-32f;
    let tail = 1.0 / 5.0 + v * (1.0 / 6.0 + v * (1.0 / 7.0 + v * (1.0 / 8.0)));
    return -log(v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 3.0 + v * (1.0 / 4.0 + v * tail)))));
  }
  return -log(-log((f32(~bits) + 0.5) * 0x1p-32f));
}

// Rank of a position when remasking is random: 24 bits, exact in f32; the lowest goes first.
fn random_rank(seed_low: u32, seed_high: u32, step: u32, position: u32) -> f32 {
  return f32(noise_hash(seed_low, seed_high, step, position, 0xffffffffu) >> 8u);
}
