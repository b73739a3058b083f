/** Scores a model on prompts with known answers, and compares it with recorded answers. */

import { BY_CONFIDENCE } from "../denoise/selection.ts";
import { PLAIN, strategyOf } from "../denoise/strategy.ts";
import type { Engine } from "../engine/engine.ts";
import type { CanvasLength, GenerateEvent, StrategyName } from "../engine/request.ts";

/** An answer that was recorded with another implementation. */
export interface ReferenceAnswer {
  readonly gen_length: number;
  readonly block_length: number;
  readonly steps: number;
  /** All ids of the generation. */
  readonly output_ids: readonly number[];
}

/** One prompt with its known answer. */
export interface AccuracyItem {
  readonly id: string;
  readonly prompt: string;
  /** The answer's text. */
  readonly expected: string;
  /** The rendered prompt as token ids. */
  readonly prompt_ids?: readonly number[];
  /** `exact`: the one right answer; `one_of`: any of several. */
  readonly check:
    | { readonly type: "exact"; readonly answer: string }
    | { readonly type: "one_of"; readonly answers: readonly string[] };
  readonly reference?: readonly ReferenceAnswer[];
}

/** Options of denoising answers; absent values take the model folder's defaults. */
export interface AccuracyOptions {
  readonly steps?: number;
  /**
   * Strategy of the scored answers, default `plain`; recorded answers are always compared with
   * plain.
   */
  readonly strategy?: StrategyName;
  /**
   * `auto`: the scored answers are as long as the model decides, and end where they end; `steps` is
   * not used. Default `fixed`; recorded answers always are.
   */
  readonly length?: CanvasLength;
}

/** The result of one prompt. */
export interface AccuracyResult {
  readonly id: string;
  /** All ids of the generation. */
  readonly ids: readonly number[];
  readonly text: string;
  readonly expected: string;
  readonly correct: boolean;
  /** Number of recorded answers that were compared. */
  readonly references: number;
  readonly differences: readonly string[];
  /** Forward passes of the scored answer. */
  readonly forwards: number;
  /** Seconds of the scored answer. */
  readonly seconds: number;
}

/**
 * Reads a file laid out like models/eval-public.json.
 * @throws {Error} naming the file and the item or field that is wrong
 */
export function parseAccuracyFile(text: string, file: string): AccuracyItem[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: not JSON: ${(error as Error).message}`);
  }
  const items = (json as { items?: unknown } | null)?.items;
  if (!Array.isArray(items) || items.length === 0) {
    throw new Error(`${file}: items is missing or empty, expected a list of prompts`);
  }
  return items.map((item, i) => checkItem(item, `${file}: items[${i}]`));
}

const isIds = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);

function checkItem(value: unknown, where: string): AccuracyItem {
  const item = (value ?? {}) as Record<string, unknown>;
  const wrong = (field: string, expected: string) =>
    new Error(
      `${where}.${field} is ${JSON.stringify(item[field]) ?? "missing"}, expected ${expected}`,
    );
  for (const field of ["id", "prompt", "expected"]) {
    if (typeof item[field] !== "string") throw wrong(field, "a string");
  }
  const check = (item.check ?? {}) as Record<string, unknown>;
  const exact = check.type === "exact" && typeof check.answer === "string";
  const oneOf = check.type === "one_of" && Array.isArray(check.answers) &&
    check.answers.every((answer) => typeof answer === "string");
  if (!exact && !oneOf) throw wrong("check", "{type: exact, answer} or {type: one_of, answers}");
  if (item.prompt_ids !== undefined && !isIds(item.prompt_ids)) {
    throw wrong("prompt_ids", "a list of token ids");
  }
  if (item.reference !== undefined) {
    const valid = Array.isArray(item.reference) &&
      item.reference.every((reference) =>
        isIds(reference?.output_ids) &&
        isIds([reference.gen_length, reference.block_length, reference.steps])
      );
    if (!valid) {
      throw wrong("reference", "a list of {gen_length, block_length, steps, output_ids}");
    }
  }
  return item as unknown as AccuracyItem;
}

/** Whether a text is a right answer. */
export function isCorrect({ check }: AccuracyItem, text: string): boolean {
  return check.type === "exact" ? text === check.answer : check.answers.includes(text);
}

/** Denoises every prompt and compares the answer; yields one result per prompt, in order. */
export async function* evaluateAccuracy(
  engine: Engine,
  items: readonly AccuracyItem[],
  options: AccuracyOptions = {},
): AsyncGenerator<AccuracyResult, void, void> {
  const { defaultMaxTokens, defaultBlockLength } = engine.summary;
  for (const item of items) {
    const messages = [{ role: "user", content: item.prompt }];
    const differences: string[] = [];
    if (item.prompt_ids) {
      const found = engine.encodeChat(messages);
      const difference = compareIds("prompt_ids", found, item.prompt_ids);
      if (difference) differences.push(difference);
    }
    const { strategy = PLAIN } = options;
    type Shape = Pick<ReferenceAnswer, "gen_length" | "block_length" | "steps">;
    const run = (shape: Shape, by: StrategyName = PLAIN) => answer(engine, messages, shape, by);
    const scored = {
      gen_length: defaultMaxTokens,
      block_length: defaultBlockLength,
      steps: options.steps ?? defaultMaxTokens,
    };
    const free = options.length === "auto";
    const result = free
      ? await freeAnswer(engine, messages, strategy)
      : await run(scored, strategy);
    for (const reference of item.reference ?? []) {
      const same = !free && reference.gen_length === scored.gen_length &&
        reference.block_length === scored.block_length && reference.steps === scored.steps &&
        strategyOf(strategy).lossless;
      const { ids } = same ? result : await run(reference);
      const difference = compareIds(`${reference.steps} steps`, ids, reference.output_ids);
      if (difference) differences.push(difference);
    }
    yield {
      id: item.id,
      ids: result.ids,
      text: result.text,
      expected: item.expected,
      correct: isCorrect(item, result.text),
      references: item.reference?.length ?? 0,
      differences,
      forwards: result.stats.forwards,
      seconds: result.stats.seconds,
    };
  }
}

/** Denoises the whole generation without an early stop, as for the recorded answers. */
function answer(
  engine: Engine,
  messages: readonly { readonly role: string; readonly content: string }[],
  shape: Pick<ReferenceAnswer, "gen_length" | "block_length" | "steps">,
  strategy: StrategyName,
) {
  const events = engine.generate({
    messages,
    maxTokens: shape.gen_length,
    blockLength: shape.block_length,
    steps: shape.steps,
    temperature: 0,
    cfgScale: 0,
    remasking: BY_CONFIDENCE,
    seed: 0,
    strategy,
    stopAtEnd: false,
  });
  return ended(events);
}

/** An answer as long as the model decides. */
function freeAnswer(
  engine: Engine,
  messages: readonly { readonly role: string; readonly content: string }[],
  strategy: StrategyName,
) {
  const request = { messages, length: "auto", temperature: 0, cfgScale: 0, seed: 0 } as const;
  return ended(engine.generate({ ...request, remasking: BY_CONFIDENCE, strategy }));
}

async function ended(events: AsyncIterable<GenerateEvent>) {
  for await (const event of events) if (event.type === "end") return event;
  throw new Error("the engine ended without an answer");
}

/** Describes the first place at which two lists of ids differ. */
function compareIds(
  name: string,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
): string | undefined {
  if (found.length !== expected.length) {
    return `${name}: ${found.length} ids, expected ${expected.length}`;
  }
  for (let i = 0; i < found.length; i++) {
    if (found[i] !== expected[i]) {
      return `${name}: id ${i} is ${found[i]}, expected ${expected[i]}`;
    }
  }
  return undefined;
}
