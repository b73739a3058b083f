/** Streams of answers, as the server writes them, made of random texts. */
import fc from "fast-check";
import type { AnswerToken, Chunk, Commit } from "../../../src/server/page/trace.ts";

/** A stream, and what it streams. */
export interface RandomStream {
  readonly text: string;
  readonly chunks: readonly Chunk[];
}

const END = 0;

/** Any text, cut into tokens anywhere, also within a character, decided in any order. */
export function randomStreams(): fc.Arbitrary<RandomStream> {
  return fc.record({
    text: fc.string({ unit: "grapheme", maxLength: 24 }),
    cuts: fc.array(fc.boolean(), { minLength: 120, maxLength: 120 }),
    order: fc.infiniteStream(fc.nat()),
    sizes: fc.infiniteStream(fc.integer({ min: 1, max: 4 })),
    spare: fc.nat(8),
  }).map(({ text, cuts, order, sizes, spare }) => {
    const tokens = tokensOf(text, cuts);
    const left = [...tokens.keys(), tokens.length];
    const shuffled: number[] = [];
    while (left.length > 0) shuffled.push(left.splice(order.next().value! % left.length, 1)[0]);
    const steps: number[][] = [];
    while (shuffled.length > 0) steps.push(shuffled.splice(0, sizes.next().value!));
    return { text, chunks: chunksOf(text, tokens, steps, tokens.length + 1 + spare) };
  });
}

function tokensOf(text: string, cuts: readonly boolean[]): number[][] {
  const tokens: number[][] = [];
  for (const [index, byte] of new TextEncoder().encode(text).entries()) {
    if (index === 0 || cuts[index % cuts.length]) tokens.push([]);
    tokens.at(-1)!.push(byte);
  }
  return tokens;
}

function chunksOf(
  text: string,
  tokens: readonly number[][],
  steps: readonly number[][],
  length: number,
): readonly Chunk[] {
  // Tokens of the same bytes have the same id, as in a real vocabulary.
  const idOf = (bytes: readonly number[]) =>
    bytes.reduce((hash, byte) => (hash * 257 + byte) % 1e9, 7);
  const commit = (position: number): Commit => {
    const bytes = tokens[position];
    return bytes
      ? { position, token: idOf(bytes), text: alone(bytes), confidence: 0.5 }
      : { position, token: END, text: "<|endoftext|>", confidence: 1 };
  };
  const chunks: Chunk[] = [{
    choices: [],
    diffusion: {
      type: "start",
      prompt_tokens: 3,
      generation_length: length,
      block_length: 4,
      steps: length,
    },
  }];
  const decided = new Set<number>();
  const bytes: number[] = [];
  let told = 0;
  let sent = "";
  for (const [step, positions] of steps.entries()) {
    const commits = positions.toSorted((a, b) => a - b).map(commit);
    chunks.push({
      choices: [],
      diffusion: { type: "unmask", step, block: 0, provisional: false, commits },
    });
    for (const position of positions) decided.add(position);
    const answered: AnswerToken[] = [];
    for (; told < tokens.length && decided.has(told); told++) {
      bytes.push(...tokens[told]);
      const id = idOf(tokens[told]);
      const likely = { id, token: alone(tokens[told]), bytes: tokens[told], logprob: -0.5 };
      answered.push({ ...likely, top_logprobs: [likely], step });
    }
    const whole = new TextDecoder("utf-8", { ignoreBOM: true })
      .decode(Uint8Array.from(bytes), { stream: true });
    const delta = { content: whole.slice(sent.length) };
    sent = whole;
    if (answered.length > 0) {
      chunks.push({ choices: [{ delta, logprobs: { content: answered } }] });
    }
  }
  chunks.push({ choices: [{ delta: {}, finish_reason: "stop" }] });
  if (sent !== text) throw new Error("the stream does not end with its text");
  return chunks;
}

function alone(bytes: readonly number[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}
