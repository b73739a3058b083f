/** Options for a request's sampling fields and its constraint. */

import { type Command, InvalidArgumentError, Option } from "commander";
import type { z } from "zod";
import type { ChatMessage, GenerateRequest } from "../engine/request.ts";
import { CONSTRAINT_SHAPE } from "../server/constraint_schema.ts";
import { logitBias } from "../server/logit_bias.ts";
import { type GenerationFlags, repeated, requestOf, wholeNumber } from "./options.ts";

/** Values of the options of {@linkcode addSamplingOptions} as commander parses them. */
export interface SamplingFlags extends GenerationFlags {
  readonly jsonSchema?: unknown;
  readonly regex?: string;
  readonly choice?: readonly string[];
}

/** Adds the options; each has the definition of the HTTP field of its name. */
export function addSamplingOptions(command: Command): Command {
  const exclusive = (name: string, what: string, others: string[]) =>
    new Option(name, what).conflicts(others);
  return command
    .option("--top-p <p>", "share of the probability that may be chosen, likeliest first", number)
    .option("--top-k <n>", "likeliest tokens that may be chosen, 0 for all", wholeNumber(0))
    .option("--min-p <p>", "least probability, as a share of the largest", number)
    .option("--presence-penalty <x>", "taken from logits of tokens in the answer, -2 to 2", number)
    .option("--frequency-penalty <x>", "taken each time that a token is there, -2 to 2", number)
    .option("--repetition-penalty <x>", "divides logits of tokens that are there, up to 2", number)
    .option("--logit-bias <json>", 'added to logits by token id or text: {"42": -5}', biases)
    .addOption(
      exclusive("--json-schema <schema>", "what the answer must be: JSON, or a file of it", [
        "regex",
        "choice",
      ]).argParser(schemaOf),
    )
    .addOption(
      exclusive("--regex <pattern>", "expression that the whole answer must match", [
        "jsonSchema",
        "choice",
      ]).argParser((text) => checked(CONSTRAINT_SHAPE.regex, text)),
    )
    .addOption(
      exclusive("--choice <text>", "a text that the answer may be (repeatable)", [
        "jsonSchema",
        "regex",
      ]).argParser((text, before?: readonly string[]) =>
        checked(CONSTRAINT_SHAPE.choice, repeated(text, before))
      ),
    );
}

/** The request that a conversation and the options make. */
export function sampledRequest(
  conversation: readonly ChatMessage[],
  flags: SamplingFlags,
): GenerateRequest {
  const { topP, topK, minP, presencePenalty, frequencyPenalty, repetitionPenalty } = flags;
  return {
    ...requestOf(conversation, flags),
    topP,
    topK,
    minP,
    presencePenalty,
    frequencyPenalty,
    repetitionPenalty,
    logitBias: flags.logitBias,
    ...constraintOf(flags),
  };
}

function constraintOf(
  { jsonSchema, regex, choice }: SamplingFlags,
): Pick<GenerateRequest, "constraint" | "constraintField"> {
  if (jsonSchema !== undefined) {
    return {
      constraint: { kind: "json_schema", schema: jsonSchema },
      constraintField: "--json-schema",
    };
  }
  if (regex !== undefined) {
    return { constraint: { kind: "regex", pattern: regex }, constraintField: "--regex" };
  }
  if (choice === undefined) return {};
  return { constraint: { kind: "choice", choices: choice }, constraintField: "--choice" };
}

/** A number; the engine says what it must be. */
function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("expected a number");
}

function checked<T extends z.ZodType>(type: T, value: unknown): z.infer<T> {
  const { success, data, error } = type.safeParse(value);
  if (success) return data;
  throw new InvalidArgumentError(`expected ${error.issues[0].message}`);
}

function biases(text: string): z.infer<typeof logitBias> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not JSON is no bias either.
  }
  return checked(logitBias, value);
}

/** A schema, from its JSON or from the file of this name. */
function schemaOf(text: string): unknown {
  if (text.trimStart().startsWith("{")) return checked(CONSTRAINT_SHAPE.guided_json, text);
  let read: string;
  try {
    read = Deno.readTextFileSync(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return checked(CONSTRAINT_SHAPE.guided_json, read);
}
