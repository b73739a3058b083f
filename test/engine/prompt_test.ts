import { assertEquals, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import { encodePrompt } from "../../src/engine/prompt.ts";
import { RequestError } from "../../src/engine/request.ts";
import { answerAboutText } from "../../src/engine/text_answers.ts";
import { encodeChat, loadChatTemplate } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";

const dir = fileURLToPath(new URL("../../models/tiny-target", import.meta.url));
const tokenizer = loadTokenizer(dir);
const template = loadChatTemplate(dir);
const config = JSON.parse(Deno.readTextFileSync(`${dir}/config.json`));
const model = {
  maskTokenId: config.mask_token_id,
  embeddingSize: config.embedding_size ?? config.vocab_size,
  contextLength: 64,
};
const messages = [{ role: "user", content: "What is 7 times 8?" }];
const vocabulary = model.embeddingSize;

Deno.test("a rendered conversation, sent as a raw prompt, is the same tokens", () => {
  const rendered = answerAboutText({ type: "render", messages }, tokenizer, template, vocabulary);
  assertEquals([...encodePrompt(rendered.text, tokenizer, model)], [...rendered.ids]);
  assertEquals([...encodeChat(tokenizer, template, messages)], [...rendered.ids]);
  assertEquals([...encodePrompt(rendered.ids, tokenizer, model)], [...rendered.ids]);
});

Deno.test("a raw prompt that cannot be served is refused by name", () => {
  const mask = tokenizer.tokenText(model.maskTokenId);
  for (
    const [prompt, message, code] of [
      ["", "prompt is empty, expected text or at least one token id", "invalid_value"],
      [[], "prompt is empty", "invalid_value"],
      [`a ${mask}`, "prompt holds the mask token", "invalid_value"],
      [[5, model.maskTokenId], "prompt holds the mask token", "invalid_value"],
      [[-1], "prompt holds the token -1", "invalid_value"],
      [[1.5], "prompt holds the token 1.5", "invalid_value"],
      [[model.embeddingSize], `prompt holds the token ${model.embeddingSize}`, "invalid_value"],
      ["word ".repeat(100), "the text has more than 64 tokens", "context_length_exceeded"],
    ] as const
  ) {
    const error = assertThrows(
      () => encodePrompt(prompt, tokenizer, model),
      RequestError,
      message,
    );
    assertEquals([error.field, error.code], ["prompt", code]);
  }
});

Deno.test("text becomes tokens and text again, control tokens only when asked", () => {
  const ask = (text: string, control: boolean) =>
    answerAboutText({ type: "encode", text, control }, tokenizer, template, vocabulary);
  const [name, id] = [...tokenizer.controlTokens][0];
  const plain = ask(`né ${name}`, false);
  assertEquals(plain.ids.includes(id), false);
  const back = answerAboutText({ type: "decode", ids: plain.ids }, tokenizer, template, vocabulary);
  assertEquals(back.text, `né ${name}`);
  const control = ask(`é ${name}`, true);
  assertEquals(control.ids.at(-1), id);
  assertEquals(control.pieces.at(-1), name);
  // A piece is text, or bytes where it is only part of a character.
  const bytes = control.pieces.slice(0, -1).flatMap((piece) =>
    typeof piece === "string" ? [...new TextEncoder().encode(piece)] : [...piece]
  );
  assertEquals(bytes, [...new TextEncoder().encode("é ")]);
});

Deno.test("pieces of a long text are made once a token, whatever its length", () => {
  const text = "😀".repeat(2000);
  const own = tokenizer.tokenBytes.bind(tokenizer);
  let made = 0;
  tokenizer.tokenBytes = (id) => (made++, own(id));
  try {
    const question = { type: "encode", text, control: false } as const;
    const { ids, pieces } = answerAboutText(question, tokenizer, template, vocabulary);
    assertEquals(pieces.length, ids.length);
    assertEquals(made, new Set(ids).size);
  } finally {
    tokenizer.tokenBytes = own;
  }
});

Deno.test("an id that the model does not have is no text", () => {
  const decode = (id: number) =>
    answerAboutText({ type: "decode", ids: [id] }, tokenizer, template, vocabulary);
  assertThrows(() => decode(model.embeddingSize), RequestError, "none of this model's");
  assertThrows(() => decode(-1), RequestError, "none of this model's");
});
