import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { openDataFile, parseDataFile } from "../../../src/compress/data/data_file.ts";
import { LineFile } from "../../../src/compress/data/line_file.ts";
import { encodeExample, type Sample } from "../../../src/compress/data/sample.ts";
import { readSamples } from "../../../src/compress/data/training_data.ts";
import { EVAL_PUBLIC } from "../../../src/engine/embedded_models.ts";
import { tinyEncoder, withText } from "./tiny_encoder.ts";

Deno.test("the lines that are not blank, with their numbers, in any order", () => {
  const line = fc.constantFrom("", " ", "\t\r", "a", " b ", "ä…", "x".repeat(3000));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), fc.boolean(), (lines, ended) => {
      withText(lines.join("\n") + (ended ? "\n" : ""), (path) => {
        using file = new LineFile(path);
        const expected = lines.flatMap((text, i) =>
          text.trim() ? [{ text: text.trim(), where: `${path}:${i + 1}` }] : []
        );
        const found = Array.from({ length: file.count }, (_, i) => i).reverse()
          .map((i) => ({ text: file.line(i).trim(), where: file.where(i) })).reverse();
        assertEquals(found, expected);
      });
    }),
    { numRuns: 60 },
  );
});

Deno.test("lines that reach across what is read at once", () => {
  const long = "y".repeat((1 << 20) - 3);
  withText(`${long}\nab\n${long}${long}\n\ncd`, (path) => {
    using file = new LineFile(path);
    assertEquals(file.count, 4);
    assertEquals(file.line(0).length, long.length + 1);
    assertEquals([file.line(1), file.line(3)], ["ab\n", "cd"]);
    assertEquals(file.where(3), `${path}:5`);
  });
});

Deno.test("errors name file, line and field", () => {
  const cases: [string, string][] = [
    ["{", ":2: not JSON"],
    ["[1]", ":2: expected {messages"],
    ['{"messages": []}', ":2: messages is []"],
    ['{"messages": [{"role": "user"}]}', ":2: messages[0].content is missing"],
    [
      '{"messages": [{"role": "user", "content": "Hi"}]}',
      ':2: the last message is of role "user"',
    ],
    ['{"text": 5}', ":2: text is 5, expected a text"],
    ['{"text": ""}', ":2: text is empty"],
    ['{"prompt": "a"}', ":2: prompt has no answer"],
    ['{"prompt": 1, "answer": "b"}', ":2: prompt is 1"],
  ];
  for (const [line, message] of cases) {
    withText(`{"text": "fine"}\n${line}\n`, (path) => {
      using source = openDataFile(path);
      assertThrows(() => source.example(1), Error, `${path}${message}`);
    });
  }
  withText("\n \n", (path) => assertThrows(() => openDataFile(path), Error, "no line"));
  withText("{}", (path) => assertThrows(() => openDataFile(path), Error, "items"), ".json");
  assertThrows(
    () => openDataFile("/nowhere.jsonl"),
    Error,
    "/nowhere.jsonl: there is no such file",
  );
});

Deno.test("files with shares", () => {
  assertEquals(parseDataFile("a.jsonl"), { path: "a.jsonl" });
  assertEquals(parseDataFile("a.jsonl:0.4"), { path: "a.jsonl", share: 0.4 });
  assertEquals(parseDataFile("C:\\data\\a.jsonl"), { path: "C:\\data\\a.jsonl" });
  assertThrows(() => parseDataFile("a.jsonl:0"), Error, "share is 0");
  assertThrows(() => parseDataFile("a.jsonl:-1"), Error, "share is -1");
});

Deno.test("prompts and answers have the ids that were recorded with the embedded model", () => {
  interface Item {
    readonly prompt_ids: readonly number[];
    readonly expected_ids: readonly number[];
  }
  const { items } = JSON.parse(Deno.readTextFileSync(EVAL_PUBLIC)) as { items: readonly Item[] };
  const eot = tinyEncoder().tokenizer.idOf("<|eot_id|>")!;
  const samples = readSamples(EVAL_PUBLIC, tinyEncoder());
  assertEquals(samples.length, items.length);
  for (const [i, { ids, promptLength }] of samples.entries()) {
    assertEquals([...ids.subarray(0, promptLength)], items[i].prompt_ids);
    assertEquals([...ids.subarray(promptLength)], [...items[i].expected_ids, eot]);
  }
});

Deno.test("conversations of any form, and texts", () => {
  const encoder = tinyEncoder();
  const lines = [
    { prompt: "Hi!", answer: "Hello." },
    { prompt: "Hi!", completion: "Hello." },
    { messages: [{ role: "user", content: "Hi!" }, { role: "assistant", content: "Hello." }] },
    {
      messages: [
        { role: "user", content: "A" },
        { role: "assistant", content: "B" },
        { role: "user", content: "C" },
        { role: "assistant", content: "D" },
      ],
    },
    { text: "Hello." },
  ];
  withText(lines.map((line) => JSON.stringify(line)).join("\n"), (path) => {
    const [first, second, third, long, text] = readSamples(path, encoder);
    const bare = ({ where: _, ...sample }: Sample) => sample;
    assertEquals([bare(second), bare(third)], [bare(first), bare(first)]);
    const answer = [...encoder.tokenizer.encode("D"), encoder.tokenizer.idOf("<|eot_id|>")!];
    assertEquals([...long.ids.subarray(long.promptLength)], answer);
    assertEquals([...text.ids], [...encoder.tokenizer.encode("Hello."), encoder.eosTokenId]);
    assertEquals(text.promptLength, 0);
  });
  const control = encodeExample(
    {
      kind: "text",
      text: "<|mdm_mask|>",
    },
    encoder,
    "here",
  );
  assertEquals(control.ids.includes(encoder.maskTokenId), false);
});
