// A sequence's place in one denoising step: where its rows lie, and how its commits are chosen. Every sequence
// of a call has its own, so that sequences of different requests share a call.
struct Place {
  sequence: u32, // of `finished`
  first_row: u32, // in ids and row_position
  hidden_shift: u32, // what a row is more than its row of the hidden states; wraps
  twin_shift: u32, // likewise than its unconditional twin's row of them
  twin_rows: u32, // from a row to its unconditional twin in ids
  asked_first: u32, // its rows of `asked`: from here on
  capacity: u32, // so many
  log_first: u32, // its header in the log; its commits follow
  ranking: u32, // LOW_CONFIDENCE or RANDOM
  rule: u32, // COUNT, THRESHOLD or FACTOR
  rule_value: f32,
  stop_at_end: u32,
  answer_first: u32, // the generation's rows in ids
  answer_end: u32,
  reserved_a: u32,
  reserved_b: u32,
  end_tokens: vec4<u32>, // tokens that end the generation; NO_TOKEN where unused
}

// Numbered as RANKINGS and RULES in src/kernels/place.ts.
const LOW_CONFIDENCE = 0u;
const RANDOM = 1u;
const COUNT = 0u;
const THRESHOLD = 1u;
const FACTOR = 2u;
