/**
 * Fields that OpenAI's API, or another server of it, knows and this one does not serve. They are
 * refused by name; only a value that asks for nothing passes.
 */

/** Which values of a refused field ask for nothing, and how to tell the client. */
export interface Neutral {
  /** Whether the value leaves the answer as it is without the field. */
  readonly passes: (value: unknown) => boolean;
  /** Those values as JSON; empty when there are none. */
  readonly written: string;
}

/** Refused fields by name. null counts as absent everywhere and is not named here. */
export type RefusedFields = ReadonlyMap<string, Neutral>;

const never: Neutral = { passes: () => false, written: "" };

function only(...values: readonly (string | number | boolean)[]): Neutral {
  return {
    passes: (value) => values.some((neutral) => neutral === value),
    written: values.map((value) => JSON.stringify(value)).join(" or "),
  };
}

const emptyArray: Neutral = {
  passes: (value) => Array.isArray(value) && value.length === 0,
  written: "[]",
};

const emptyObject: Neutral = {
  passes: (value) =>
    typeof value === "object" && !Array.isArray(value) && Object.keys(value ?? {}).length === 0,
  written: "{}",
};

const textOnly: Neutral = {
  passes: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  written: '["text"]',
};

const textFormat: Neutral = {
  passes: (value) =>
    typeof value === "object" && value !== null && Object.keys(value).length === 1 &&
    "type" in value && value.type === "text",
  written: '{"type":"text"}',
};

/** Refused at the top level of a chat completion request. */
export const REFUSED_IN_BODY: RefusedFields = new Map([
  ["audio", never],
  ["best_of", only(1)],
  ["echo", only(false)],
  ["frequency_penalty", only(0)],
  ["function_call", only("none")],
  ["functions", emptyArray],
  ["logit_bias", emptyObject],
  ["logprobs", only(false)],
  ["min_p", only(0)],
  ["modalities", textOnly],
  ["moderation", never],
  ["n", only(1)],
  ["parallel_tool_calls", only(true)],
  ["prediction", never],
  ["presence_penalty", only(0)],
  ["prompt_cache_options", never],
  ["prompt_cache_retention", never],
  ["reasoning_effort", only("none")],
  ["repetition_penalty", only(1)],
  ["response_format", textFormat],
  ["service_tier", only("auto", "default")],
  ["store", only(false)],
  ["suffix", never],
  ["tool_choice", only("none")],
  ["tools", emptyArray],
  ["top_k", only(0, -1)],
  ["top_logprobs", only(0)],
  ["top_p", only(1)],
  ["verbosity", only("medium")],
  ["web_search_options", never],
]);

/** Refused in one of `messages`. Empty lists pass: answers of other servers carry them. */
export const REFUSED_IN_MESSAGE: RefusedFields = new Map([
  ["annotations", emptyArray],
  ["audio", never],
  ["function_call", never],
  ["name", never],
  ["refusal", never],
  ["tool_call_id", never],
  ["tool_calls", emptyArray],
]);

/** Refused in `stream_options`. */
export const REFUSED_IN_STREAM_OPTIONS: RefusedFields = new Map([
  ["include_obfuscation", only(false)],
]);

/** Refused in a content part. */
export const REFUSED_IN_PART: RefusedFields = new Map([["prompt_cache_breakpoint", never]]);
