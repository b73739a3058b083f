// A sequence of a pass that may commit: its rows, where what it is asked lies, and what decides.
struct Place {
  first_row: u32, // of the sequence, in ids
  hidden_shift: u32, // from a row of the hidden states to its row of ids; may wrap around
  twin_shift: u32, // likewise from a row of its unconditional twin's, to the sequence's row
  twin_rows: u32, // from a row of ids to its twin's
  asked_first: u32, // first of its entries in asked,
  capacity: u32, // and how many it has
  log_first: u32, // its first entry in the log
  sequence: u32, // its entry in finished
  ranking: u32, // LOW_CONFIDENCE or RANDOM
  rule: u32, // COUNT, THRESHOLD or FACTOR
  rule_value: f32,
  stop_at_end: u32,
  answer_first: u32, // rows of the generation in ids
  answer_end: u32,
  reserved_a: u32,
  reserved_b: u32,
  end_tokens: vec4<u32>, // that end it; NO_TOKEN where unused
}
