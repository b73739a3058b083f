// 1 if a plan has another measure than PROBABILITY; otherwise code for other measures is left out.
override MEASURED: u32 = 0u;

// The chosen token and the softmax over some columns of a row of logits.
struct Candidate {
  score: f32, // logit plus noise of the chosen token
  token: u32,
  logit: f32, // the chosen token's noise-free logit, HIDDEN if the softmax leaves it out
  maximum: f32, // largest logit of the softmax
  others: f32, // sum of exp(logit - maximum) over the softmax's tokens but one maximum
  judged: f32, // the judged token's logit, HIDDEN if it is elsewhere or the softmax leaves it out
  // Further value for the measure of confidence. MARGIN: the softmax's second-largest logit, HIDDEN
  // if it has one token. ENTROPY: sum of exp(logit - maximum) (maximum - logit). PROBABILITY: unused.
  aside: f32,
}

// Used as -inf. It is below every logit of a model, and avoids inf - inf. Its product with log2(e)
// is finite too, because on an H200 exp(-3e38) is a NaN.
const HIDDEN = -1.0e38;
// exp(-FAR) is 0, and FAR times any number of tokens is finite.
const FAR = 200.0;

// exp(-gap) for gap >= 0; the gap may be the distance from a logit to HIDDEN.
fn fade(gap: f32) -> f32 {
  return exp(-min(gap, FAR));
}

fn no_candidate(measure: u32) -> Candidate {
  return Candidate(HIDDEN, NO_TOKEN, HIDDEN, HIDDEN, 0.0, HIDDEN, no_aside(measure));
}

fn no_aside(measure: u32) -> f32 {
  return select(0.0, HIDDEN, MEASURED == 1u && measure == MARGIN);
}

// The sum of ENTROPY over both candidates' tokens, from the larger maximum.
fn weighted(high: Candidate, low: Candidate) -> f32 {
  let gap = min(high.maximum - low.maximum, FAR);
  return high.aside + fade(gap) * (low.aside + (1.0 + low.others) * gap);
}

// The maximum's own term is kept apart, so that p = 1 / (1 + others) stays precise near 1.
fn merge(a: Candidate, b: Candidate, measure: u32) -> Candidate {
  var c = a;
  if (b.score > a.score || (b.score == a.score && b.token < a.token)) {
    c.score = b.score;
    c.token = b.token;
    c.logit = b.logit;
  }
  if (b.maximum > a.maximum) {
    c.maximum = b.maximum;
    c.others = b.others + (1.0 + a.others) * fade(b.maximum - a.maximum);
  } else {
    c.others = a.others + (1.0 + b.others) * fade(a.maximum - b.maximum);
  }
  c.judged = max(a.judged, b.judged);
  if (MEASURED == 1u && measure == MARGIN) {
    c.aside = max(min(a.maximum, b.maximum), max(a.aside, b.aside));
  } else if (MEASURED == 1u && measure == ENTROPY) {
    if (b.maximum > a.maximum) {
      c.aside = weighted(b, a);
    } else {
      c.aside = weighted(a, b);
    }
  }
  return c;
}
