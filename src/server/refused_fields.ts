/**
 * Fields of OpenAI's API, or of another server of it, that this server does not support. They are
 * refused by name; only a value that changes nothing is accepted.
 */

/** Values of a refused field that change nothing, and their text for the client. */
export interface Neutral {
  /** Whether the value gives the same answer as no field. */
  readonly passes: (value: unknown) => boolean;
  /** Those values as JSON; empty if there are none. */
  readonly written: string;
}

/** Refused fields by name. A null field always counts as absent, so null is not listed. */
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

/** Fields refused at the top level of a chat completion request. */
export const REFUSED_IN_BODY: RefusedFields = new Map([
  ["audio", never],
  ["best_of", only(1)],
  ["echo", only(false)],
  ["function_call", only("none")],
  ["functions", emptyArray],
  ["modalities", textOnly],
  ["moderation", never],
  ["n", only(1)],
  ["parallel_tool_calls", only(true)],
  ["prediction", never],
  ["prompt_cache_options", never],
  ["prompt_cache_retention", never],
  ["reasoning_effort", only("none")],
  ["response_format", textFormat],
  ["service_tier", only("auto", "default")],
  ["store", only(false)],
  ["suffix", never],
  ["tool_choice", only("none")],
  ["tools", emptyArray],
  ["verbosity", only("medium")],
  ["web_search_options", never],
]);

/** Fields refused in `messages`. Empty lists pass, because answers of other servers carry them. */
export const REFUSED_IN_MESSAGE: RefusedFields = new Map([
  ["annotations", emptyArray],
  ["audio", never],
  ["function_call", never],
  ["name", never],
  ["refusal", never],
  ["tool_call_id", never],
  ["tool_calls", emptyArray],
]);

/** Fields refused in `stream_options`. */
export const REFUSED_IN_STREAM_OPTIONS: RefusedFields = new Map([
  ["include_obfuscation", only(false)],
]);

/** Fields refused in a content part. */
export const REFUSED_IN_PART: RefusedFields = new Map([["prompt_cache_breakpoint", never]]);
