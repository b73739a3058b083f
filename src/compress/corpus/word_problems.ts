/** Small stories with numbers. */

import { answerIs, wholeNumber } from "./arithmetic.ts";
import type { Dice } from "./dice.ts";
import { alternatives, type Family, type Slots, type Task } from "./task.ts";
import { capital, HOLDERS, PEOPLE, pronounOf, THINGS } from "./words.ts";

/** What somebody does. `{b}` and `{o}` are the number and the other person of a step. */
const GAINS = ["finds {b} more", "buys {b} more", "gets {b} more from {o}"];
const LOSSES = ["sells {b}", "loses {b}", "gives {b} to {o}"];
const FEWEST = 2;
const MOST = 12;
const MOST_GAIN = 9;

const START = "{n} [has|starts with] {a} {things}.";
const QUESTION = "How many {things} does [{she}|{n}] have[| now]?";

/** Wordings of one or two steps, each a gain or a loss. */
function wordingsOf(steps: readonly boolean[]): string[] {
  const [first, second] = steps.map((isGain) => (isGain ? GAINS : LOSSES).join("|"));
  const then = second?.replaceAll("{b}", "{c}").replaceAll("{o}", "{q}");
  return alternatives(
    `${START} [{She}|{n}] [${first}].${then ? ` Then {she} [${then}].` : ""} ${QUESTION}`,
  );
}

function stepsTask(weight: number, steps: readonly boolean[]): Task {
  return {
    weight,
    wordings: wordingsOf(steps),
    draw(dice) {
      const [n, o, q] = dice.some(PEOPLE, 3);
      const start = dice.between(FEWEST, MOST);
      const changes: number[] = [];
      let now = start;
      for (const isGain of steps) {
        const change = dice.between(1, isGain ? MOST_GAIN : Math.max(1, now - 1));
        changes.push(change);
        now += isGain ? change : -change;
      }
      return slotsFor(n, dice, { a: start, b: changes[0], c: changes[1] }, { o, q });
    },
    answers(slots) {
      const { n, things, o = n === "Ana" ? "Ben" : "Ana", q = o } = slots;
      const others = [o, q].every((name) => PEOPLE.includes(name) && name !== n);
      let now = wholeNumber(slots.a);
      if (!others || !fitsPerson(slots) || !(now >= FEWEST && now <= MOST)) return [];
      const sentences = [`${n} starts with ${now} ${things}.`];
      for (const [at, isGain] of steps.entries()) {
        const change = wholeNumber([slots.b, slots.c][at]);
        const next = isGain ? now + change : now - change;
        if (!(change >= 1 && next >= 0)) return [];
        sentences.push(`${now} ${isGain ? "+" : "-"} ${change} = ${next}.`);
        now = next;
      }
      return [[...sentences, answerIs(now)].join(" ")];
    },
  };
}

const BOXES: Task = {
  weight: 0.2,
  wordings: alternatives(
    "{n} has {a} {holders} with {b} {things} in each. How many {things} does [{she}|{n}] have?",
  ),
  draw: (dice) => ({
    ...slotsFor(dice.pick(PEOPLE), dice, { a: dice.between(2, 6), b: dice.between(2, 9) }, {}),
    holders: dice.pick(HOLDERS),
  }),
  answers(slots) {
    const [a, b] = [slots.a, slots.b].map(wholeNumber);
    if (!fitsPerson(slots) || !HOLDERS.includes(slots.holders) || !(a >= 2 && b >= 2)) return [];
    return [`There are ${a} ${slots.holders} of ${b}. ${a} * ${b} = ${a * b}. ${answerIs(a * b)}`];
  },
};

function slotsFor(
  n: string,
  dice: Dice,
  numbers: Readonly<Record<string, number | undefined>>,
  others: Slots,
): Slots {
  const she = pronounOf(n);
  const texts = Object.entries(numbers).map(([name, value]) => [name, String(value)]);
  return {
    n,
    she,
    She: capital(she),
    things: dice.pick(THINGS),
    ...Object.fromEntries(texts),
    ...others,
  };
}

function fitsPerson({ n, she = pronounOf(n), She = capital(she), things }: Slots): boolean {
  const pronoun = PEOPLE.includes(n) && pronounOf(n);
  return she === pronoun && She === capital(pronoun) && THINGS.includes(things);
}

/** One step (60%, boxes among them) or two. */
export const WORD_PROBLEMS: Family = {
  name: "math/word",
  weight: 0.1,
  heldOutOneIn: 40,
  tasks: [
    stepsTask(0.2, [true]),
    stepsTask(0.2, [false]),
    BOXES,
    stepsTask(0.2, [true, false]),
    stepsTask(0.1, [true, true]),
    stepsTask(0.1, [false, true]),
  ],
};
