/**
 * Which tokens a model folder calls special by name: `bos_token`, `eos_token` and the others, in
 * tokenizer_config.json and, of the older layout, in special_tokens_map.json.
 */
import {
  isObject,
  type JsonObject,
  mismatch,
  readJsonObject,
  readTokenizerConfig,
} from "./folder_file.ts";

/** Special tokens by their names. */
export interface SpecialTokens {
  /** Text of each name (`bos_token`), as a chat template refers to it. */
  readonly names: Readonly<Record<string, string>>;
  /** Texts of all of them, those without a name of their own too. */
  readonly texts: ReadonlySet<string>;
}

const NAMES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);
/** Lists of further ones; the second may be an object from names to texts. */
const LISTS = ["additional_special_tokens", "extra_special_tokens"];

/**
 * Reads the names in both files. Where both give one, tokenizer_config.json counts, unless it is of
 * the layout without `added_tokens_decoder`: then special_tokens_map.json does, as in transformers.
 * @throws when a file is not JSON, or a name has no text
 */
export function readSpecialTokens(dir: string): SpecialTokens {
  const config = readTokenizerConfig(dir) ?? {};
  const own = namesIn(`${dir}/tokenizer_config.json`, config);
  const path = `${dir}/special_tokens_map.json`;
  const map = namesIn(path, readJsonObject(path) ?? {});
  const isOlder = (config.added_tokens_decoder ?? undefined) === undefined;
  return {
    names: isOlder ? { ...own.names, ...map.names } : { ...map.names, ...own.names },
    texts: new Set([...own.texts, ...map.texts]),
  };
}

function namesIn(
  path: string,
  json: JsonObject,
): { names: Record<string, string>; texts: string[] } {
  const names: Record<string, string> = {};
  const unnamed: string[] = [];
  const take = (into: JsonObject, where: (name: string) => string) => {
    for (const [name, value] of Object.entries(into)) {
      const text = tokenText(path, where(name), value);
      if (text !== "") names[name] = text;
    }
  };
  const given = NAMES.filter((name) => (json[name] ?? null) !== null);
  take(Object.fromEntries(given.map((name) => [name, json[name]])), (name) => name);
  for (const field of LISTS) {
    const list = json[field] ?? [];
    if (isObject(list)) take(list, (name) => `${field}.${name}`);
    else if (!Array.isArray(list)) throw mismatch(path, field, list, "a list of tokens");
    else unnamed.push(...list.map((value, i) => tokenText(path, `${field}[${i}]`, value)));
  }
  const texts = [...Object.values(names), ...unnamed].filter((text) => text !== "");
  return { names, texts };
}

/** A token: its text, or an object with the text as `content`. */
function tokenText(path: string, field: string, value: unknown): string {
  const text = isObject(value) ? value.content : value;
  if (typeof text === "string") return text;
  throw mismatch(path, field, value, "a text, or an object with one as content");
}
