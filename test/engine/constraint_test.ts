/** Constrained answers of the embedded model. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import fc from "fast-check";
import process from "node:process";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { Constraints } from "../../src/engine/constraints.ts";
import type { GenerationPlan } from "../../src/engine/generation_plan.ts";
import type { ModelFacts } from "../../src/engine/loaded_model.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { type GenerateRequest, RequestError } from "../../src/engine/request.ts";
import { isValid, patterns, schemas } from "../constraint/schema_cases.ts";

const messages = [{ role: "user", content: "What is 7 times 8?" }];

async function answer(engine: Engine, request: Partial<GenerateRequest>) {
  for await (const event of engine.generate({ messages, ...request })) {
    if (event.type === "end") return event;
  }
  throw new Error("no end");
}

const STRATEGIES: readonly Partial<GenerateRequest>[] = [
  { strategy: "plain", steps: 24 },
  { strategy: "threshold", threshold: 0.5 },
  { strategy: "auto" },
  { strategy: "auto", quality: "fast", temperature: 0.8, seed: 3 },
];

Deno.test("random schemas and regexes: every answer is valid, by every strategy", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  for (const [i, schema] of fc.sample(schemas, { numRuns: 8, seed: 15 }).entries()) {
    const settings = STRATEGIES[i % STRATEGIES.length];
    const constraint = { kind: "json_schema", schema } as const;
    const { text, finishReason } = await answer(engine, {
      ...settings,
      constraint,
      maxTokens: 192,
    });
    assert(isValid(schema, JSON.parse(text)), `${JSON.stringify(schema)}: ${text}`);
    assertEquals(finishReason, "stop");
  }
  for (const [i, pattern] of fc.sample(patterns, { numRuns: 8, seed: 15 }).entries()) {
    const settings = STRATEGIES[i % STRATEGIES.length];
    const constraint = { kind: "regex", pattern } as const;
    const { text } = await answer(engine, {
      ...settings,
      constraint,
      maxTokens: 32,
      blockLength: 16,
    });
    assert(new RegExp(`^(?:${pattern})$`, "u").test(text), `${pattern}: ${text}`);
  }
});

Deno.test("choices, objects and calls; what does not fit is refused by name", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const choices = ["yes", "no", "perhaps so"];
  const chosen = await answer(engine, { constraint: { kind: "choice", choices }, maxTokens: 16 });
  assert(choices.includes(chosen.text), chosen.text);
  const object = await answer(engine, { constraint: { kind: "json_object" }, maxTokens: 24 });
  const value = JSON.parse(object.text);
  assert(typeof value === "object" && value !== null && !Array.isArray(value), object.text);

  const parameters = {
    type: "object",
    properties: { a: { type: "number" }, b: { type: "number" } },
    required: ["a", "b"],
  };
  const functions = [{ name: "mul", parameters }, { name: "add", parameters }];
  const call = await answer(engine, {
    constraint: { kind: "call", functions, required: true },
    strategy: "threshold",
  });
  const { name, arguments: given, ...others } = JSON.parse(call.text);
  assert(["mul", "add"].includes(name) && isValid(parameters, given), call.text);
  assertEquals(others, {});
  // The name is all that the model chose before the arguments: the rest is forced.
  assert(call.stats.forwards < call.usage.completionTokens, `${call.stats.forwards} forwards`);

  const constraint = { kind: "json_object" } as const;
  const schema = { type: "object", properties: { a: { not: { const: 1 } } } };
  for (
    const [request, field, message] of [
      [{ constraint, template: ["a", { tokens: 1 }] }, "template", /no place/],
      [
        { constraint: { kind: "choice", choices: ["long ".repeat(40)] }, maxTokens: 8 },
        "maxTokens",
        /8/,
      ],
      [
        { constraint: { kind: "json_schema", schema }, constraintField: "response_format" },
        "response_format",
        /\/properties\/a\/not/,
      ],
      [{ constraint: { kind: "regex", pattern: "(?=a)" } }, "constraint", /look-around/],
    ] as const
  ) {
    const error = await assertRejects(() => answer(engine, request), RequestError);
    assertEquals(error.field, field);
    assertMatch(error.message, message);
  }
});

Deno.test("a call that the model may leave out is left out where its beginning is unlikely", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const functions = [{ name: "mul" }];
  const constraint = { kind: "call", functions, required: false } as const;
  const events = [];
  for await (const event of engine.generate({ messages, constraint, maxTokens: 32 })) {
    events.push(event);
  }
  const [start] = events;
  assert(start.type === "start" && start.constrained === false);
  const end = events.at(-1)!;
  // It knows this sum, and no functions.
  assert(end.type === "end" && end.text.includes("56"), JSON.stringify(end));
});

Deno.test("what would break a constraint, or is about other answers, leaves the answer as it is", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const schema = {
    type: "object",
    properties: { answer: { type: "integer" } },
    required: ["answer"],
  };
  const constraint = { kind: "json_schema", schema } as const;
  const same = { constraint, seed: 1, maxTokens: 48 };
  const plain = await answer(engine, { ...same, strategy: "plain" });
  for (
    const more of [
      { stop: ["}", ":", "answer"] },
      { ignoreEos: true },
      { strategy: "lossless" },
      { strategy: "self", draftDepth: 3 },
      { cache: "dual", refreshInterval: 2, suffixWindow: 8 },
      { cfgScale: 1 },
      { remasking: "random" },
      { confidence: "entropy" },
    ] as const
  ) {
    const { text, finishReason, stats } = await answer(engine, {
      strategy: "plain",
      ...same,
      ...more,
    });
    assertEquals([text, finishReason], [plain.text, "stop"], JSON.stringify(more));
    assertEquals([stats.strategy, stats.cache], ["plain", "none"]);
  }
  const lossy = await answer(engine, {
    ...same,
    strategy: "factor",
    factor: 2,
    topK: 5,
    temperature: 1,
  });
  assert(isValid(schema, JSON.parse(lossy.text)), lossy.text);
  assertEquals(lossy.stats.strategy, "threshold");
  // Where the answer may be free, what it asks for holds.
  const call = { kind: "call", functions: [{ name: "mul" }], required: false } as const;
  const free = await answer(engine, { constraint: call, stop: ["6"], maxTokens: 32 });
  assertEquals(free.stopText, "6");
});

Deno.test("at its deadline an answer under a constraint is completed as shortly as it can be", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const item = { type: "object", properties: { name: { type: "string", minLength: 9 } } };
  const required = { ...item, required: ["name"] };
  const schema = {
    type: "object",
    properties: { all: { type: "array", items: required, minItems: 12 } },
    required: ["all"],
  };
  const constraint = { kind: "json_schema", schema } as const;
  for (const deadlineMs of [1, 80]) {
    const events = [];
    for await (
      const event of engine.generate({
        messages,
        constraint,
        seed: 1,
        strategy: "plain",
        deadlineMs,
      })
    ) events.push(event);
    const end = events.at(-1)!;
    assert(end.type === "end");
    assert(isValid(schema, JSON.parse(end.text)), end.text);
    assertEquals(end.finishReason, "length");
    assert(end.deadline!.some(({ provisional }) => provisional));
    assertEquals(end.deadline!.map(({ token }) => token), end.ids.slice(0, end.deadline!.length));
    const steps = events.filter((event) => event.type === "step");
    assertEquals(steps.filter(({ provisional }) => provisional).length, 1);
    assertEquals(steps.map(({ delta }) => delta).join(""), end.text);
    // What was committed before stands.
    const committed = steps.filter(({ provisional }) => !provisional).flatMap(({ commits }) =>
      commits
    );
    for (const { position, token } of committed) assertEquals(end.ids[position], token);
  }
});

/** A vocabulary of LLaDA's size: the bytes, and words that are made up. */
function manyTokens(): Constraints {
  const encoder = new TextEncoder();
  const word = (id: number) => encoder.encode(` ${(id * 7919 % 1_000_003).toString(36)}`);
  const facts = { maskTokenId: 1, endTokenIds: [0], vocabSize: 126_464, contextLength: 4096 };
  const tokenBytes = (id: number) =>
    id < 2 ? new Uint8Array() : id < 258 ? Uint8Array.of(id - 2) : word(id);
  return new Constraints({ tokenBytes }, facts as unknown as ModelFacts);
}

Deno.test("while a heavy constraint is made ready the thread goes on, and it can be cancelled", async () => {
  const plan = { promptIds: Uint32Array.of(5), genLength: 256 } as GenerationPlan;
  const asked = (constraints: Constraints, pattern: string, signal?: AbortSignal) =>
    constraints.checked(
      { messages, constraint: { kind: "regex", pattern } },
      plan,
      () => plan.promptIds,
      signal,
    );
  const heavy = "(a?){1000}(\\W\\D\\S){60}";
  // What this thread computes between two turns of others, wherever else the machine is busy.
  const computed = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  const begun = computed();
  let [held, last] = [0, begun];
  const tick = () => {
    const now = computed();
    held = Math.max(held, now - last);
    last = now;
  };
  const timer = setInterval(tick, 5);
  assert(await asked(manyTokens(), heavy));
  tick();
  clearInterval(timer);
  assert(held <= 100, `held for ${held} ms`);
  assert(last - begun > 200, `only ${last - begun} ms to be made`);

  const constraints = manyTokens();
  const left = new AbortController();
  const first = assertRejects(() => asked(constraints, heavy, left.signal), DOMException, "abort");
  const second = asked(constraints, "[ab]{3}");
  setTimeout(() => left.abort(), 30);
  await first;
  assertEquals((await second)!.automaton.automaton.size, 4);
  // What is made already does not wait for what is not.
  const slow = asked(constraints, heavy).then(() => "slow");
  assertEquals(
    await Promise.race([slow, asked(constraints, "[ab]{3}").then(() => "kept")]),
    "kept",
  );
  await slow;
  await assertRejects(() => asked(constraints, "(?=a)"), RequestError, "look-around");
});
