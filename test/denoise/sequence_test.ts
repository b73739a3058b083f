import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  applyCommits,
  decidedUpToEnd,
  generationLength,
  maskedPositions,
  newSequence,
  type Sequence,
  unconditionalIds,
} from "../../src/denoise/sequence.ts";

const MASK = 9;

function commit(position: number, token: number) {
  return { position, token, confidence: 1, logProbability: 0 };
}

function sequenceOf(prompt: number[], generation: number[]): Sequence {
  return {
    ids: Uint32Array.from([...prompt, ...generation]),
    promptLength: prompt.length,
    maskToken: MASK,
  };
}

Deno.test("a new sequence is the prompt followed by masks", () => {
  const sequence = newSequence([1, 2], 3, MASK);
  assertEquals(sequence.ids, Uint32Array.of(1, 2, MASK, MASK, MASK));
  assertEquals(sequence.promptLength, 2);
  assertEquals(generationLength(sequence), 3);
  assertEquals(sequence.attentionMask, undefined);
});

Deno.test("the attention mask of the prompt is extended by ones", () => {
  const sequence = newSequence([0, 2], 2, MASK, [0, 1]);
  assertEquals(sequence.attentionMask, Uint8Array.of(0, 1, 1, 1));
  assertThrows(() => newSequence([1, 2], 2, MASK, [1]), RangeError, "attentionMask has 1 entries");
});

Deno.test("masked positions lie before the end and are not hidden", () => {
  const sequence = newSequence([MASK, 1, MASK], 3, MASK, [0, 1, 1]);
  assertEquals(maskedPositions(sequence, 5), Uint32Array.of(2, 3, 4));
  assertEquals(maskedPositions(sequence, 100), Uint32Array.of(2, 3, 4, 5));
  assertEquals(maskedPositions(sequence, 0), new Uint32Array());
});

Deno.test("commits make a new sequence and refuse what is decided or outside", () => {
  const before = newSequence([1], 3, MASK);
  const after = applyCommits(before, [commit(2, 5), commit(3, 6)]);
  assertEquals(after.ids, Uint32Array.of(1, MASK, 5, 6));
  assertEquals(before.ids, Uint32Array.of(1, MASK, MASK, MASK));
  assertThrows(() => applyCommits(after, [commit(2, 7)]), RangeError, "position 2");
  assertThrows(() => applyCommits(after, [commit(0, 7)]), RangeError, "found 1");
  assertThrows(() => applyCommits(after, [commit(4, 7)]), RangeError, "the end at 4");
  assertThrows(() => applyCommits(before, [commit(1, 7), commit(1, 7)]), RangeError, "found 7");
});

Deno.test("decided up to the end: an end token with no mask before it, in the generation", () => {
  assertEquals(decidedUpToEnd(sequenceOf([7], [1, 7, MASK]), [7, 8]), true);
  assertEquals(decidedUpToEnd(sequenceOf([7], [8, MASK, MASK]), [7, 8]), true);
  assertEquals(decidedUpToEnd(sequenceOf([7], [MASK, 7, 1]), [7, 8]), false);
  assertEquals(decidedUpToEnd(sequenceOf([7], [1, 2, 3]), [7, 8]), false);
  assertEquals(decidedUpToEnd(sequenceOf([7], [1, 7, 3]), []), false);
});

Deno.test("nothing behind a decided end changes the answer", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 0, max: MASK }), { maxLength: 8 }),
    fc.array(fc.integer({ min: 0, max: MASK }), { minLength: 1, maxLength: 8 }),
    fc.array(fc.integer({ min: 0, max: MASK }), { maxLength: 4 }),
    (prompt, generation, tail) => {
      const short = decidedUpToEnd(sequenceOf(prompt, generation), [7]);
      const long = decidedUpToEnd(sequenceOf(prompt, [...generation, ...tail]), [7]);
      if (short) assertEquals(long, true);
      const end = generation.indexOf(7);
      assertEquals(short, end >= 0 && !generation.slice(0, end).includes(MASK));
    },
  ));
});

Deno.test("guidance's second sequence starts as all masks", () => {
  assertEquals(unconditionalIds(newSequence([1, MASK], 2, MASK)), new Uint32Array(4).fill(MASK));
});
