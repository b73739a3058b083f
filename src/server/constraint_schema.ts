/** Fields that say what an answer must be, in OpenAI's, vLLM's and llama-server's spelling. */
import { z } from "zod";
import type { Constraint } from "../engine/request.ts";
import { ApiError } from "./errors.ts";
import { isTooDeep } from "./json_levels.ts";

/** Texts of a choice, at most. */
const MOST_CHOICES = 1000;

const schema = z.looseObject({}, { error: "a JSON schema" });
const flag = z.boolean({ error: "true or false" });
const pattern = z.string({ error: "a regular expression" })
  .max(10_000, { error: "a regular expression of up to 10000 characters" });
const grammar = z.string({ error: "a grammar in llama.cpp's notation, GBNF" })
  .max(100_000, { error: "a grammar of up to 100000 characters" });
const choices = z.array(z.string({ error: "text" }), { error: "an array of texts" })
  .min(1, { error: "at least one text" })
  .max(MOST_CHOICES, { error: `up to ${MOST_CHOICES} texts` });

/** A schema, or its JSON as text, which vLLM takes too. */
const schemaOrText = z.union([
  schema,
  z.string().transform((text, context) => {
    try {
      const read = JSON.parse(text);
      const isSchema = typeof read === "object" && read !== null && !isTooDeep(text);
      if (isSchema) return read as Record<string, unknown>;
    } catch {
      // Said below.
    }
    context.addIssue({ code: "custom", message: "a JSON schema, or its JSON as text" });
    return z.NEVER;
  }),
], { error: "a JSON schema, or its JSON as text" });

const responseFormat = z.looseObject({
  type: z.enum(["text", "json_object", "json_schema"], {
    error: '"text", "json_object" or "json_schema"',
  }),
  json_schema: z.looseObject({ schema: schema.nullish() }, { error: "an object with a schema" })
    .nullish(),
  schema: schema.nullish(),
}, { error: 'an object with a type, such as {"type": "json_object"}' });

const structuredOutputs = z.strictObject({
  json: schemaOrText.nullish(),
  regex: pattern.nullish(),
  choice: choices.nullish(),
  grammar: grammar.nullish(),
  json_object: flag.nullish(),
  // What these ask for is so of every answer: no member but the schema's, one space at most.
  disable_fallback: flag.nullish(),
  disable_any_whitespace: flag.nullish(),
  disable_additional_properties: flag.nullish(),
  // Programs that write all fields of vLLM's class write these as null.
  structural_tag: z.null({ error: "null: it is not supported" }).optional(),
  whitespace_pattern: z.null({ error: "null: it is not supported" }).optional(),
}, { error: "an object with json, regex, choice, grammar or json_object" });

/** These fields of a body. */
export const CONSTRAINT_SHAPE = {
  response_format: responseFormat.optional(),
  structured_outputs: structuredOutputs.optional(),
  json_schema: schema.optional(),
  guided_json: schemaOrText.optional(),
  regex: pattern.optional(),
  guided_regex: pattern.optional(),
  choice: choices.optional(),
  guided_choice: choices.optional(),
  grammar: grammar.optional(),
  guided_grammar: grammar.optional(),
} as const;

/** Their values. */
export type ConstraintFields = {
  readonly [K in keyof typeof CONSTRAINT_SHAPE]?: z.infer<(typeof CONSTRAINT_SHAPE)[K]>;
};

/** A constraint, and the field that asked for it. */
export interface AskedConstraint {
  readonly field: string;
  readonly constraint: Constraint;
}

/**
 * The constraint of a body, if it has one.
 * @throws {ApiError} 400 when it has several, a `json_schema` format without its schema, or
 *   `structured_outputs` that ask for nothing
 */
export function askedConstraint(fields: ConstraintFields): AskedConstraint | undefined {
  const outputs = fields.structured_outputs;
  const all = [
    formatConstraint(fields.response_format),
    schemaConstraint("structured_outputs.json", outputs?.json),
    regexConstraint("structured_outputs.regex", outputs?.regex),
    choiceConstraint("structured_outputs.choice", outputs?.choice),
    grammarConstraint("structured_outputs.grammar", outputs?.grammar),
    outputs?.json_object
      ? { field: "structured_outputs.json_object", constraint: JSON_OBJECT }
      : undefined,
    schemaConstraint("json_schema", fields.json_schema),
    schemaConstraint("guided_json", fields.guided_json),
    regexConstraint("regex", fields.regex),
    regexConstraint("guided_regex", fields.guided_regex),
    choiceConstraint("choice", fields.choice),
    choiceConstraint("guided_choice", fields.guided_choice),
    grammarConstraint("grammar", fields.grammar),
    grammarConstraint("guided_grammar", fields.guided_grammar),
  ].filter((one) => one !== undefined);
  if (all.length > 1) {
    const message = `${all[0].field} and ${all[1].field} both say what the answer must be: ` +
      "send one of the two.";
    throw new ApiError(400, "invalid_value", message, { param: all[1].field });
  }
  // Of several there is an error above, so this one is of the outputs, if they say something.
  if (outputs !== undefined && !all[0]?.field.startsWith("structured_outputs.")) {
    const message =
      "structured_outputs says nothing: send json, regex, choice, grammar or json_object.";
    throw new ApiError(400, "invalid_value", message, { param: "structured_outputs" });
  }
  return all[0];
}

const JSON_OBJECT: Constraint = { kind: "json_object" };

function formatConstraint(
  format: ConstraintFields["response_format"],
): AskedConstraint | undefined {
  if (format === undefined || format.type === "text") return undefined;
  const field = "response_format";
  const asked = format.json_schema?.schema ?? format.schema;
  if (asked) return { field, constraint: { kind: "json_schema", schema: asked } };
  if (format.type === "json_object") return { field, constraint: JSON_OBJECT };
  const param = "response_format.json_schema.schema";
  const message = `Missing required parameter: '${param}'; expected a JSON schema.`;
  throw new ApiError(400, "missing_required_parameter", message, { param });
}

function schemaConstraint(field: string, schema: unknown): AskedConstraint | undefined {
  return schema ? { field, constraint: { kind: "json_schema", schema } } : undefined;
}

function regexConstraint(
  field: string,
  pattern: string | null | undefined,
): AskedConstraint | undefined {
  return typeof pattern === "string"
    ? { field, constraint: { kind: "regex", pattern } }
    : undefined;
}

/** An empty one is what llama-server's own page sends for none. */
function grammarConstraint(
  field: string,
  grammar: string | null | undefined,
): AskedConstraint | undefined {
  return grammar ? { field, constraint: { kind: "grammar", grammar } } : undefined;
}

function choiceConstraint(
  field: string,
  choices: readonly string[] | null | undefined,
): AskedConstraint | undefined {
  return choices ? { field, constraint: { kind: "choice", choices } } : undefined;
}

/** Fields that change nothing about an answer that a constraint holds, and their values that never do. */
const NOT_HELD: ReadonlyMap<string, readonly unknown[]> = new Map([
  ["stop", [""]],
  ["ignore_eos", [false]],
  ["strategy", ["plain", "threshold", "auto"]],
  ["cache", ["none"]],
  ["cfg_scale", [0]],
  ["remasking", ["low_confidence"]],
  ["confidence", ["probability"]],
  ...["refresh_interval", "suffix_window", "factor", "draft_depth", "rounds", "draft_threshold"]
    .map((name): [string, unknown[]] => [name, []]),
  ["target_threshold", []],
  ["back_threshold", []],
]);

/** Fields of a body that its constraint leaves without meaning; none where an answer may be free. */
export function notHeld(
  fields: Readonly<Record<string, unknown>>,
  constraint: Constraint | undefined,
): string[] {
  const isFree = constraint?.kind === "call" && !constraint.required && !constraint.otherwise;
  if (constraint === undefined || isFree) return [];
  return [...NOT_HELD].filter(([name, same]) => {
    const value = fields[name];
    const isNothing = value === undefined || (Array.isArray(value) && value.length === 0);
    return !isNothing && !same.includes(value);
  }).map(([name]) => name);
}
