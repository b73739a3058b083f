/** Tools of a request, and calls of them in conversations. */
import { z } from "zod";
import type { ChatMessage, Constraint } from "../engine/request.ts";
import type { AskedConstraint } from "./constraint_schema.ts";
import { ApiError } from "./errors.ts";

/** Tools of a request, at most. */
const MOST_TOOLS = 128;

const name = z.string({ error: "a name" }).min(1, { error: "a name" })
  .max(128, { error: "a name of up to 128 characters" });
const isFunction = z.literal("function", { error: '"function"' });
const described = z.looseObject({
  name,
  description: z.string({ error: "text" }).nullish(),
  parameters: z.looseObject({}, { error: "a JSON schema" }).nullish(),
}, { error: "an object with a name" });
const tool = z.looseObject({
  type: isFunction,
  function: described,
}, { error: "an object with type and function" });
const named = z.looseObject({
  type: isFunction,
  function: z.looseObject({ name }, { error: "an object with a name" }),
}, { error: "an object with type and function" });

/** The fields of a body that are about tools. */
export const TOOL_SHAPE = {
  tools: z.array(tool, { error: `up to ${MOST_TOOLS} tools` })
    .max(MOST_TOOLS, { error: `up to ${MOST_TOOLS} tools` }).optional(),
  tool_choice: z.union([
    z.enum(["none", "auto", "required"], { error: '"none", "auto", "required" or a function' }),
    named,
  ], { error: '"none", "auto", "required" or a function' }).optional(),
  parallel_tool_calls: z.boolean({ error: "true or false" }).optional(),
  // OpenAI's older spelling of the two.
  functions: z.array(described, { error: `up to ${MOST_TOOLS} functions` })
    .max(MOST_TOOLS, { error: `up to ${MOST_TOOLS} functions` }).optional(),
  function_call: z.union([
    z.enum(["none", "auto"], { error: '"none", "auto" or an object with a name' }),
    z.looseObject({ name }, { error: "an object with a name" }),
  ], { error: '"none", "auto" or an object with a name' }).optional(),
} as const;

/** Their values. */
export type ToolFields = {
  readonly [K in "tools" | "tool_choice" | "functions" | "function_call"]?: z.infer<
    (typeof TOOL_SHAPE)[K]
  >;
};

/** Whether a body asks for calls in the older spelling, and so gets them. */
export function asksForFunctions({ tools, functions }: ToolFields): boolean {
  return !tools?.length && functions !== undefined && functions.length > 0;
}

/** The fields in the newer spelling. */
function newer(fields: ToolFields): ToolFields {
  if (!asksForFunctions(fields)) return fields;
  const { functions = [], function_call: call } = fields;
  const tools = functions.map((one) => ({ type: "function" as const, function: one }));
  if (typeof call !== "object") return { tools, tool_choice: call };
  return { tools, tool_choice: { type: "function", function: { name: call.name } } };
}

const calledFunction = z.looseObject({
  name,
  arguments: z.string({ error: "the arguments as JSON text" }),
}, { error: "an object with name and arguments" });

/** The fields of a message that are about tools; `function_call` is the older spelling. */
export const TOOL_MESSAGE_SHAPE = {
  function_call: calledFunction.optional(),
  tool_call_id: z.string({ error: "a call's id" }).optional(),
  tool_calls: z.array(
    z.looseObject({
      id: z.string({ error: "a call's id" }).nullish(),
      function: calledFunction,
    }, { error: "an object with a function" }),
    { error: "an array of calls" },
  ).max(MOST_TOOLS, { error: `up to ${MOST_TOOLS} calls` }).optional(),
} as const;

/** A turn with what it has of tools. */
export interface ToolTurn extends ChatMessage {
  readonly function_call?: { readonly name: string; readonly arguments: string };
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly {
    readonly id?: string | null;
    readonly function: { readonly name: string; readonly arguments: string };
  }[];
}

/**
 * What `tools` and `tool_choice` make of the answer: a call that must be, one that may be, or, with
 * `none` or no tool, nothing.
 * @param otherwise what an answer that is no call must be
 * @throws {ApiError} 400 for a choice that names no tool
 */
export function withTools(
  fields: ToolFields,
  otherwise: AskedConstraint | undefined,
): AskedConstraint | undefined {
  const { tools = [], tool_choice = "auto" } = newer(fields);
  if (tool_choice === "none" || (tool_choice === "auto" && tools.length === 0)) return otherwise;
  const functions = tools.map(({ function: { name, description, parameters } }) => ({
    name,
    description: description ?? undefined,
    parameters: parameters ?? undefined,
  }));
  if (typeof tool_choice === "string") {
    if (functions.length === 0) throw unfit("tool_choice is required, and tools is empty");
    const required = tool_choice === "required";
    const constraint: Constraint = {
      kind: "call",
      functions,
      required,
      otherwise: required ? undefined : otherwise?.constraint,
    };
    return { field: "tools", constraint };
  }
  const asked = tool_choice.function.name;
  const chosen = functions.filter((one) => one.name === asked);
  if (chosen.length === 0) throw unfit(`tool_choice names ${asked.slice(0, 64)}, no tool of tools`);
  return { field: "tools", constraint: { kind: "call", functions: chosen, required: true } };
}

function unfit(message: string): ApiError {
  return new ApiError(400, "invalid_value", `${message}.`, { param: "tool_choice" });
}

/**
 * Turns as the model sees them: a call as the text that answers have, the result of one in the user's
 * turn. LLaDA was trained on no other roles.
 */
export function toolTurns(turns: readonly ToolTurn[]): ChatMessage[] {
  const called = new Map<string, string>();
  // A result in the older spelling follows its call.
  let last = "the call";
  return turns.map(({ role, content, tool_calls = [], tool_call_id = "", function_call }) => {
    for (const { id, function: { name } } of tool_calls) if (id) called.set(id, name);
    if (role === "function") return { role: "user", content: `Result of ${last}: ${content}` };
    last = function_call?.name ?? last;
    if (role === "tool") {
      return {
        role: "user",
        content: `Result of ${called.get(tool_call_id) ?? "the call"}: ${content}`,
      };
    }
    const all = [
      ...tool_calls.map((call) => call.function),
      ...function_call ? [function_call] : [],
    ];
    const calls = all.map(({ name, arguments: given }) =>
      `{"name": ${JSON.stringify(name)}, "arguments": ${given || "{}"}}`
    );
    return { role, content: [...content === "" ? [] : [content], ...calls].join("\n") };
  });
}

/** A call in an answer. */
export interface ToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The beginning of a call's text, up to the arguments. */
const HEAD = /^\{"name": ("(?:[^"\\]|\\.)*"), "arguments": /;
const OPENING = '{"name": "';

/** What a message gains: text, the head of a call, or a piece of its arguments. */
export interface MessageDelta {
  readonly content?: string;
  readonly tool_calls?: readonly [
    { readonly index: 0 } & (ToolCall | { readonly function: { readonly arguments: string } }),
  ];
  /** Only in the older spelling. */
  readonly function_call?: { readonly name?: string; readonly arguments: string };
}

/** Turns the text of an answer that may be a call into what its message gains, as it comes. */
export class CallText {
  #text = "";
  #id: string | undefined;
  #isText = false;
  /** Characters of the text that were passed on. */
  #sent = 0;

  /** Whether it has turned out to be a call. */
  get isCall(): boolean {
    return this.#id !== undefined;
  }

  /** Adds text. */
  add(text: string): MessageDelta[] {
    this.#text += text;
    if (this.#isText) return this.#passText();
    if (this.#id !== undefined) return this.#passArguments();
    const head = HEAD.exec(this.#text);
    if (head) {
      this.#id = newCallId();
      this.#sent = head[0].length;
      const named = { name: JSON.parse(head[1]) as string, arguments: "" };
      return [
        { tool_calls: [{ index: 0, id: this.#id, type: "function", function: named }] },
        ...this.#passArguments(),
      ];
    }
    const common = Math.min(this.#text.length, OPENING.length);
    if (this.#text.slice(0, common) === OPENING.slice(0, common)) return [];
    this.#isText = true;
    return this.#passText();
  }

  /** Ends the text: what never became a call is text. */
  end(): MessageDelta[] {
    if (this.#id !== undefined) return [];
    this.#isText = true;
    return this.#passText();
  }

  /** The bracket that ends the text is the call's, not one of the arguments. */
  #passArguments(): MessageDelta[] {
    const piece = this.#text.slice(this.#sent, -1);
    if (piece === "") return [];
    this.#sent += piece.length;
    return [{ tool_calls: [{ index: 0, function: { arguments: piece } }] }];
  }

  #passText(): MessageDelta[] {
    const content = this.#text.slice(this.#sent);
    this.#sent = this.#text.length;
    return content === "" ? [] : [{ content }];
  }
}

/** A delta in the older spelling of calls. */
export function olderDelta({ content, tool_calls }: MessageDelta): MessageDelta {
  return tool_calls ? { function_call: tool_calls[0].function } : { content };
}

/** The call that a whole text is; undefined if it is none. */
export function callOf(text: string): ToolCall | undefined {
  const head = HEAD.exec(text);
  if (!head) return undefined;
  const named = { name: JSON.parse(head[1]) as string, arguments: text.slice(head[0].length, -1) };
  return { id: newCallId(), type: "function", function: named };
}

function newCallId(): string {
  return `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
}
