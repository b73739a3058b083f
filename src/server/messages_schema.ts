/**
 * A JSON schema that stands in a conversation's text. Programs that know no structured outputs write it
 * there, and ask for a JSON object or for nothing; an answer can be held to it all the same.
 */
import {
  type ChatMessage,
  type GenerateRequest,
  RequestError,
  type TextEngine,
} from "../engine/request.ts";
import { engineWith } from "./engine_with.ts";
import { isTooDeep } from "./json_levels.ts";

/** The header of an answer that was held to such a schema; its value is `messages`. */
export const SCHEMA_HEADER = "X-Unmask-Schema";

/** Braces at which an object may begin that are tried in one conversation, each within the text. */
const MOST_TRIES = 64;

/**
 * The schema of an object (`type` `object`, and `properties`) that stands in the system messages or, if
 * there is none, in those of the user; undefined where several different ones do.
 * @param onlySystem whether the user's messages do not count
 */
export function schemaIn(
  messages: readonly ChatMessage[],
  { onlySystem = false }: { readonly onlySystem?: boolean } = {},
): Record<string, unknown> | undefined {
  let tries = MOST_TRIES;
  for (const role of onlySystem ? ["system"] as const : ["system", "user"] as const) {
    const found = new Map<string, Record<string, unknown>>();
    for (const message of messages) {
      if (message.role !== role || !message.content.includes('"properties"')) continue;
      for (let at = message.content.indexOf("{"); at >= 0;) {
        // Braces too many to look at: whatever is among them is not known to be the only one.
        if (tries-- === 0) return undefined;
        const end = endOfObject(message.content, at);
        const text = end === undefined ? undefined : message.content.slice(at, end);
        const value = text === undefined ? undefined : objectOf(text);
        if (value && isObjectSchema(value)) found.set(text!, withoutName(value));
        // What stands within other JSON, such as a function's parameters, is not the answer's schema.
        at = message.content.indexOf("{", value ? end : at + 1);
      }
    }
    if (found.size > 0) return found.size === 1 ? [...found.values()][0] : undefined;
  }
}

/** Where the object that begins at a brace ends, if it does; braces in strings do not count. */
function endOfObject(text: string, start: number): number | undefined {
  let level = 0;
  let isString = false;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (isString) {
      if (character === "\\") i++;
      else isString = character !== '"';
    } else if (character === '"') isString = true;
    else if (character === "{") level++;
    else if (character === "}" && --level === 0) return i + 1;
  }
}

function objectOf(text: string): Record<string, unknown> | undefined {
  if (isTooDeep(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObjectSchema({ type, properties }: Record<string, unknown>): boolean {
  return type === "object" && typeof properties === "object" && properties !== null &&
    !Array.isArray(properties);
}

/** Programs write a function's or a format's name among the keywords: it says nothing of a value. */
function withoutName(schema: Record<string, unknown>): Record<string, unknown> {
  const { name, ...rest } = schema;
  return typeof name === "string" ? rest : schema;
}

/** What an answer must be where it cannot be held to the schema in the messages. */
export type Otherwise = Pick<GenerateRequest, "constraint" | "constraintField">;

/**
 * The same engine for requests that are held to a schema in their messages. One that the engine
 * refuses is asked again with what it asked for itself.
 * @param onHeld told before the first event of an answer that is held to the schema
 */
export function heldOr(engine: TextEngine, otherwise: Otherwise, onHeld: () => void): TextEngine {
  return engineWith(engine, async function* (request, signal) {
    let begun = false;
    try {
      for await (const event of engine.generate(request, signal)) {
        if (!begun) onHeld();
        begun = true;
        yield event;
      }
    } catch (error) {
      if (begun || !(error instanceof RequestError)) throw error;
      const asked = { ...request, constraintTold: undefined, ...otherwise };
      yield* engine.generate(asked, signal);
    }
  });
}
