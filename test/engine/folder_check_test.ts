/** Folders that could not answer are refused before anything is loaded. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

/** Runs `body` on a copy of the embedded target, one file of it changed. */
async function withChanged(
  file: string,
  change: (json: Json) => void,
  body: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(EMBEDDED_TARGET)) {
      await Deno.copyFile(`${EMBEDDED_TARGET}/${name}`, `${dir}/${name}`);
    }
    const json = JSON.parse(await Deno.readTextFile(`${dir}/${file}`));
    change(json);
    await Deno.writeTextFile(`${dir}/${file}`, JSON.stringify(json));
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** What is changed, and what the error must say. */
const UNSERVABLE: [name: string, file: string, change: (json: Json) => void, message: string][] = [
  [
    "an ordinary added token beyond the embedding",
    "tokenizer.json",
    (json) => json.added_tokens.push({ id: 4000, content: "times", special: false }),
    'the id of "times" is 4000, expected below embedding_size 2048',
  ],
  [
    "a token of the vocabulary beyond the embedding",
    "tokenizer.json",
    (json) => json.model.vocab["the"] = 2048,
    'the id of "the" is 2048, expected below embedding_size 2048',
  ],
  [
    "a template that needs a name that no file gives",
    "tokenizer_config.json",
    (json) => delete json.bos_token,
    "a plain question fails (",
  ],
  [
    "a template that refuses users",
    "tokenizer_config.json",
    (json) => json.chat_template = "{{ raise_exception('no users here') }}",
    "no users here",
  ],
  [
    "a template that leaves the question out",
    "tokenizer_config.json",
    (json) => json.chat_template = "{{ bos_token }}",
    "it leaves out what the user says",
  ],
  [
    "a template longer than the context",
    "tokenizer_config.json",
    (json) => json.chat_template += "word ".repeat(600),
    "the text has more than 512 tokens",
  ],
  [
    "a special token without an id",
    "tokenizer_config.json",
    (json) => json.bos_token = "<s>",
    'it writes bos_token "<s>", to which no file gives an id',
  ],
];

for (const [name, file, change, message] of UNSERVABLE) {
  Deno.test(`refused at load: ${name}`, () =>
    withChanged(file, change, async (dir) => {
      const error = await assertRejects(() => loadEngine(dir), Error, message);
      assert(error.message.startsWith(`${dir}/${file}`), error.message);
    }));
}

Deno.test("what a template refuses is told without a path of this machine", () =>
  withChanged("tokenizer_config.json", (json) => {
    json.chat_template = "{% if messages[0].role == 'system' %}" +
      "{{ raise_exception('no system message') }}{% endif %}" + json.chat_template;
  }, async (dir) => {
    using engine = await loadEngine(dir);
    const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }];
    const error = await assertRejects(
      () => engine.generate({ messages }).next(),
      Error,
      "no system message",
    );
    assertEquals(error.name, "RequestError");
    assert(!error.message.includes(dir), error.message);
  }));

/** The last text of an answer to a question that the embedded model knows. */
async function answerOf(engine: Awaited<ReturnType<typeof loadEngine>>): Promise<string> {
  const messages = [{ role: "user", content: "What is 7 times 8?" }];
  for await (const event of engine.generate({ messages, maxTokens: 32, strategy: "plain" })) {
    if (event.type === "end") return event.text;
  }
  throw new Error("no end");
}

/** The id of "." */
const FULL_STOP = 46;

for (
  const [name, ids, answer] of [
    ["none of which comes", [2033], "7 * 8 = 56. The answer is 56."],
    ["the second of which comes", [2033, FULL_STOP], "7 * 8 = 56"],
    ["one that config.json does not have", FULL_STOP, "7 * 8 = 56"],
    ["more than a shader takes", [2033, 2040, 2041, 2042, 2043, FULL_STOP], "7 * 8 = 56"],
  ] as const
) {
  Deno.test(`an answer ends at each id of a list: ${name}`, () =>
    withChanged("generation_config.json", (json) => json.eos_token_id = ids, async (dir) => {
      using engine = await loadEngine(dir);
      assertEquals(await answerOf(engine), answer);
      const several = typeof ids === "number" ? [ids] : ids;
      assert(several.every((id) => engine.facts.endTokenIds.includes(id)));
    }));
}

Deno.test("what changes nothing is told in the model's warning, without a path", () =>
  withChanged("config.json", (json) => delete json.pad_token_id, async (dir) => {
    using engine = await loadEngine(dir);
    assertEquals(
      engine.summary.warning,
      "config.json: pad_token_id is missing. Nothing is padded.",
    );
    assertEquals(await answerOf(engine), "7 * 8 = 56. The answer is 56.");
  }));
