// What is known of one row of logits after some of its columns: the chosen token and the softmax.
struct Candidate {
  score: f32, // logit plus noise of the chosen token
  token: u32,
  logit: f32, // the chosen token's noise-free logit, HIDDEN if the softmax leaves it out
  maximum: f32, // largest logit of the softmax
  others: f32, // sum of exp(logit - maximum) over the softmax's tokens but one maximum
  judged: f32, // the judged token's logit, HIDDEN if it is elsewhere or the softmax leaves it out
}

// Counts as -inf: below every finite logit that a model can give, and free of inf - inf.
const HIDDEN = -3.0e38;

fn no_candidate() -> Candidate {
  return Candidate(HIDDEN, NO_TOKEN, HIDDEN, HIDDEN, 0.0, HIDDEN);
}

// Keeping the maximum's own term apart keeps p = 1 / (1 + others) exact where p rounds to 1.
fn merge(a: Candidate, b: Candidate) -> Candidate {
  var c = a;
  if (b.score > a.score || (b.score == a.score && b.token < a.token)) {
    c.score = b.score;
    c.token = b.token;
    c.logit = b.logit;
  }
  if (b.maximum > a.maximum) {
    c.maximum = b.maximum;
    c.others = b.others + (1.0 + a.others) * exp(a.maximum - b.maximum);
  } else {
    c.others = a.others + (1.0 + b.others) * exp(b.maximum - a.maximum);
  }
  c.judged = max(a.judged, b.judged);
  return c;
}
