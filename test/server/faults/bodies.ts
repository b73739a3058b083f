/** A right and short body for each route that takes one. */

/** Keeps every answer short, also where a length is lost: milliseconds. */
const DEADLINE = 400;

const SAMPLED = { max_tokens: 8, temperature: 0, seed: 1, deadline_ms: DEADLINE };
const MESSAGES = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "What is 3 plus 4?" }] },
];
const TURNS = [{ role: "user", content: "What is 3 plus 4?" }];

/** By path. */
export const BODIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "/v1/chat/completions": {
    model: "tiny-target",
    messages: MESSAGES,
    stream: true,
    stream_options: { include_usage: true },
    stop: ["\n"],
    strategy: "threshold",
    ...SAMPLED,
  },
  "/v1/completions": { prompt: ["3 + 4 =", "7 * 8 ="], echo: true, ...SAMPLED },
  "/v1/responses": {
    input: [{ role: "user", content: [{ type: "input_text", text: "What is 3 plus 4?" }] }],
    max_output_tokens: 8,
    instructions: "Be brief.",
    deadline_ms: DEADLINE,
  },
  "/v1/messages": {
    model: "tiny-target",
    system: "Be brief.",
    messages: TURNS,
    stop_sequences: ["\n"],
    ...SAMPLED,
  },
  "/v1/messages/count_tokens": { messages: TURNS, system: "Be brief." },
  "/v1/infill": { text: "def add(a, b):\n    return ___\n", tokens: 4, ...SAMPLED },
  "/v1/edits": {
    text: "7 * 8 = 57.",
    spans: [{ start: 8, end: 10, tokens: 2 }],
    messages: TURNS,
    ...SAMPLED,
  },
  "/api/chat": {
    model: "tiny-target",
    messages: TURNS,
    options: { num_predict: 8, temperature: 0, seed: 1, stop: ["\n"] },
    deadline_ms: DEADLINE,
  },
  "/api/generate": {
    model: "tiny-target",
    prompt: "What is 3 plus 4?",
    stream: false,
    options: { num_predict: 8, seed: 1 },
    deadline_ms: DEADLINE,
  },
  "/api/show": { model: "tiny-target", verbose: true },
  "/completion": { prompt: ["3 + 4", 10], n_predict: 8, deadline_ms: DEADLINE, n_probs: 2 },
  "/infill": {
    input_prefix: "def add(a, b):\n",
    input_suffix: "\n",
    n_predict: 8,
    deadline_ms: DEADLINE,
  },
  "/tokenize": { content: "What is 3 plus 4?", with_pieces: true },
  "/detokenize": { tokens: [10, 11, 12] },
  "/apply-template": { messages: TURNS },
};
