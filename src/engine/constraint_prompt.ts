/**
 * Tells the model in the prompt what its answer must be. The automaton holds it in any case; told, the
 * model also means it.
 */

import { isObject } from "../constraint/schema_parts.ts";
import type { ChatMessage, Constraint } from "./request.ts";

/**
 * The conversation with one more system message, or a longer first one.
 * @param most characters that a schema, or all choices, may take to be told; a longer one is only
 * named, since it would leave the conversation no room
 */
export function withConstraint(
  messages: readonly ChatMessage[],
  constraint: Constraint | undefined,
  most: number,
): readonly ChatMessage[] {
  const told = constraint && instruction(constraint, most);
  if (!told) return messages;
  const [first, ...rest] = messages;
  return first?.role === "system"
    ? [{ role: "system", content: `${first.content}\n\n${told}` }, ...rest]
    : [{ role: "system", content: told }, ...messages];
}

function instruction(constraint: Constraint, most: number): string | undefined {
  switch (constraint.kind) {
    case "json_schema":
      return asLong(
        `Answer with JSON that is valid under this schema: ${written(constraint.schema)}`,
        most,
        "Answer with JSON.",
      );
    case "json_object":
      return "Answer with a JSON object.";
    case "choice":
      return asLong(`Answer with one of these: ${constraint.choices.join(" | ")}`, most, undefined);
    // A model that is shown a pattern tends to repeat it.
    case "regex":
    case "grammar":
      return undefined;
    case "call": {
      const all = constraint.functions.map((one) =>
        asLong(
          `${one.name}: ${one.description ?? "no description"}. Arguments: ` +
            written(one.parameters ?? {}),
          most / constraint.functions.length,
          one.name,
        )
      );
      const otherwise = constraint.otherwise && instruction(constraint.otherwise, most / 2);
      const when = constraint.required
        ? "Call one of these functions"
        : `If it helps, call one of these functions, else answer in ${
          otherwise ? "JSON" : "plain text"
        }`;
      const how = 'Write a call as {"name": "NAME", "arguments": {...}} and nothing else';
      return [`${when}. ${how}.`, ...all, ...otherwise ? [otherwise] : []].join("\n");
    }
  }
}

function written(schema: unknown): string {
  return JSON.stringify(withoutNames(schema));
}

/** What only names a schema or its dialect says nothing about the answer. */
function withoutNames(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const { $schema: _, $id: __, ...rest } = schema;
  return rest;
}

function asLong<T>(text: string, most: number, otherwise: T): string | T {
  return text.length > most ? otherwise : text;
}
