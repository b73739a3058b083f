// Eight consecutive weights of one column, widened to f32.
struct Weight8 {
  low: vec4<f32>,
  high: vec4<f32>,
}
