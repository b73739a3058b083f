/**
 * How text is cut before BPE. The ids are those of the Rust library (the npm package `tokenizers`
 * 0.23.2) with the embedded vocabulary and these pre-tokenisers.
 */
import { assertEquals } from "@std/assert";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { tinyTokenizerJson, withFolder } from "./model_folder.ts";

const BYTES = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

/** Cut at each of three characters, then in bytes. */
const split = (behavior: string, invert: boolean) => ({
  type: "Sequence",
  pretokenizers: [{ type: "Split", pattern: { Regex: "[=!.]" }, behavior, invert }, BYTES],
});

const CASES: [name: string, preTokenizer: unknown, text: string, ids: number[]][] = [
  ["Isolated", split("Isolated", false), "a == b... the end!", [
    97,
    32,
    61,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["Isolated, inverted", split("Isolated", true), "a == b... the end!", [
    97,
    32,
    61,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["Removed", split("Removed", false), "a == b... the end!", [97, 32, 302, 273, 1668]],
  ["Removed, inverted", split("Removed", true), "a == b... the end!", [61, 61, 46, 46, 46, 33]],
  ["Contiguous", split("Contiguous", false), "a == b... the end!", [
    97,
    32,
    61,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["Contiguous, inverted", split("Contiguous", true), "a == b... the end!", [
    97,
    32,
    61,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["MergedWithPrevious", split("MergedWithPrevious", false), "a == b... the end!", [
    97,
    275,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["MergedWithPrevious, inverted", split("MergedWithPrevious", true), "a == b... the end!", [
    97,
    32,
    61,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["MergedWithNext", split("MergedWithNext", false), "a == b... the end!", [
    97,
    32,
    61,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  ["MergedWithNext, inverted", split("MergedWithNext", true), "a == b... the end!", [
    97,
    275,
    61,
    302,
    46,
    46,
    46,
    273,
    1668,
    33,
  ]],
  [
    "digits one by one",
    {
      "type": "Sequence",
      "pretokenizers": [{ "type": "Digits", "individual_digits": true }, BYTES],
    },
    "x² 12 ٣4 the",
    [120, 194, 178, 32, 49, 50, 32, 217, 163, 52, 273],
  ],
  [
    "digits together",
    {
      "type": "Sequence",
      "pretokenizers": [{ "type": "Digits", "individual_digits": false }, BYTES],
    },
    "x² 12 ٣4 the",
    [120, 194, 178, 32, 49, 50, 32, 217, 163, 52, 273],
  ],
  [
    "punctuation",
    { "type": "Sequence", "pretokenizers": [{ "type": "Punctuation" }, BYTES] },
    "a == b... «the»",
    [97, 32, 61, 61, 302, 46, 46, 46, 32, 194, 171, 1616, 194, 187],
  ],
  [
    "punctuation together",
    {
      "type": "Sequence",
      "pretokenizers": [{ "type": "Punctuation", "behavior": "Contiguous" }, BYTES],
    },
    "a == b... «the»",
    [97, 32, 61, 61, 302, 46, 46, 46, 32, 194, 171, 1616, 194, 187],
  ],
  [
    "bytes with a space",
    { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
    "the\ufeff the\u0085 it's",
    [273, 239, 187, 191, 273, 194, 133, 520, 39, 115],
  ],
  [
    "a text as pattern",
    {
      "type": "Sequence",
      "pretokenizers": [{
        "type": "Split",
        "pattern": { "String": "." },
        "behavior": "Removed",
        "invert": false,
      }, BYTES],
    },
    "a.b...c",
    [97, 98, 99],
  ],
];

for (const [name, pre_tokenizer, text, ids] of CASES) {
  Deno.test(`pre-tokeniser: ${name}`, () =>
    withFolder({ "tokenizer.json": { ...tinyTokenizerJson(), pre_tokenizer } }, (dir) => {
      assertEquals(loadTokenizer(dir).encode(text), ids);
    }));
}

/** Added tokens, the normalizer NFKC, and what the Rust library makes of it. */
Deno.test("added tokens are found before or behind the normalizer, and take white space along", async () => {
  const json = tinyTokenizerJson();
  const flags = { special: false, lstrip: true, rstrip: true };
  json.added_tokens.push(
    { id: 2048, content: "<before>", normalized: false, ...flags },
    { id: 2049, content: "<fix>", normalized: true, ...flags },
  );
  json.normalizer = { type: "NFKC" };
  await withFolder({ "tokenizer.json": json }, (dir) => {
    const tokenizer = loadTokenizer(dir);
    const encode = (text: string) => tokenizer.encode(text);
    assertEquals(encode("a <ﬁx>\u0085b"), [...encode("a"), 2049, ...encode("b")]);
    assertEquals(encode("a <before> b"), [...encode("a"), 2048, ...encode("b")]);
    assertEquals(encode("<before>\ufeffb"), [2048, ...encode("\ufeffb")]);
  });
});
