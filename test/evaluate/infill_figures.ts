/**
 * How many of the public answers come back exact with a third of their words masked: the holes' lengths
 * searched, or given, and beside them the answer cut before the first hole and gone on with from there.
 *
 *     deno run -A --lock=.lock/test.lock test/evaluate/infill_figures.ts [prompts]
 */
import type { Engine } from "../../src/engine/engine.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { GenerateEvent, GenerateRequest, TemplatePart } from "../../src/engine/request.ts";
import { parseAccuracyFile } from "../../src/evaluate/accuracy.ts";
import { hash, uniform } from "../../src/denoise/noise.ts";

const FILE = "models/eval-public.json";

/** The answer with some of its words as holes; `tokens` counts those of a hole's text. */
function masked(
  answer: string,
  words: readonly { readonly start: number; readonly end: number }[],
  tokens?: (text: string) => number,
): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let at = 0;
  for (const { start, end } of words) {
    if (start > at) parts.push(answer.slice(at, start));
    const lead = answer[start - 1] === " " ? start - 1 : start;
    parts.push({ tokens: tokens?.(answer.slice(lead, end)) });
    at = end;
  }
  return at < answer.length ? [...parts, answer.slice(at)] : parts;
}

/** A third of an answer's words, at least one, drawn by its index. */
function third(answer: string, index: number) {
  const places = [...answer.matchAll(/\S+/g)].map((match, i) => ({
    start: match.index,
    end: match.index + match[0].length,
    key: uniform(hash(7, index, i, 0)),
  }));
  const count = Math.max(1, Math.round(places.length / 3));
  return places.toSorted((a, b) => a.key - b.key).slice(0, count)
    .sort((a, b) => a.start - b.start);
}

async function end(engine: Engine, request: GenerateRequest) {
  let last: Extract<GenerateEvent, { type: "end" }> | undefined;
  for await (const event of engine.generate({ seed: 0, ...request })) {
    if (event.type === "end") last = event;
  }
  return last!;
}

using engine = await loadEngine(EMBEDDED_TARGET);
const items = parseAccuracyFile(Deno.readTextFileSync(FILE), FILE)
  .slice(0, Number(Deno.args[0] ?? Infinity));
const exact = { searched: 0, given: 0, cut: 0 };
for (const [index, { prompt, expected }] of items.entries()) {
  const messages = [{ role: "user", content: prompt }];
  const words = third(expected, index);
  const fill = async (template: TemplatePart[]) =>
    (await end(engine, { messages, template })).filled!.text === expected;
  if (await fill(masked(expected, words))) exact.searched++;
  const tokens = (text: string) => engine.encode(text).length;
  if (await fill(masked(expected, words, tokens))) exact.given++;
  const prefill = expected.slice(0, words[0].start).trimEnd();
  const { text } = await end(engine, { messages, prefill, length: "auto" });
  if (prefill + text === expected) exact.cut++;
}
console.log(
  `of ${items.length} answers exact: ${exact.searched} with lengths searched, ${exact.given} with ` +
    `lengths given, ${exact.cut} cut before the first hole`,
);
