// What a row's logits come to; see Prediction in src/denoise/predictor.ts.
struct Prediction {
  token: u32,
  odds_against: u32, // bits of an f32, so that infinity can be written
  log_probability: u32, // the same, of the chosen token too
  log_sum_exp: f32,
  uncertainty: u32, // bits of the ranking key
  judged_odds: u32, // bits of the odds against the judged token, infinity where there is none
}
