/** What is too large is refused before it takes the memory or the time of the engine's thread. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import process from "node:process";
import { Allowance, SizeError } from "../../src/constraint/allowance.ts";
import { Automaton } from "../../src/constraint/automaton.ts";
import { type Constraint, constraintLanguage } from "../../src/constraint/constraint.ts";
import { TokenAutomaton } from "../../src/constraint/token_automaton.ts";
import { SchemaError } from "../../src/constraint/schema_error.ts";
import { StoppedClock } from "../stopped_clock.ts";
import { END, syntheticVocabulary } from "./random_text.ts";

/** Milliseconds that this thread has computed, wherever else the machine is busy. */
function computed(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function ready(constraint: Constraint, milliseconds?: number): Automaton {
  const allowance = new Allowance(milliseconds);
  return new Automaton(constraintLanguage(constraint, allowance)!, allowance);
}

const schema = (value: unknown): Constraint => ({ kind: "json_schema", schema: value });
const many = <T>(count: number, make: (i: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));
const values = (letter: string) => many(20_000, (i) => `${letter}${i}`);

Deno.test("states that stand for too much of a pattern are refused", () => {
  assertThrows(
    () => ready({ kind: "regex", pattern: "(a?){10000}" }),
    SizeError,
    "make it smaller",
  );
  assertEquals(ready({ kind: "regex", pattern: "(a?){1000}" }, Infinity).size, 1001);
});

Deno.test("a pattern and a length that make too many states together are refused by name", () => {
  const both = { type: "string", pattern: "a[ab]{12}", maxLength: 300 };
  assertThrows(() => ready(schema(both)), SchemaError, "is not supported: ");
});

Deno.test("parts of a schema are counted as they are read, not when all are", () => {
  const properties = Object.fromEntries(
    many(5000, (i) => [`a${i}`, { type: "integer", multipleOf: 7 }]),
  );
  assertThrows(
    () => ready(schema({ type: "object", properties })),
    SchemaError,
    "one part too many",
  );
});

Deno.test("long lists of values are compared in time that grows with them only", () => {
  const [one, other] = [{ enum: values("a") }, { enum: [...values("b"), "a7"] }];
  const start = computed();
  assertEquals(
    ready(schema({ allOf: [one, other] })).matches(new TextEncoder().encode('"a7"')),
    true,
  );
  assertThrows(() => ready(schema({ oneOf: [one, other] })), SchemaError, "options 0 and 1");
  assert(computed() - start < 2500);
});

Deno.test("what takes too long is refused", () => {
  const parts = many(2000, (i) => ({ properties: { [`a${i}`]: {} } }));
  assertThrows(() => ready(schema({ allOf: parts }), 20), SizeError, "0.02 seconds");
  assertThrows(
    () => ready({ kind: "regex", pattern: "(\\W\\D\\S){100}" }, 1),
    SizeError,
    "seconds",
  );
});

Deno.test("what takes too long is refused where the system does not tell what a thread computes", () => {
  const usage = process.threadCpuUsage;
  using clock = new StoppedClock();
  using _ = { [Symbol.dispose]: () => void (process.threadCpuUsage = usage) };
  process.threadCpuUsage = () => ({ user: 0, system: 0 });
  const allowance = new Allowance(100);
  clock.pass(1000);
  allowance.check();
  clock.pass(1000);
  assertThrows(() => allowance.check(), SizeError, "0.1 seconds");
});

Deno.test("lists too long to be read, and broken references, are the schema's fault", () => {
  for (
    const value of [
      { enum: new Array(300_000).fill(1) },
      { type: "string", pattern: "a|".repeat(200_000) },
      { $ref: "#/%E0%A4%A" },
      { allOf: [{ required: 5 }, { required: 6 }] },
    ]
  ) {
    assertThrows(() => ready(schema(value)), SchemaError);
  }
  assertEquals(ready(schema({ type: new Array(300_000).fill("null") })).size, 5);
});

Deno.test("tokens to the end are counted once a state, however many ways lead to it", async () => {
  const automaton = ready({ kind: "regex", pattern: "[a-f]{300}" });
  const tokens = new TokenAutomaton(automaton, syntheticVocabulary(), [END]);
  const start = computed();
  await tokens.countTokens();
  assert(computed() - start < 5000);
  assert(tokens.distance(tokens.start) > 0);
  assert(tokens.distance(tokens.start) < 300);
});

Deno.test("exploring ends when nobody waits for it", async () => {
  const automaton = ready({ kind: "regex", pattern: "a{1500}" });
  const tokens = new TokenAutomaton(automaton, syntheticVocabulary(), [END]);
  await assertRejects(() => tokens.countTokens(AbortSignal.abort()), DOMException, "abort");
});

Deno.test("a block is as long as what it may hold can be followed", () => {
  const automaton = ready({ kind: "regex", pattern: "(([a-z]{1,12} ?){1,6}\\. ){2,9}" });
  const tokens = new TokenAutomaton(automaton, syntheticVocabulary(), [END]);
  assertEquals(tokens.sight(tokens.start, 256, Infinity), 256);
  const length = tokens.sight(tokens.start, 256, 10_000);
  assert(length > 1 && length < 256, `${length}`);
  assertEquals(tokens.sight(tokens.start, 256, 0), 1);
});
