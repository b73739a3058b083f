/** What an answer must be, as a plain value, and the language of it. */

import { Allowance } from "./allowance.ts";
import { grammarWork } from "./grammar_language.ts";
import { patternLanguage } from "./pattern.ts";
import { anyObject, schemaWork } from "./json_schema.ts";
import { COLON, COMMA } from "./json_text.ts";
import { choice, literal, type Maybe, sequence } from "./language.ts";
import { SchemaError, within } from "./schema_error.ts";
import { each, finish, type Work } from "./work.ts";

/** A function that an answer may call. */
export interface CallableFunction {
  /** Its name, which a call repeats. */
  readonly name: string;
  /** What it does, for the prompt. */
  readonly description?: string;
  /** JSON schema of its arguments, an object's; default: any object. */
  readonly parameters?: unknown;
}

/** What the whole text of an answer must be. */
export type Constraint =
  | { readonly kind: "json_schema"; readonly schema: unknown }
  | { readonly kind: "json_object" }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  | { readonly kind: "regex"; readonly pattern: string }
  /** In llama.cpp's notation (GBNF). */
  | { readonly kind: "grammar"; readonly grammar: string }
  | {
    /** One call, `{"name": "add", "arguments": {"a": 1}}`. */
    readonly kind: "call";
    readonly functions: readonly CallableFunction[];
    /** Whether the answer must be a call; else the model decides between a call and text. */
    readonly required: boolean;
    /** What an answer that is no call must be; then the words that the model chooses decide. */
    readonly otherwise?: Constraint;
  };

/**
 * The language of a constraint.
 * @throws {SchemaError} for a schema that cannot be served
 * @throws {PatternError} for a pattern that cannot be served
 * @throws {GrammarError} for a grammar that cannot be served
 * @throws {SizeError} for one that takes too many states, or longer than allowed
 */
export function constraintLanguage(
  constraint: Constraint,
  allowance: Allowance = new Allowance(),
): Maybe {
  return finish(constraintWork(constraint, allowance));
}

/** The same in pieces. */
export function* constraintWork(constraint: Constraint, allowance: Allowance): Work<Maybe> {
  switch (constraint.kind) {
    case "json_schema":
      return yield* schemaWork(constraint.schema, allowance);
    case "json_object":
      return anyObject();
    case "choice":
      return choice(...constraint.choices.map(literal));
    case "regex":
      return patternLanguage(constraint.pattern, { spelling: "raw", whole: true });
    case "grammar":
      return yield* grammarWork(constraint.grammar, allowance);
    case "call":
      return choice(
        ...yield* each(constraint.functions, (one) => callLanguage(one, allowance)),
        constraint.otherwise && (yield* constraintWork(constraint.otherwise, allowance)),
      );
  }
}

/** Calls of one function; a schema's pointers begin at its parameters. */
function* callLanguage(
  { name, parameters }: CallableFunction,
  allowance: Allowance,
): Work<Maybe> {
  const schema = parameters ?? { type: "object" };
  try {
    return sequence(
      literal('{"name"'),
      COLON,
      literal(JSON.stringify(name)),
      COMMA,
      literal('"arguments"'),
      COLON,
      yield* schemaWork({ type: "object", ...schema as Record<string, unknown> }, allowance),
      literal("}"),
    );
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new SchemaError(within("", name, "parameters") + error.pointer, error.reason);
  }
}
