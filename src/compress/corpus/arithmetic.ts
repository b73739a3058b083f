/** Sums, differences and products, worked out by columns. */

import type { Dice } from "./dice.ts";
import type { Family, Slots, Task } from "./task.ts";

const ADD = [
  "What is {a} + {b}?",
  "Compute {a} + {b}.",
  "Calculate {a} + {b}.",
  "What is the sum of {a} and {b}?",
  "Add {a} and {b}.",
  "Please add {b} to {a}.",
];
const SUBTRACT = [
  "What is {a} - {b}?",
  "Compute {a} - {b}.",
  "Calculate {a} - {b}.",
  "What is {a} minus {b}?",
  "Subtract {b} from {a}.",
  "Take {b} away from {a}.",
];
const MULTIPLY = [
  "What is {a} * {b}?",
  "Compute {a} * {b}.",
  "Calculate {a} * {b}.",
  "What is {a} times {b}?",
  "Multiply {a} by {b}.",
  "What is the product of {a} and {b}?",
];
const COMPARE = [
  "Which number is {which}: {a} or {b}?",
  "Which is {which}, {a} or {b}?",
  "Find the {which} of {a} and {b}.",
  "What is the {which} of {a} and {b}?",
  "Compare {a} and {b}. Which one is {which}?",
];

const COLUMNS = ["Ones", "Tens", "Hundreds", "Thousands"];

/** The last sentence wherever a number is asked for. */
export const answerIs = (value: number): string => `The answer is ${value}.`;

/** A sum: by heart of digits, else by columns. The last column may have two digits. */
export function addition(a: number, b: number): string {
  if (a < 10 && b < 10) return `${a} + ${b} = ${a + b}. ${answerIs(a + b)}`;
  let carry = 0;
  const sentences = digitsOf(a, b).map(([x, y], column) => {
    const sum = x + y + carry;
    const text = `${COLUMNS[column]}: ${x} + ${y}${carry ? " + 1" : ""} = ${sum}.`;
    carry = sum >= 10 ? 1 : 0;
    return text;
  });
  return [...sentences, answerIs(a + b)].join(" ");
}

/** A difference that is not negative: by heart below 19 and 10, else by columns. */
export function subtraction(a: number, b: number): string {
  if (a <= 18 && b < 10) return `${a} - ${b} = ${a - b}. ${answerIs(a - b)}`;
  let borrow = 0;
  const sentences = digitsOf(a, b).map(([x, y], column, all) => {
    const isLent = x - y - borrow < 0 && column < all.length - 1;
    // Only the ones show the ten that they borrow as part of the number.
    const from = isLent ? x + 10 : x;
    const text = `${COLUMNS[column]}: ${from} - ${y}${borrow ? " - 1" : ""} = ${
      from - y - borrow
    }.`;
    borrow = isLent ? 1 : 0;
    return text;
  });
  return [...sentences, answerIs(a - b)].join(" ");
}

/** Pairs of digits from the ones up. */
function digitsOf(a: number, b: number): [number, number][] {
  const count = String(Math.max(a, b)).length;
  return Array.from(
    { length: count },
    (_, at) => [Math.floor(a / 10 ** at) % 10, Math.floor(b / 10 ** at) % 10],
  );
}

/** A task about two whole numbers. */
export function numberTask(
  weight: number,
  wordings: readonly string[],
  draw: (dice: Dice) => readonly [a: number, b: number],
  answer: (a: number, b: number) => string,
  isDrawn: (a: number, b: number) => boolean,
): Task {
  return {
    weight,
    wordings,
    draw(dice) {
      const [a, b] = draw(dice);
      return { a: String(a), b: String(b) };
    },
    answers: (slots: Slots) => {
      const [a, b] = [slots.a, slots.b].map(wholeNumber);
      return isDrawn(a, b) ? [answer(a, b)] : [];
    },
  };
}

/** A number as it is written, else NaN. */
export function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^(0|[1-9]\d*)$/.test(text) ? Number(text) : NaN;
}

const between = (low: number, high: number) => (value: number) => value >= low && value <= high;

function sums(weight: number, low: number, high: number): Task {
  const fits = between(low, high);
  return numberTask(
    weight,
    ADD,
    (dice) => [dice.between(low, high), dice.between(low, high)],
    addition,
    (a, b) => fits(a) && fits(b),
  );
}

function comparison(which: "larger" | "smaller"): Task {
  const choose = which === "larger" ? Math.max : Math.min;
  const other = which === "larger" ? Math.min : Math.max;
  return numberTask(
    1,
    COMPARE.map((wording) => wording.replace("{which}", which)),
    (dice) => {
      const a = dice.between(1, 99);
      const b = dice.between(1, 98);
      return [a, b < a ? b : b + 1];
    },
    (a, b) => `${choose(a, b)} is ${which} than ${other(a, b)}. ${answerIs(choose(a, b))}`,
    (a, b) => between(1, 99)(a) && between(1, 99)(b) && a !== b,
  );
}

/** Families about two numbers. */
export const ARITHMETIC: readonly Family[] = [
  {
    name: "math/add",
    weight: 0.09,
    heldOutOneIn: 40,
    tasks: [sums(0.25, 0, 9), sums(0.6, 10, 99), sums(0.15, 100, 999)],
  },
  {
    name: "math/sub",
    weight: 0.07,
    heldOutOneIn: 40,
    tasks: [
      numberTask(
        0.35,
        SUBTRACT,
        (dice) => {
          const b = dice.between(0, 9);
          return [b + dice.between(0, 9), b];
        },
        subtraction,
        (a, b) => between(0, 9)(b) && between(0, 9)(a - b),
      ),
      numberTask(
        0.65,
        SUBTRACT,
        (dice) => {
          const [a, b] = [dice.between(10, 99), dice.between(10, 99)];
          return [Math.max(a, b), Math.min(a, b)];
        },
        subtraction,
        (a, b) => between(10, 99)(a) && between(10, a)(b),
      ),
    ],
  },
  {
    name: "math/mul",
    weight: 0.03,
    heldOutOneIn: 16,
    tasks: [
      numberTask(
        1,
        MULTIPLY,
        (dice) => [dice.between(2, 9), dice.between(2, 9)],
        (a, b) => `${a} * ${b} = ${a * b}. ${answerIs(a * b)}`,
        (a, b) => between(2, 9)(a) && between(2, 9)(b),
      ),
    ],
  },
  {
    name: "math/compare",
    weight: 0.04,
    heldOutOneIn: 40,
    tasks: [comparison("larger"), comparison("smaller")],
  },
];
