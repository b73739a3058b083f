/** Requests that a server must refuse, whatever model it serves, and how. */

import {
  CACHE_POLICIES,
  CONFIDENCE_MEASURES,
  QUALITIES,
  REMASKINGS,
  STRATEGY_NAMES,
} from "../../src/engine/request.ts";

/** A malformed request and the refusal that it gets. */
export interface MalformedRequest {
  readonly name: string;
  /** Default `/v1/chat/completions`. */
  readonly path?: string;
  readonly init: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: string | Uint8Array<ArrayBuffer>;
  };
  readonly status: number;
  /** The error's `param`; checked when given. */
  readonly param?: string | null;
  /** What the error's message must say. */
  readonly message: RegExp;
}

const JSON_TYPE = { "Content-Type": "application/json" };
const MESSAGES = [{ role: "user", content: "Say hello." }];

/** Headers and body of a chat completion that is right but for what is in `fields`. */
export function chatInit(fields: Record<string, unknown> = {}): MalformedRequest["init"] {
  return {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify({ messages: MESSAGES, ...fields }),
  };
}

function raw(
  body: string | Uint8Array<ArrayBuffer>,
  headers = JSON_TYPE as Record<string, string>,
) {
  return { method: "POST", headers, body };
}

function field(
  name: string,
  fields: Record<string, unknown>,
  param: string,
  message: RegExp,
  status = 400,
): MalformedRequest {
  return { name, init: chatInit(fields), status, param, message };
}

function unsupported(param: string, value: unknown): MalformedRequest {
  return field(`${param} is refused by name`, { [param]: value }, param, new RegExp(`'${param}'`));
}

/** One message, in place of a good one. */
function message(name: string, value: unknown, param: string, expected: RegExp): MalformedRequest {
  return field(name, { messages: [value] }, `messages[0]${param}`, expected);
}

/** An unknown name where the server takes one of these. */
function choice(param: string, names: readonly string[]): MalformedRequest {
  const written = names.map((name) => `"${name}"`);
  const expected = `${written.slice(0, -1).join(", ")} or ${written.at(-1)}, found "unknown"`;
  return field(`an unknown ${param}`, { [param]: "unknown" }, param, new RegExp(expected));
}

const deep = "[".repeat(100_000) + "]".repeat(100_000);

/** Every one is refused before it costs a forward pass; a good request after it must be answered. */
export const MALFORMED: readonly MalformedRequest[] = [
  // Not JSON.
  { name: "empty body", init: raw(""), status: 400, param: null, message: /empty/ },
  { name: "no body", init: { method: "POST", headers: JSON_TYPE }, status: 400, message: /empty/ },
  { name: "cut JSON", init: raw('{"messages": [{"role"'), status: 400, message: /not valid JSON/ },
  { name: "two values", init: raw("{} {}"), status: 400, message: /not valid JSON/ },
  { name: "NaN", init: raw('{"seed": NaN}'), status: 400, message: /not valid JSON/ },
  {
    name: "broken UTF-8",
    init: raw(new Uint8Array([0x22, 0xc3, 0x28, 0x22])),
    status: 400,
    message: /UTF-8/,
  },
  // Not an object.
  { name: "null", init: raw("null"), status: 400, param: null, message: /found null/ },
  { name: "array", init: raw("[]"), status: 400, param: null, message: /found an array/ },
  { name: "string", init: raw('"hi"'), status: 400, param: null, message: /found "hi"/ },
  {
    name: "deep nesting",
    init: raw(deep),
    status: 400,
    param: null,
    message: /more than 256 arrays or objects/,
  },
  // The wrong type of content, or too much.
  {
    name: "text/plain",
    init: raw("{}", { "Content-Type": "text/plain" }),
    status: 415,
    param: null,
    message: /application\/json.*text\/plain/,
  },
  {
    name: "UTF-16",
    init: raw("{}", { "Content-Type": "application/json; charset=utf-16" }),
    status: 415,
    message: /UTF-8/,
  },
  {
    name: "brotli",
    init: raw("{}", { ...JSON_TYPE, "Content-Encoding": "br" }),
    status: 415,
    message: /gzip or none, found br/,
  },
  {
    name: "gzip that is none",
    init: raw("{}", { ...JSON_TYPE, "Content-Encoding": "gzip" }),
    status: 400,
    param: null,
    message: /not gzip/,
  },
  {
    name: "a body of 3 MiB",
    init: chatInit({ user: "x".repeat(3 * 2 ** 20) }),
    status: 413,
    param: null,
    message: /longer than \d+ bytes/,
  },
  // Routes.
  {
    name: "unknown path",
    path: "/v1/nothing",
    init: chatInit(),
    status: 404,
    param: null,
    message: /no POST \/v1\/nothing/,
  },
  {
    name: "GET on completions",
    init: { method: "GET", headers: {} },
    status: 405,
    param: null,
    message: /GET is not allowed/,
  },
  {
    name: "DELETE on models",
    path: "/v1/models",
    init: { method: "DELETE", headers: {} },
    status: 405,
    message: /DELETE is not allowed/,
  },
  {
    name: "unknown model retrieved",
    path: "/v1/models/gpt-4o",
    init: { method: "GET", headers: {} },
    status: 404,
    param: "model",
    message: /'gpt-4o' does not exist/,
  },
  {
    name: "a web page of another site",
    init: { ...chatInit(), headers: { ...JSON_TYPE, Origin: "https://evil.example" } },
    status: 403,
    message: /evil\.example/,
  },
  // model
  field("model is a number", { model: 4 }, "model", /expected a model's id, found 4/),
  // messages
  field("no messages", { messages: undefined }, "messages", /Missing required parameter/),
  field("messages null", { messages: null }, "messages", /Missing required parameter/),
  field(
    "messages is text",
    { messages: "hi" },
    "messages",
    /expected 1 to \d+ messages, found "hi"/,
  ),
  field("messages empty", { messages: [] }, "messages", /found an array of 0/),
  field(
    "too many messages",
    { messages: Array(5000).fill(MESSAGES[0]) },
    "messages",
    /expected 1 to \d+ messages, found an array of 5000/,
  ),
  message("message is text", "hi", "", /expected an object, found "hi"/),
  message("no role", { content: "hi" }, ".role", /Missing required parameter/),
  message(
    "role robot",
    { role: "robot", content: "hi" },
    ".role",
    /"assistant" or "tool", found "robot"/,
  ),
  message("no content", { role: "user" }, ".content", /Missing required parameter/),
  message("content is a number", { role: "user", content: 5 }, ".content", /text.*found 5/),
  message("content without parts", { role: "user", content: [] }, ".content", /an array of 0/),
  message(
    "an image part",
    { role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] },
    ".content[0].type",
    /images.*not supported.*found "image_url"/,
  ),
  message(
    "a part without text",
    { role: "user", content: [{ type: "text" }] },
    ".content[0].text",
    /Missing required parameter/,
  ),
  message(
    "half a surrogate pair",
    { role: "user", content: "a\ud800b" },
    ".content",
    /half a surrogate pair/,
  ),
  message("spoken audio", { role: "assistant", audio: { id: "a" } }, ".audio", /Unsupported param/),
  message(
    "a call of nothing",
    { role: "assistant", content: "", tool_calls: [{ id: "1" }] },
    ".tool_calls[0].function",
    /Missing required parameter/,
  ),
  // Numbers.
  field("max_tokens 0", { max_tokens: 0 }, "max_tokens", /expected an integer from 1.*found 0/),
  field("max_tokens text", { max_tokens: "8" }, "max_tokens", /expected an integer.*found "8"/),
  field("max_tokens 1.5", { max_tokens: 1.5 }, "max_tokens", /expected an integer.*found 1\.5/),
  field("max_tokens -2", { max_tokens: -2 }, "max_tokens", /expected an integer from 1.*found -2/),
  field(
    "max_completion_tokens 1e300",
    { max_completion_tokens: 1e300 },
    "max_completion_tokens",
    /expected an integer from 1/,
  ),
  field("temperature 2.1", { temperature: 2.1 }, "temperature", /from 0 to 2, found 2\.1/),
  field("temperature -1", { temperature: -1 }, "temperature", /from 0 to 2, found -1/),
  field("temperature text", { temperature: "hot" }, "temperature", /a number.*found "hot"/),
  field(
    "seed -2^53",
    { seed: -(2 ** 53) },
    "seed",
    /an integer from -9007199254740991 to 900719925/,
  ),
  field("seed 2^53", { seed: 2 ** 53 }, "seed", /found 9007199254740992/),
  field("seed 0.5", { seed: 0.5 }, "seed", /found 0\.5/),
  field("steps 0", { steps: 0 }, "steps", /an integer from 1.*found 0/),
  field("steps huge", { steps: 1e9 }, "steps", /an integer from 1.*found 1000000000/),
  field(
    "steps not a multiple of the blocks",
    { max_tokens: 32, block_length: 16, steps: 31 },
    "steps",
    /31/,
  ),
  field("block_length 0", { block_length: 0 }, "block_length", /an integer from 1.*found 0/),
  field("cfg_scale 11", { cfg_scale: 11 }, "cfg_scale", /from 0 to 10, found 11/),
  // Choices and flags.
  choice("strategy", STRATEGY_NAMES),
  choice("quality", QUALITIES),
  choice("confidence", CONFIDENCE_MEASURES),
  choice("cache", CACHE_POLICIES),
  choice("remasking", REMASKINGS),
  field("n 0", { n: 0 }, "n", /an integer from 1 to 8, found 0/),
  field("n 9", { n: 9 }, "n", /an integer from 1 to 8, found 9/),
  field("no rounds", { rounds: 0 }, "rounds", /an integer from 1 to 65536, found 0/),
  field("no draft depth", { draft_depth: 0 }, "draft_depth", /an integer from 1 to 64, found 0/),
  field("a draft threshold of 2", { draft_threshold: 2 }, "draft_threshold", /from 0 to 1/),
  field("stream is text", { stream: "yes" }, "stream", /true or false, found "yes"/),
  field(
    "stream_options is text",
    { stream: true, stream_options: "usage" },
    "stream_options",
    /an object, found "usage"/,
  ),
  // stop
  field(
    "stop of seventeen",
    { stop: [..."abcdefghijklmnopq"] },
    "stop",
    /16 stop strings.*an array of 17/,
  ),
  field("stop holds a number", { stop: ["a", 1] }, "stop[1]", /found 1/),
  field("stop too long", { stop: "x".repeat(257) }, "stop", /found text of 257 characters/),
  // What an answer must be.
  field("a format of XML", { response_format: { type: "xml" } }, "response_format.type", /"xml"/),
  field(
    "a schema format without schema",
    { response_format: { type: "json_schema", json_schema: { name: "a" } } },
    "response_format.json_schema.schema",
    /Missing required parameter/,
  ),
  field("no choice", { choice: [] }, "choice", /at least one text/),
  field("a regex that is a number", { guided_regex: 1 }, "guided_regex", /a regular expression/),
  field("two ways to say it", { choice: ["a"], regex: "b" }, "choice", /regex and choice both/),
  field("a tool of another type", { tools: [{ type: "web" }] }, "tools[0].type", /"function"/),
  field("a call of no tool", { tool_choice: "required" }, "tool_choice", /tools is empty/),
  field(
    "a call of a tool that is not there",
    {
      tools: [{ type: "function", function: { name: "f" } }],
      tool_choice: { type: "function", function: { name: "g" } },
    },
    "tool_choice",
    /names g/,
  ),
  // Sampling
  field("top_p above 1", { top_p: 1.5 }, "top_p", /a number from 0 to 1, found 1.5/),
  field("top_k in part", { top_k: 1.5 }, "top_k", /an integer from -1 to/),
  field("min_p below 0", { min_p: -1 }, "min_p", /from 0 to 1/),
  field("presence_penalty", { presence_penalty: 3 }, "presence_penalty", /from -2 to 2/),
  field("frequency_penalty", { frequency_penalty: "1" }, "frequency_penalty", /from -2 to 2/),
  field("repetition_penalty 0", { repetition_penalty: 0 }, "repetition_penalty", /from 0.01 to 2/),
  field("logit_bias too large", { logit_bias: { "5": 101 } }, "logit_bias", /up to 300 biases/),
  field("logit_bias in triples", { logit_bias: [[1, 2, 3]] }, "logit_bias", /found an array of 1/),
  field("logit_bias true", { logit_bias: [[1, true]] }, "logit_bias", /or false/),
  field(
    "301 biases",
    { logit_bias: Object.fromEntries(Array.from({ length: 301 }, (_, i) => [i, 1])) },
    "logit_bias",
    /up to 300 biases/,
  ),
  field("logprobs as a number", { logprobs: 5 }, "logprobs", /true or false/),
  field("top_logprobs 21", { logprobs: true, top_logprobs: 21 }, "top_logprobs", /from 0 to 20/),
  field("top_logprobs alone", { top_logprobs: 5 }, "top_logprobs", /with "logprobs": true/),
  field("ignore_eos", { ignore_eos: 1 }, "ignore_eos", /true or false/),
  // Known to OpenAI's API, and others'.
  field("a function without a name", { functions: [{}] }, "functions[0].name", /a name/),
  field(
    "a call of no name",
    { function_call: { name: 5 } },
    "function_call",
    /an object with a name/,
  ),
  unsupported("audio", { voice: "alloy" }),
  unsupported("modalities", ["text", "audio"]),
];
