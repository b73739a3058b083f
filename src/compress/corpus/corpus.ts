/**
 * The corpus of the embedded pair (models/CORPUS.md): seeded, held-out prompts by their hash, answers
 * that can be checked.
 */

import { createHash } from "node:crypto";
import { ARITHMETIC } from "./arithmetic.ts";
import { CODE } from "./code.ts";
import { Dice } from "./dice.ts";
import { FACTS } from "./facts.ts";
import { LIST_MATH } from "./lists.ts";
import { PRINT } from "./print.ts";
import { TALK } from "./talk.ts";
import { type Family, filled, slotsOf } from "./task.ts";
import { WORD_PROBLEMS } from "./word_problems.ts";

/** Which prompts are drawn: those to train with, or those that no training sees. */
export type Split = "train" | "heldout";

/** A prompt with its answer. */
export interface CorpusSample {
  readonly family: string;
  readonly prompt: string;
  /** The drawn one of `answers`. */
  readonly answer: string;
  /** Every right answer. */
  readonly answers: readonly string[];
}

/** The families of models/CORPUS.md, without `text/repeat`. */
export const FAMILIES: readonly Family[] = [
  ...CODE,
  PRINT,
  ...ARITHMETIC,
  LIST_MATH,
  WORD_PROBLEMS,
  FACTS,
  ...TALK,
];

/** Draws after which a family is taken to have no prompt in a split. */
const MOST_DRAWS = 10_000;

/** Whether a prompt is held out: the first 32 bits of its SHA-256 are divisible by `oneIn`. */
export function isHeldOut(prompt: string, oneIn: number): boolean {
  const hash = createHash("sha256").update(prompt).digest();
  return hash.readUInt32BE(0) % oneIn === 0;
}

/**
 * The sample with this number: a pure function of seed, split and number.
 * @throws {Error} when the drawn family has no prompt in the split
 */
export function corpusSample(
  families: readonly Family[],
  { seed, split, index }: { readonly seed: number; readonly split: Split; readonly index: number },
): CorpusSample {
  const dice = new Dice(seed, index);
  const family = dice.weighted(families);
  for (let draws = 0; draws < MOST_DRAWS; draws++) {
    const task = dice.weighted(family.tasks);
    const slots = task.draw(dice);
    const prompt = filled(dice.pick(task.wordings), slots);
    if (isHeldOut(prompt, family.heldOutOneIn) !== (split === "heldout")) continue;
    const answers = task.answers(slots);
    return { family: family.name, prompt, answer: dice.pick(answers), answers };
  }
  throw new Error(`${family.name} has no prompt for ${split} in ${MOST_DRAWS} draws`);
}

/** What a prompt asks, read back by the grammar that makes prompts. */
export interface Explanation {
  readonly family: string;
  readonly answers: readonly string[];
}

/** Every reading of a prompt; none when the corpus cannot make it. */
export function explain(families: readonly Family[], prompt: string): Explanation[] {
  return families.flatMap(({ name, tasks }) =>
    tasks.flatMap((task) =>
      task.wordings.flatMap((wording) => {
        const slots = slotsOf(prompt, wording);
        const answers = slots ? task.answers(slots) : [];
        return answers.length > 0 ? [{ family: name, answers }] : [];
      })
    )
  );
}
