/** What a line of training data says, before it is encoded. */

import type { ChatTurn } from "../../text/chat_template.ts";

/** A conversation that ends with the answer to learn, or a plain text. */
export type Example =
  | { readonly kind: "chat"; readonly turns: readonly ChatTurn[] }
  | { readonly kind: "text"; readonly text: string };

const FORMS = "{messages: [{role, content}, …]}, {prompt, answer}, {prompt, completion} or {text}";
/**
 * What an answer beside a `prompt` is called. The first is the name in models/eval-public.json, where
 * `answer` is only the number in it.
 */
const ANSWERS = ["expected", "answer", "completion"] as const;

/**
 * Reads a line of a jsonl file.
 * @param where file and line, for errors
 * @throws {Error} naming `where` and the field that is wrong
 */
export function parseExample(line: string, where: string): Example {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (error) {
    throw new Error(`${where}: not JSON: ${(error as Error).message}`);
  }
  return exampleOf(json, where);
}

/** Reads a parsed line, or an item of models/eval-public.json. @throws as {@linkcode parseExample} */
export function exampleOf(json: unknown, where: string): Example {
  const fields = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const text = (name: string, value: unknown) => {
    if (typeof value === "string") return value;
    throw new Error(`${where}: ${name} is ${shown(value)}, expected a text`);
  };
  if (fields.messages !== undefined) return chatOf(fields.messages, where, text);
  if (fields.prompt !== undefined) {
    const name = ANSWERS.find((name) => typeof fields[name] === "string");
    if (!name) throw new Error(`${where}: prompt has no answer beside it, expected ${FORMS}`);
    return {
      kind: "chat",
      turns: [
        { role: "user", content: text("prompt", fields.prompt) },
        { role: "assistant", content: text(name, fields[name]) },
      ],
    };
  }
  if (fields.text !== undefined) {
    const content = text("text", fields.text);
    if (content === "") throw new Error(`${where}: text is empty`);
    return { kind: "text", text: content };
  }
  throw new Error(`${where}: expected ${FORMS}, found ${shown(json)}`);
}

function chatOf(
  messages: unknown,
  where: string,
  text: (name: string, value: unknown) => string,
): Example {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new Error(`${where}: messages is ${shown(messages)}, expected a list of {role, content}`);
  }
  const turns = messages.map((message, i) => ({
    role: text(`messages[${i}].role`, message?.role),
    content: text(`messages[${i}].content`, message?.content),
  }));
  const { role } = turns[turns.length - 1];
  if (role !== "assistant") {
    throw new Error(
      `${where}: the last message is of role ${shown(role)}, expected the assistant's answer`,
    );
  }
  return { kind: "chat", turns };
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
