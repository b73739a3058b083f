import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import {
  ChatTemplate,
  type ChatTurn,
  encodeChat,
  loadChatTemplate,
} from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { evalItems, TINY, tiny, tinyTokenizerJson, withFolder } from "./model_folder.ts";

const tinyTemplate = loadChatTemplate(TINY);

/** `chat_template` of GSAI-ML/LLaDA-8B-Instruct, which does not look at add_generation_prompt. */
const LLADA_8B = new ChatTemplate(
  "llada-8b",
  "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}",
  tinyTemplate.tokens,
);

const id = (name: string) => tiny.idOf(`<|${name}|>`)!;
const user = (content: string): ChatTurn[] => [{ role: "user", content }];

/** What the LLaDA templates must encode to, built from plain pieces. */
function expectedIds(messages: readonly ChatTurn[]): number[] {
  const header = (role: string) => [
    id("start_header_id"),
    ...tiny.encode(role),
    id("end_header_id"),
  ];
  return [
    id("startoftext"),
    ...messages.flatMap(({ role, content }) => [
      ...header(role),
      ...tiny.encode("\n\n" + content.trim()),
      id("eot_id"),
    ]),
    ...header("assistant"),
    ...tiny.encode("\n\n"),
  ];
}

/** Ids of one rendering by a template of its own, with the tiny tokenizer. */
function encodeBy(source: string, messages: readonly ChatTurn[]): number[] {
  return [...encodeChat(tiny, new ChatTemplate("test", source, {}), messages)];
}

const controlIn = (ids: Iterable<number>) => [...ids].filter((id) => tiny.isSpecial(id));

Deno.test("prompts of the evaluation set get the reference ids", () => {
  assertEquals(evalItems.length, 100);
  for (const { id, prompt, prompt_ids } of evalItems) {
    assertEquals([...encodeChat(tiny, tinyTemplate, user(prompt))], prompt_ids, id);
  }
});

Deno.test("both templates end with the assistant header", () => {
  const expected = "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>" +
    "<|start_header_id|>assistant<|end_header_id|>\n\n";
  for (const template of [tinyTemplate, LLADA_8B]) {
    assertEquals(template.render(user("  Hello\n")), expected);
    const turns = [...user("Hi"), { role: "assistant", content: "Yes?" }, ...user("Bye")];
    assertEquals([...encodeChat(tiny, template, turns)], expectedIds(turns));
  }
});

Deno.test("ordinary messages get the ids of the unchanged library's encoding of the rendering", () => {
  const library = new Tokenizer(tinyTokenizerJson(), {});
  const content = fc.string({ unit: "binary", maxLength: 40 }).filter((text) =>
    !text.includes("<")
  );
  fc.assert(fc.property(content, (text) => {
    const rendered = LLADA_8B.render(user(text));
    const expected = library.encode(rendered, { add_special_tokens: false }).ids;
    assertEquals([...encodeChat(tiny, LLADA_8B, user(text))], expected);
  }));
});

Deno.test("every control token typed in a message or a role stays text", () => {
  for (const name of tiny.controlTokens.keys()) {
    for (const content of [name, `a${name}b`, ` ${name}\n`, name + name, `\ue000${name}`]) {
      const turns = [...user(content), { role: `x${name}`, content: "ok" }, ...user("and?")];
      assertEquals([...encodeChat(tiny, tinyTemplate, turns)], expectedIds(turns));
      assertEquals([...encodeChat(tiny, LLADA_8B, turns)], expectedIds(turns));
    }
  }
});

Deno.test("property: control tokens come from the template alone", () => {
  const names = [...tiny.controlTokens.keys()];
  const text = fc.array(
    fc.oneof(
      fc.constantFrom(...names),
      fc.tuple(fc.constantFrom(...names), fc.nat(20), fc.nat(20)).map(([t, a, b]) => t.slice(a, b)),
      fc.constantFrom(" ", "\n", "<", "<|", "|>", ">", "\ue000\ue001", "一"),
      fc.string({ unit: "binary", maxLength: 5 }),
    ),
    { maxLength: 6 },
  ).map((parts) => parts.join(""));
  const role = fc.oneof(fc.constantFrom("user", "assistant", "system"), text);
  const turns = fc.array(fc.record({ role, content: text }), { minLength: 1, maxLength: 4 });
  fc.assert(fc.property(turns, (turns) => {
    assertEquals([...encodeChat(tiny, tinyTemplate, turns)], expectedIds(turns));
    assertEquals([...encodeChat(tiny, LLADA_8B, turns)], expectedIds(turns));
  }));
});

Deno.test("no control token is put together from a message and the template's text", () => {
  for (
    const [template, content] of [
      ["{{ '<|eot_' + messages[0].content }}", "id|> and more"],
      ["{{ '<|eot_' + messages[0].content | trim }}", "\n id|>"],
      ["{{ messages[0].content + 'ot_id|>' }}", "<|e"],
      ["{{ messages[0].content | trim + '|>' }}", "<|eot_id "],
      ["{{ '<|' + messages[0].content + '|>' }}", "eot_id"],
      ["{{ '<|' + messages[0].content | lower + '|>' }}", "EOT_id"],
      ["{{ messages[0].content | replace('<x>', '') }}", "<|eot<x>_id|>"],
      ["{{ messages[0].content | replace('<|mdm_mask|>', '') }}", "<|eot<|mdm_mask|>_id|>"],
      ["{{ messages[0].content + messages[1].content }}", "<|eot_"],
      ["{{ messages[0].content.split('.') | join('') }}", "<|eot.<|eot._id|>"],
    ] as const
  ) {
    const turns = [...user(content), ...user("id|>")];
    assertEquals(controlIn(encodeBy(template, turns)), [], template);
  }
});

Deno.test("a role that templates know may be part of the template's control token", () => {
  const json = tinyTokenizerJson();
  json.added_tokens.push({ id: 2048, content: "<|user|>", special: true });
  return withFolder({ "tokenizer.json": json }, (dir) => {
    const tokenizer = loadTokenizer(dir);
    const template = new ChatTemplate("t", "{{ '<|' + messages[0].role + '|>' }}", {});
    const encode = (role: string) => [...encodeChat(tokenizer, template, [{ role, content: "" }])];
    assertEquals(encode("user"), [2048]);
    assertEquals(tokenizer.decode(encode("eot_id")), "<|eot_id|>");
  });
});

Deno.test("a guarded message is trimmed, even where a control token holds white space", () => {
  const json = tinyTokenizerJson();
  json.added_tokens.push({ id: 2048, content: "<|a b|>", special: true });
  return withFolder({ "tokenizer.json": json }, (dir) => {
    const tokenizer = loadTokenizer(dir);
    const template = new ChatTemplate("t", "[{{ messages[0].content | trim }}]", {});
    const ids = encodeChat(tokenizer, template, user("  <|a b|> \n"));
    assertEquals(tokenizer.decode(ids), "[<|a b|>]");
    assert(!ids.includes(2048));
  });
});

Deno.test("a template may look into messages, also into those beside one with a control token", () => {
  const template = "{% for m in messages %}{{ m.content.split('</think>')[-1] }};{% endfor %}";
  const turns = [...user("<think>x</think>y"), ...user("what is <|eot_id|>?")];
  const ids = encodeBy(template, turns);
  assertEquals(tiny.decode(ids), "y;what is <|eot_id|>?;");
  assertEquals(controlIn(ids), []);
});

Deno.test("messages with every private-use character are still encoded", () => {
  const all = Array.from({ length: 6400 }, (_, i) => String.fromCharCode(0xe000 + i)).join("");
  const turns = user(all + "<|eot_id|>");
  assertEquals([...encodeChat(tiny, tinyTemplate, turns)], expectedIds(turns));
});

Deno.test("chat_template is a text, the default of a list, or a file of its own", async () => {
  const list = [{ name: "tool_use", template: "tools" }, { name: "default", template: "plain" }];
  const bos = { bos_token: { content: "<s>" }, eos_token: null };
  const config = { chat_template: list, ...bos };
  await withFolder({ "tokenizer_config.json": config }, async (dir) => {
    const template = loadChatTemplate(dir);
    assertEquals(template.render(user("x")), "plain");
    assertEquals(template.tokens, { bos_token: "<s>" });
    await Deno.writeTextFile(`${dir}/chat_template.jinja`, "{{ bos_token }}{{ tools is none }}");
    assertEquals(loadChatTemplate(dir).render(user("x")), "<s>true");
  });
});

Deno.test("a missing or broken template is named", async () => {
  const cases: [Record<string, unknown>, string, string][] = [
    [{}, "has no chat template", "chat_template.jinja"],
    [{ "tokenizer_config.json": { chat_template: null } }, "has no chat template", "chat_template"],
    [{ "tokenizer_config.json": { chat_template: 3 } }, "neither a text", "tokenizer_config.json"],
    [
      { "tokenizer_config.json": { chat_template: [{ name: "tool_use", template: "" }] } },
      "no template named default, only tool_use",
      "tokenizer_config.json",
    ],
    [{ "chat_template.jinja": "{% for %}" }, "is not valid Jinja", "chat_template.jinja"],
    [{ "tokenizer_config.json": "no" }, "is not JSON", "tokenizer_config.json"],
  ];
  for (const [files, message, file] of cases) {
    await withFolder(files, (dir) => {
      const error = assertThrows(() => loadChatTemplate(dir), Error, message);
      assertStringIncludes(error.message, dir);
      assertStringIncludes(error.message, file);
    });
  }
});

Deno.test("what a template refuses is said, without its path: clients read it", () => {
  const refusing = new ChatTemplate(
    "m/x.jinja",
    "{{ raise_exception('Roles must alternate.') }}",
    {},
  );
  const error = assertThrows(() => encodeChat(tiny, refusing, user("x")), Error, "chat template");
  assertStringIncludes(error.message, "Roles must alternate.");
  assert(!error.message.includes(".."));
  assert(!error.message.includes("m/x.jinja"));
  const failing = new ChatTemplate("m/y.jinja", "{{ messages[0].content.nothing() }}", {});
  assertThrows(() => failing.render(user("x")), Error, "does not take these messages");
});
