/** `normalizer` of tokenizer.json: which of them the library applies as the Rust library does. */
import { isObject, mismatch, show } from "./folder_file.ts";

/** Types that both apply alike. */
const ALIKE = ["NFC", "NFD", "NFKC", "NFKD", "StripAccents"];

/**
 * Checks a normalizer. Others than these are refused, for the library departs from what published files
 * are made with: in capitals at the end of words, in white space, in what is put before a text.
 * @param path of tokenizer.json, for errors
 * @throws when it is of another type
 */
export function checkNormalizer(path: string, json: unknown, field = "normalizer"): void {
  if (json === null || json === undefined) return;
  if (!isObject(json)) throw mismatch(path, field, json, "null or an object with a type");
  const { type, normalizers, content } = json;
  if (typeof type === "string" && ALIKE.includes(type)) return;
  if (type === "Sequence") {
    if (!Array.isArray(normalizers)) {
      throw mismatch(path, `${field}.normalizers`, normalizers, "a list");
    }
    for (const [i, step] of normalizers.entries()) {
      checkNormalizer(path, step, `${field}.normalizers[${i}]`);
    }
    return;
  }
  if (type === "Replace") {
    // The library's replacement would put matches in the place of these.
    if (typeof content === "string" && !content.includes("$")) return;
    throw mismatch(path, `${field}.content`, content, 'a text without "$"');
  }
  throw new Error(
    `${path}: ${field}.type is ${show(type)}, expected Sequence, Replace, ${ALIKE.join(", ")} or ` +
      "null: others are not supported. Use another model.",
  );
}
