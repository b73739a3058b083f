// Eight consecutive weights of one column, widened to f32.
struct Weight8 {
  low: vec4<f32>,
  high: vec4<f32>,
}

// 32 consecutive codes of one column, four to a word.
struct Codes32 {
  low: vec4<u32>,
  high: vec4<u32>,
}
