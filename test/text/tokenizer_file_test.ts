import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { readText } from "../../src/text/folder_file.ts";
import { TINY, tinyTokenizerJson, type TokenizerJson, withFolder } from "./model_folder.ts";

/** What is changed in a good tokenizer.json, and what the error must say. */
const BROKEN: [string, (json: TokenizerJson) => void, string][] = [
  ["no model", (json) => json.model = undefined as never, "model is missing, expected an object"],
  [
    "another model",
    (json) => json.model.type = "Unigram",
    'model.type is "Unigram", expected "BPE"',
  ],
  [
    "prefixed subwords",
    (json) => json.model.continuing_subword_prefix = "##",
    'model.continuing_subword_prefix is "##", expected null',
  ],
  [
    "vocab is a list",
    (json) => json.model.vocab = [] as never,
    "model.vocab is [], expected an object",
  ],
  [
    "id is text",
    (json) => json.model.vocab["a"] = "7",
    'model.vocab["a"] is "7", expected an integer',
  ],
  ["id is huge", (json) => json.model.vocab["a"] = 4e9, 'model.vocab["a"] is 4000000000, expected'],
  [
    "no merges",
    (json) => json.model.merges = undefined as never,
    "model.merges is missing, expected an array",
  ],
  ["merge of one", (json) => json.model.merges[3] = "ab", 'model.merges[3] is "ab", expected two'],
  [
    "merge of unknown tokens",
    (json) => json.model.merges[3] = ["qqq", "a"],
    'model.merges[3] is ["qqq", "a"], but model.vocab has no "qqq"',
  ],
  [
    "unknown unk_token",
    (json) => json.model.unk_token = "<unk>",
    'model.unk_token is "<unk>", expected',
  ],
  ["no decoder", (json) => json.decoder = null, "decoder is null, expected an object"],
  [
    "another decoder",
    (json) => json.decoder = { type: "Metaspace" },
    'decoder.type is "Metaspace"',
  ],
  [
    "no bytes",
    (json) => json.pre_tokenizer = { type: "Digits", individual_digits: true },
    "one with a ByteLevel step",
  ],
  [
    "a pre-tokeniser of words",
    (json) => json.pre_tokenizer = { type: "Sequence", pretokenizers: [{ type: "Whitespace" }] },
    'pre_tokenizer.pretokenizers[0].type is "Whitespace", expected Sequence, ByteLevel, Split, ',
  ],
  [
    "an unknown behaviour",
    (json) => json.pre_tokenizer = { type: "Split", pattern: { String: " " }, behavior: "Kept" },
    'pre_tokenizer.behavior is "Kept", expected one of Isolated, Removed, Contiguous, ',
  ],
  [
    "a pattern that JavaScript does not have",
    (json) =>
      json.pre_tokenizer = { type: "Split", pattern: { Regex: "(?<a" }, behavior: "Isolated" },
    'pre_tokenizer.pattern is "(?<a", which is not supported (',
  ],
  [
    "a normalizer that the library applies otherwise",
    (json) => json.normalizer = { type: "Sequence", normalizers: [{ type: "Lowercase" }] },
    'normalizer.normalizers[0].type is "Lowercase", expected Sequence, Replace, NFC, ',
  ],
  [
    "a replacement with a dollar",
    (json) => json.normalizer = { type: "Replace", pattern: { String: "a" }, content: "$&" },
    'normalizer.content is "$&", expected a text without "$"',
  ],
  ["dropout", (json) => json.model.dropout = 0.1, "model.dropout is 0.1, expected null"],
  [
    "a token found between words only",
    (json) => json.added_tokens[1].single_word = true,
    "added_tokens[1].single_word is true, expected false",
  ],
  ["unknown normalizer", (json) => json.normalizer = { type: "Magic" }, "Magic"],
  [
    "added tokens",
    (json) => json.added_tokens = 3 as never,
    "added_tokens is 3, expected an array",
  ],
  [
    "added id",
    (json) => json.added_tokens[1].id = -1,
    "added_tokens[1].id is -1, expected an integer",
  ],
  ["added text", (json) => json.added_tokens[1].content = "", 'added_tokens[1].content is ""'],
];

for (const [name, breakIt, message] of BROKEN) {
  Deno.test(`broken tokenizer.json: ${name}`, async () => {
    const json = tinyTokenizerJson();
    breakIt(json);
    await withFolder({ "tokenizer.json": json }, (dir) => {
      const error = assertThrows(() => loadTokenizer(dir), Error, message);
      assertStringIncludes(error.message, `${dir}/tokenizer.json`);
    });
  });
}

Deno.test("a missing, cut or foreign tokenizer.json is named with what to do", async () => {
  const whole = Deno.readTextFileSync(`${TINY}/tokenizer.json`);
  await withFolder({}, (dir) => {
    assertThrows(() => loadTokenizer(dir), Error, `${dir}/tokenizer.json is missing`);
  });
  for (const [text, message] of [[whole.slice(0, 5000), "is not JSON"], ["[]", "a JSON object"]]) {
    await withFolder({ "tokenizer.json": text }, (dir) => {
      const error = assertThrows(() => loadTokenizer(dir), Error, message);
      assertStringIncludes(error.message, `${dir}/tokenizer.json`);
      assertStringIncludes(error.message, "again.");
    });
  }
});

Deno.test("a broken tokenizer_config.json is named, not the tokenizer", async () => {
  for (
    const [config, message] of [
      ["{", "is not JSON"],
      ['{"added_tokens_decoder": []}', "added_tokens_decoder is [], expected an object"],
      ['{"added_tokens_decoder": {"x": {"content": "y"}}}', 'added_tokens_decoder["x"].id is NaN'],
    ]
  ) {
    const files = { "tokenizer.json": tinyTokenizerJson(), "tokenizer_config.json": config };
    await withFolder(files, (dir) => {
      const error = assertThrows(() => loadTokenizer(dir), Error, message);
      assertStringIncludes(error.message, `${dir}/tokenizer_config.json`);
    });
  }
});

Deno.test("a text file is read within its limit, as UTF-8 or not at all", async () => {
  await withFolder({ "a.txt": "häppy" }, async (dir) => {
    assertEquals(readText(`${dir}/a.txt`, 6), "häppy");
    assertEquals(readText(`${dir}/b.txt`, 6), undefined);
    assertThrows(() => readText(`${dir}/a.txt`, 5), Error, "size is 6 bytes, expected at most 5");
    assertThrows(() => readText(dir, 1 << 20), Error, dir);
    await Deno.writeFile(`${dir}/a.txt`, new Uint8Array([0xff, 0xfe]));
    assertThrows(
      () => readText(`${dir}/a.txt`, 6),
      Error,
      `${dir}/a.txt: content is not valid UTF-8`,
    );
  });
});
