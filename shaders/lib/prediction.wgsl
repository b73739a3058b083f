// The prediction from a row's logits; see Prediction in src/denoise/prediction.ts.
struct Prediction {
  token: u32,
  odds_against: u32, // bits of an f32, so that infinity can be written
  log_probability: u32, // bits of an f32: log probability of the chosen token
  log_sum_exp: f32,
  uncertainty: u32, // bits of the ranking key
  judged_odds: u32, // bits of the odds against the judged token, infinity where there is none
}
