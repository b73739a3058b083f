/** Texts with holes, and texts that are revised, on the embedded model. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Engine } from "../../src/engine/engine.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { templateOf } from "../../src/engine/marked_text.ts";
import {
  type FilledText,
  type GenerateEvent,
  type GenerateRequest,
  RequestError,
  type TemplatePart,
} from "../../src/engine/request.ts";

const messages = [{ role: "user", content: "What is 7 times 8?" }];
const ANSWER = "7 * 8 = 56. The answer is 56.";

async function fill(engine: Engine, request: Partial<GenerateRequest>) {
  let end: Extract<GenerateEvent, { type: "end" }> | undefined;
  for await (const event of engine.generate({ messages, seed: 1, ...request })) {
    if (event.type === "end") end = event;
  }
  return { ...end!, filled: end!.filled! };
}

/** The given parts stand in the text in their order, and the holes' texts between them. */
function checkGiven({ text, holes }: FilledText, template: readonly TemplatePart[]): void {
  let at = 0;
  for (const part of template) {
    if (typeof part !== "string") continue;
    const found = text.indexOf(part, at);
    assert(found >= at, `${JSON.stringify(part)} is not in ${JSON.stringify(text.slice(at))}`);
    at = found + part.length;
  }
  for (const hole of holes) {
    assertEquals(text.slice(hole.start, hole.start + hole.text.length), hole.text);
  }
}

Deno.test("holes of given and of searched lengths are filled together", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  for (
    const [text, tokens] of [
      ["7 * 8 = ___. The answer is 56.", undefined],
      ["7 ___ = 56. The answer ___ 56.", undefined],
      ["___ * 8 = 56. The answer is ___.", undefined],
      ["7 * 8 = 56. The ___", undefined],
      ["7 * 8 = 56. ___ is 56.", [2]],
    ] as const
  ) {
    const template = templateOf(text, { tokens });
    const { filled, usage, finishReason } = await fill(engine, { template });
    checkGiven(filled, template);
    assertEquals(filled.text, ANSWER, text);
    assertEquals([filled.holes.length, finishReason], [text.split("___").length - 1, "stop"]);
    assert(usage.completionTokens > 10);
  }
});

Deno.test("whatever the holes, the given text stands unchanged, and no end token in a hole", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  for (
    const text of ["___", "Ünïcödé ___ 🐱___", "___ ___ ___", "a\n\n___ \n b", "<|eot_id|>___"]
  ) {
    const template = templateOf(text, { tokens: 3 });
    const { filled, ids } = await fill(engine, { template });
    checkGiven(filled, template);
    for (const hole of filled.holes) assertEquals(hole.tokens.length, 3);
    const ends = engine.facts.endTokenIds;
    assertEquals(ids.findIndex((id) => ends.includes(id)), ids.length - 1);
  }
});

Deno.test("a hole with nothing to fill, or fields of another layout, are refused by name", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const template = templateOf("7 * 8 = ___.");
  for (
    const [field, request] of [
      ["template", { template: ["no hole"] }],
      ["template", { template: [{ tokens: 0 }] }],
      ["steps", { template, steps: 4 }],
      ["length", { template, length: "auto" }],
      ["revise", { template, revise: { text: "x" } }],
      ["revise", { revise: { text: "abc", spans: [{ start: 2, end: 1 }] } }],
      ["revise", { revise: { text: "abc", spans: [{ start: 0, end: 4 }] } }],
      ["revise", { revise: { text: "abc", below: 2 } }],
      ["template", { template: templateOf("cat ".repeat(600) + "___") }],
    ] as const
  ) {
    const error = await assertRejects(
      () => fill(engine, request as Partial<GenerateRequest>),
      RequestError,
    );
    assertEquals(error.field, field, error.message);
  }
});

Deno.test("a revision replaces spans, or the tokens of which the model is least sure", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const wrong = "7 * 8 = 57. The answer is 56.";
  const start = wrong.indexOf("57");
  const named = await fill(engine, {
    revise: { text: wrong, spans: [{ start, end: start + 2 }] },
  });
  assertEquals(named.filled.text, ANSWER);
  assertEquals(named.filled.holes.map(({ before, text }) => [before, text]), [["57", "56"]]);
  const unsure = await fill(engine, { revise: { text: wrong, most: 1 } });
  assertEquals(unsure.filled.text, ANSWER);
  assertEquals(unsure.filled.holes.length, 1);
  // Nothing to do where it is sure of all.
  const right = await fill(engine, { revise: { text: ANSWER, below: 0.01 } });
  assertEquals([right.filled.text, right.filled.holes.length], [ANSWER, 0]);
});

Deno.test("a deadline fills every hole with what is likeliest", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const template = templateOf("7 * 8 = ___. The answer is ___.", { tokens: 2 });
  const { filled, finishReason } = await fill(engine, { template, deadlineMs: 1 });
  checkGiven(filled, template);
  assertEquals(filled.holes.map(({ tokens }) => tokens.length), [2, 2]);
  assertEquals(finishReason, "length");
});
