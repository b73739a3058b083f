// The plan of one denoising step for one sequence.
struct StepPlan {
  candidate_end: u32, // masked rows in [candidate_first, candidate_end) of the sequence may be committed
  commits: u32,
  step: u32,
  temperature: f32,
  seed_low: u32,
  seed_high: u32,
  candidate_first: u32,
  measure: u32, // measure of confidence: PROBABILITY, MARGIN or ENTROPY
  banned: vec4<u32>, // tokens that cannot be chosen; NO_TOKEN where unused
  unconfident: vec4<u32>, // tokens that the confidence's softmax leaves out
}

// See ConfidenceMeasure in src/denoise/confidence.ts; numbered as MEASURES in src/kernels/step_plan.ts.
const PROBABILITY = 0u;
const MARGIN = 1u;
const ENTROPY = 2u;

// A row at which a prediction is made.
struct Asked {
  row: u32,
  position: u32,
  sequence: u32,
  judged: u32, // token whose probability is also wanted, or NO_TOKEN
}

const NO_TOKEN = 0xffffffffu;
