import { assert, assertEquals, assertThrows } from "@std/assert";
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { loadTokenizer, MAX_TEXT_LENGTH } from "../../src/text/tokenizer.ts";
import { tiny, tinyTokenizerJson, withFolder } from "./model_folder.ts";

const unicode = fc.string({ unit: "binary", maxLength: 40 });

Deno.test("text survives encode and decode, whatever the script", () => {
  for (
    const text of ["", " a  b\n\n\tc ", "naïve Ω 漢字 हिन्दी العربية", "👩‍👩‍👧‍👦🇩🇪", "\ufeffbom\u0000"]
  ) {
    assertEquals(tiny.decode(tiny.encode(text)), text);
  }
  fc.assert(fc.property(unicode, (text) => {
    assertEquals(tiny.decode(tiny.encode(text)), text);
  }));
});

Deno.test("ordinary text gets the ids of the unchanged tokenizer library", () => {
  const library = new Tokenizer(tinyTokenizerJson(), {});
  fc.assert(fc.property(unicode, (text) => {
    assertEquals(tiny.encode(text), library.encode(text, { add_special_tokens: false }).ids);
  }));
});

Deno.test("control-token text in plain text stays text", () => {
  assertEquals(tiny.controlTokens.size, 16);
  for (const [name, id] of tiny.controlTokens) {
    assertEquals(tiny.idOf(name), id);
    const ids = tiny.encode(`a ${name}${name} b`);
    assertEquals(ids.filter((id) => tiny.isSpecial(id)), []);
    assertEquals(tiny.decode(ids), `a ${name}${name} b`);
  }
});

Deno.test("a control token that the vocabulary lists too is not found by typing it", async () => {
  const json = tinyTokenizerJson();
  // A pre-tokeniser that leaves words whole, and a model that looks whole words up first.
  json.pre_tokenizer = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  json.model.ignore_merges = true;
  json.model.vocab["<|eot_id|>"] = 2036;
  await withFolder({ "tokenizer.json": json }, async (dir) => {
    const tokenizer = await loadTokenizer(dir);
    assert(!tokenizer.encode("<|eot_id|>").includes(2036));
    assertEquals(tokenizer.decode(tokenizer.encode("<|eot_id|>")), "<|eot_id|>");
    assertEquals(tokenizer.encodeWithControl("<|eot_id|>"), [2036]);
  });
});

Deno.test("encodeWithControl finds the longest control token, and strips as the token says", async () => {
  const json = tinyTokenizerJson();
  json.added_tokens.push(
    { id: 2048, content: "<|eot_id|>!", special: true },
    { id: 2049, content: "<gap>", special: true, lstrip: true, rstrip: true },
    { id: 2050, content: "<soft>", special: false },
  );
  await withFolder({ "tokenizer.json": json }, async (dir) => {
    const tokenizer = await loadTokenizer(dir);
    const library = new Tokenizer(json, {});
    for (
      const text of [
        "<|eot_id|>!",
        "<|eot_id|>?",
        "<|eot_id|",
        "a  <gap>\n\nb",
        "x<soft>y",
        "<gap> <gap>",
      ]
    ) {
      const expected = library.encode(text, { add_special_tokens: false }).ids;
      assertEquals(tokenizer.encodeWithControl(text), expected);
    }
    assertEquals(tokenizer.encode("<soft>"), [2050]);
    assertEquals(tokenizer.decode([2050, 2048, 2049]), "<soft>");
    assertEquals(tokenizer.controlTokensIn("a<gap><|eot_id|>!<soft>"), [2049, 2048]);
  });
});

Deno.test("tokens that only tokenizer_config.json names count as well", async () => {
  const config = {
    added_tokens_decoder: {
      "2032": { content: "<other name>", special: true },
      "2050": { content: "<|extra|>", special: true },
    },
  };
  const files = { "tokenizer.json": tinyTokenizerJson(), "tokenizer_config.json": config };
  await withFolder(files, async (dir) => {
    const tokenizer = await loadTokenizer(dir);
    assertEquals(tokenizer.idOf("<|extra|>"), 2050);
    assertEquals(tokenizer.idOf("<other name>"), undefined);
    assertEquals(tokenizer.tokenText(2032), "<|startoftext|>");
    assertEquals(tokenizer.encodeWithControl("<|extra|>"), [2050]);
  });
});

Deno.test("ids without text survive: beyond the vocabulary, negative, fractional", () => {
  const [a] = tiny.encode("a");
  for (const id of [2048, 126463, 2 ** 31, -1, 0.5, NaN]) {
    assertEquals(tiny.tokenText(id), "");
    assertEquals(tiny.tokenBytes(id), new Uint8Array());
    assertEquals(tiny.decode([a, id, a]), "aa");
    assertEquals(tiny.isSpecial(id), false);
  }
  assertEquals(tiny.decode([]), "");
});

Deno.test("control tokens have a name but add no text", () => {
  const eot = tiny.idOf("<|eot_id|>")!;
  assertEquals(tiny.tokenText(eot), "<|eot_id|>");
  assertEquals(tiny.tokenBytes(eot), new Uint8Array());
  const smile = tiny.encode("😀");
  assertEquals(tiny.decode([...smile.slice(0, 2), eot, ...smile.slice(2)]), "😀");
});

Deno.test("a token that is part of a character has its bytes, and U+FFFD as text", () => {
  const ids = tiny.encode("😀");
  assert(ids.length > 1, "the tiny vocabulary spells an emoji in bytes");
  const bytes = ids.flatMap((id) => [...tiny.tokenBytes(id)]);
  assertEquals(bytes, [0xf0, 0x9f, 0x98, 0x80]);
  assertEquals(tiny.tokenText(ids[0]), "\ufffd");
});

Deno.test("text beyond the limit is refused, not encoded for minutes", () => {
  const text = "a".repeat(MAX_TEXT_LENGTH + 1);
  assertThrows(() => tiny.encode(text), RangeError, `${MAX_TEXT_LENGTH + 1} characters`);
  assertThrows(() => tiny.encodeWithControl(text), RangeError, "shorten it");
});
