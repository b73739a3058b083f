/** Turns messages into prompt text and token ids, with the chat template of the model folder. */
import { Template } from "npm:@huggingface/jinja@0.5.11";
import { renderBounded } from "./bounded_template.ts";
import { literalPattern, type TextTokenizer } from "./tokenizer.ts";
import {
  AGAIN,
  isObject,
  type JsonObject,
  messageOf,
  readText,
  readTokenizerConfig,
} from "./folder_file.ts";
import { readSpecialTokens } from "./special_tokens.ts";
import { withinTime } from "./time_limit.ts";

/** One turn of a conversation, as a chat template sees it. */
export interface ChatTurn {
  /** Role of the speaker. */
  readonly role: string;
  /** Text of the message. */
  readonly content: string;
}

/** Milliseconds to parse a template; published ones take a few. */
const MAX_PARSE_TIME = 500;

/** A parsed chat template. */
export class ChatTemplate {
  /** Where its source stands, for errors. */
  readonly path: string;
  /** Its Jinja source. */
  readonly source: string;
  /** Values of `bos_token`, `eos_token` and the other names of tokens that it may use. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly #template: Template;

  /**
   * Takes a template and token names; {@linkcode loadChatTemplate} reads them.
   * @throws when the source is not valid Jinja
   */
  constructor(path: string, source: string, tokens: Readonly<Record<string, string>>) {
    this.source = source;
    this.tokens = tokens;
    this.path = path;
    try {
      this.#template = withinTime("parsing it", MAX_PARSE_TIME, () => new Template(source));
    } catch (cause) {
      throw new Error(`${path} is not valid Jinja: ${messageOf(cause)}. ${AGAIN}`, { cause });
    }
  }

  /**
   * Renders the prompt text of a conversation.
   * @param opens whether it ends with the header of the assistant's answer
   * @throws {Error} when the template refuses the messages, fails, or computes too much
   */
  render(messages: readonly ChatTurn[], opens = true): string {
    try {
      return renderBounded(this.#template, {
        ...this.tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: opens,
        // The values that the transformers library passes for a conversation without these.
        tools: null,
        documents: null,
      });
    } catch (cause) {
      const reason = messageOf(cause);
      // Clients read this: the path is for who loads the folder.
      throw new Error(`the model's chat template does not take these messages: ${reason}.`, {
        cause,
      });
    }
  }
}

const MAX_TEMPLATE_BYTES = 1 << 20;

/**
 * Reads the chat template of a model folder: chat_template.jinja, else `chat_template` of
 * tokenizer_config.json (of several the one named `default`); and the token names that it may use.
 * @throws when there is none, or when it is not valid Jinja
 */
export function loadChatTemplate(dir: string): ChatTemplate {
  const config = readTokenizerConfig(dir) ?? {};
  const jinja = `${dir}/chat_template.jinja`;
  const configPath = `${dir}/tokenizer_config.json`;
  const text = readText(jinja, MAX_TEMPLATE_BYTES);
  const path = text === undefined ? `${configPath}: chat_template` : jinja;
  const source = text ?? templateOf(configPath, config);
  if (source === undefined) {
    throw new Error(
      `${dir} has no chat template: neither ${jinja} nor the field chat_template in ` +
        `${configPath} is there. Use an instruction-tuned model, or add the template of one.`,
    );
  }
  return new ChatTemplate(path, source, readSpecialTokens(dir).names);
}

/**
 * Renders a conversation and encodes it. Only the template can make control tokens. Their text
 * inside a message, or across the edge of a message and the template's text, is encoded as text.
 *
 * To ensure this, in a guarded rendering all characters of control tokens in the messages are
 * replaced by stand-ins that no token contains. Then all control tokens in the result come from the
 * template. But stand-ins hide a message's content from a template that examines it (`'</think>' in
 * content`). Therefore messages without control tokens are also rendered unchanged, and that
 * rendering is used if it has the same control tokens.
 * @param options.most tokens, behind which encoding stops
 * @param options.opens whether the header of the assistant's answer follows (default true)
 * @throws {Error} when the template refuses the messages, fails, or computes too much
 * @throws {RangeError} when the text is longer than the limit of encoding, or has more tokens
 * @throws {TimeLimitError} when the tokenizer's patterns take too long
 */
export function encodeChat(
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  messages: readonly ChatTurn[],
  { most, opens = true }: { readonly most?: number; readonly opens?: boolean } = {},
): Uint32Array<ArrayBuffer> {
  const control = [...tokenizer.controlTokens.keys()];
  const { guard, restore } = standIns(control, [
    template.source,
    ...Object.values(template.tokens),
    ...messages.flatMap((message) => [message.role, message.content]),
  ]);
  const render = (guardText: (text: string) => string) =>
    template.render(
      messages.map(({ role, content }) => ({
        role: TEMPLATE_ROLES.has(role) ? role : guardText(role),
        content: guardText(content),
      })),
      opens,
    );
  const holdsControl = (text: string) => control.some((token) => text.includes(token));
  const safe = render(guard);
  const open = render((text) => holdsControl(text) ? guard(text) : text);
  const same = String(tokenizer.controlTokensIn(open)) === String(tokenizer.controlTokensIn(safe));
  return Uint32Array.from(tokenizer.encodeWithControl(same ? open : safe, { restore, most }));
}

/**
 * Roles that are never guarded: templates compare them, or make control tokens of them
 * (`<|user|>`).
 */
const TEMPLATE_ROLES = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/**
 * Makes functions that replace the characters of control tokens by others that occur in none of
 * `texts`, and back. White space is not replaced, so that `trim` still works.
 */
function standIns(control: readonly string[], texts: readonly string[]) {
  const free = unusedCharacters([...control, ...texts]);
  const guarded = new Map<string, string>();
  for (const unit of new Set(control.flatMap((token) => token.split("")))) {
    if (unit.trim() === "") continue;
    const standIn = free.next().value;
    if (!standIn) throw new Error("the messages use too many different characters: split them up");
    guarded.set(unit, standIn);
  }
  const restored = new Map([...guarded].map(([unit, standIn]) => [standIn, unit]));
  return { guard: replacer(guarded), restore: replacer(restored) };
}

/** Characters not in `texts`, without case and not white space: private use, then Chinese. */
function* unusedCharacters(texts: readonly string[]): Generator<string, undefined> {
  const used = new Set(texts.flatMap((text) => [...new Set(text)]));
  for (const [first, last] of [[0xe000, 0xf8ff], [0x4e00, 0x9fff]]) {
    for (let unit = first; unit <= last; unit++) {
      const character = String.fromCharCode(unit);
      if (!used.has(character)) yield character;
    }
  }
}

/** Makes a function that replaces each character of a text by its entry in the map. */
function replacer(map: ReadonlyMap<string, string>): (text: string) => string {
  const pattern = new RegExp(`[${[...map.keys()].map(literalPattern).join("")}]`, "g");
  return (text) => text.replace(pattern, (character) => map.get(character)!);
}

/** Reads `chat_template`, which is one text or a list of `{name, template}`. */
function templateOf(path: string, config: JsonObject): string | undefined {
  const value = config.chat_template ?? undefined;
  if (value === undefined || typeof value === "string") return value;
  if (!Array.isArray(value)) {
    throw new Error(
      `${path}: chat_template is neither a text nor a list of {name, template}. ${AGAIN}`,
    );
  }
  const named = value.filter(isObject);
  const template = named.find(({ name }) => name === "default")?.template;
  if (typeof template !== "string") {
    const names = named.map(({ name }) => String(name)).join(", ") || "none";
    throw new Error(
      `${path}: chat_template has no template named default, only ${names}. ${AGAIN}`,
    );
  }
  return template;
}
