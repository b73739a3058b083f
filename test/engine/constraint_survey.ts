/**
 * Asks the embedded model for answers under random schemas and regexes, by three strategies, and
 * counts how many are valid and what they cost: `deno run -A --lock=.lock/test.lock
 * test/engine/constraint_survey.ts [schemas] [regexes]`. constraint_test.ts holds a part of it.
 */
import fc from "fast-check";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { Constraint, GenerateRequest } from "../../src/engine/request.ts";
import { isValid, patterns, schemas } from "../constraint/schema_cases.ts";

const SETTINGS: Readonly<Record<string, Partial<GenerateRequest>>> = {
  plain: { strategy: "plain" },
  threshold: { strategy: "threshold", threshold: 0.9 },
  auto: { strategy: "auto", quality: "fast", temperature: 0.5, seed: 7 },
};
const messages = [{ role: "user", content: "What is 7 times 8?" }];

interface Case {
  readonly constraint: Constraint;
  readonly isValid: (text: string) => boolean;
  readonly name: string;
}

async function answer(engine: Engine, request: Partial<GenerateRequest>) {
  for await (const event of engine.generate({ messages, ...request })) {
    if (event.type === "end") return event;
  }
  throw new Error("no end");
}

const [schemaCount = 200, regexCount = 50] = Deno.args.map(Number);
const cases: Case[] = [
  ...fc.sample(schemas, { numRuns: schemaCount, seed: 2025 }).map((schema): Case => ({
    constraint: { kind: "json_schema", schema },
    isValid: (text) => isValid(schema, JSON.parse(text)),
    name: JSON.stringify(schema),
  })),
  ...fc.sample(patterns, { numRuns: regexCount, seed: 2025 }).map((pattern): Case => ({
    constraint: { kind: "regex", pattern },
    isValid: (text) => new RegExp(`^(?:${pattern})$`, "u").test(text),
    name: pattern,
  })),
];
using engine = await loadEngine(EMBEDDED_TARGET);
console.log(`${engine.model.gpu.name}: ${schemaCount} schemas, ${regexCount} regexes`);
for (const [name, settings] of Object.entries(SETTINGS)) {
  const sum = { valid: 0, forwards: 0, tokens: 0, seconds: 0 };
  for (const one of cases) {
    const start = performance.now();
    const { text, stats, usage } = await answer(engine, {
      ...settings,
      constraint: one.constraint,
      // The lengths of some schemas' names and bounds alone take more than a hundred tokens.
      maxTokens: one.constraint.kind === "regex" ? 48 : 256,
    });
    sum.seconds += (performance.now() - start) / 1000;
    sum.forwards += stats.forwards;
    sum.tokens += usage.completionTokens;
    if (one.isValid(text)) sum.valid++;
    else console.log(`invalid under ${one.name}: ${text}`);
  }
  const none = await answer(engine, { ...settings, maxTokens: 64 });
  const perToken = (forwards: number, tokens: number) => (forwards / tokens).toFixed(2);
  console.log(
    `${name}: ${sum.valid} of ${cases.length} valid; ${sum.tokens} tokens, ${sum.forwards} ` +
      `forwards, ${perToken(sum.forwards, sum.tokens)} a token (without a constraint ` +
      `${perToken(none.stats.forwards, none.usage.completionTokens)}); ${sum.seconds.toFixed(0)} s`,
  );
}
