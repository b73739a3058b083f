/**
 * Families beyond models/CORPUS.md, to use more of a model: longer tables, two-step arithmetic, more
 * forms of code, edits of a text. The answer is a function of the prompt here too.
 */

import { answerIs, wholeNumber } from "./arithmetic.ts";
import { functionTasks } from "./code.ts";
import { DENSE_PRINT, SCRIPT } from "./dense_code.ts";
import type { Dice } from "./dice.ts";
import { listTask, shown } from "./lists.ts";
import { CAPITALS, numberWords, PAST, PLURALS, roman, SPANISH, SYMBOLS } from "./tables.ts";
import type { Family, Task } from "./task.ts";
import { LISTS, VARIABLES } from "./words.ts";

/** A task about a value beside a key, asked in one direction. */
function lookUp(
  table: Readonly<Record<string, string>>,
  wordings: readonly string[],
  answer: (key: string, value: string) => string,
): Task {
  return {
    weight: Object.keys(table).length,
    wordings,
    draw: (dice) => ({ key: dice.pick(Object.keys(table)) }),
    answers: ({ key }) => Object.hasOwn(table, key) ? [answer(key, table[key])] : [],
  };
}

const swapped = (table: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(table).map(([key, value]) => [value, key]));

const TABLES: readonly Task[] = [
  lookUp(
    CAPITALS,
    ["What is the capital of {key}?", "Name the capital of {key}.", "Which city rules {key}?"],
    (key, value) => `The capital of ${key} is ${value}.`,
  ),
  lookUp(
    swapped(CAPITALS),
    ["Which country has the capital {key}?", "{key} is the capital of which country?"],
    (key, value) => `${key} is the capital of ${value}.`,
  ),
  lookUp(
    PAST,
    ["What is the past of {key}?", "Give the past tense of {key}.", "Put {key} in the past."],
    (key, value) => `The past of ${key} is ${value}.`,
  ),
  lookUp(
    SPANISH,
    ["How do you say {key} in Spanish?", "Translate {key} to Spanish.", "Spanish for {key}?"],
    (key, value) => `In Spanish ${key} is ${value}.`,
  ),
  lookUp(
    swapped(SPANISH),
    ["What does {key} mean in Spanish?", "Translate {key} from Spanish."],
    (key, value) => `${key} means ${value}.`,
  ),
  lookUp(
    SYMBOLS,
    ["What is the symbol of {key}?", "Give the chemical symbol of {key}."],
    (key, value) => `The symbol of ${key} is ${value}.`,
  ),
  lookUp(
    PLURALS,
    ["What is the plural of {key}?", "Give the plural of {key}.", "One {key}, two what?"],
    (key, value) => `The plural of ${key} is ${value}.`,
  ),
];

/** A task about whole numbers in the slots `a`, `b` and `c`, each within a range. */
function numbers(
  ranges: readonly (readonly [low: number, high: number])[],
  wordings: readonly string[],
  answer: (...values: number[]) => string | undefined,
): Task {
  const names = ["a", "b", "c"].slice(0, ranges.length);
  const draw = (dice: Dice): number[] => {
    const values = ranges.map(([low, high]) => dice.between(low, high));
    return answer(...values) === undefined ? draw(dice) : values;
  };
  return {
    weight: 1,
    wordings,
    draw(dice) {
      const values = draw(dice);
      return Object.fromEntries(names.map((name, i) => [name, String(values[i])]));
    },
    answers(slots) {
      const values = names.map((name) => wholeNumber(slots[name]));
      const fits = values.every((value, i) => value >= ranges[i][0] && value <= ranges[i][1]);
      const text = fits ? answer(...values) : undefined;
      return text === undefined ? [] : [text];
    },
  };
}

const DIGIT = [2, 9] as const;

/** Calculations of two steps, the first one written out before the second. */
const STEPS: readonly Task[] = [
  numbers(
    [DIGIT, DIGIT, [1, 20]],
    ["What is {a} * {b} + {c}?", "Compute {a} * {b} + {c}.", "Multiply {a} by {b}, then add {c}."],
    (a, b, c) => `${a} * ${b} = ${a * b}. ${a * b} + ${c} = ${a * b + c}. ${answerIs(a * b + c)}`,
  ),
  numbers(
    [DIGIT, DIGIT, [1, 20]],
    ["What is {a} * {b} - {c}?", "Multiply {a} by {b}, then subtract {c}."],
    (a, b, c) =>
      a * b >= c
        ? `${a} * ${b} = ${a * b}. ${a * b} - ${c} = ${a * b - c}. ${answerIs(a * b - c)}`
        : undefined,
  ),
  numbers(
    [[1, 9], [1, 9], DIGIT],
    ["What is ({a} + {b}) * {c}?", "Add {a} and {b}, then multiply by {c}."],
    (a, b, c) =>
      `${a} + ${b} = ${a + b}. ${a + b} * ${c} = ${(a + b) * c}. ${answerIs((a + b) * c)}`,
  ),
  numbers(
    [[1, 40], [1, 40], [1, 40]],
    ["What is {a} + {b} + {c}?", "Add {a}, {b} and {c}."],
    (a, b, c) => `${a} + ${b} = ${a + b}. ${a + b} + ${c} = ${a + b + c}. ${answerIs(a + b + c)}`,
  ),
  numbers(
    [[11, 99], DIGIT],
    ["What is {a} * {b}?", "Compute {a} * {b}.", "What is {a} times {b}?"],
    (a, b) => {
      const [ones, tens] = [a % 10, 10 * Math.floor(a / 10)];
      return `${ones} * ${b} = ${ones * b}. ${tens} * ${b} = ${tens * b}. ` +
        `${ones * b} + ${tens * b} = ${a * b}. ${answerIs(a * b)}`;
    },
  ),
  numbers(
    [[2, 90], DIGIT],
    ["What is {a} / {b}?", "Divide {a} by {b}.", "What is {a} divided by {b}?"],
    (a, b) =>
      a % b === 0
        ? `${b} * ${a / b} = ${a}. So ${a} / ${b} = ${a / b}. ${answerIs(a / b)}`
        : undefined,
  ),
  numbers(
    [[2, 90], DIGIT],
    ["What is {a} % {b}?", "What is the remainder of {a} divided by {b}?"],
    (a, b) => {
      const whole = a - a % b;
      return `${b} * ${whole / b} = ${whole}. ${a} - ${whole} = ${a % b}. ${answerIs(a % b)}`;
    },
  ),
];

/** Numbers in words, in Roman signs, squared. */
const NUMBERS: readonly Task[] = [
  numbers(
    [[0, 999]],
    ["Write {a} in words.", "Spell the number {a}."],
    (a) => `${a} in words is ${numberWords(a)}.`,
  ),
  numbers(
    [[1, 399]],
    ["Write {a} in Roman numerals.", "What is {a} in Roman numerals?"],
    (a) => `${a} is ${roman(a)} in Roman numerals.`,
  ),
  numbers(
    [[2, 30]],
    ["What is the square of {a}?", "What is {a} squared?", "What is {a} ** 2?"],
    (a) => `${a} * ${a} = ${a * a}. ${answerIs(a * a)}`,
  ),
];

const joined = (list: readonly number[]) => `${shown(list)}.`;
const total = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0);

/** Edits of longer lists. */
const EDITS: readonly Task[] = [
  listTask(["Double every number in {l}."], (list) => joined(list.map((x) => 2 * x)), [4, 8]),
  listTask(["Add 1 to every number in {l}."], (list) => joined(list.map((x) => x + 1)), [4, 8]),
  listTask(
    ["Keep the even numbers of {l}."],
    (list) => joined(list.filter((x) => x % 2 === 0)),
    [4, 8],
  ),
  listTask(["Keep the numbers above 4 of {l}."], (list) => joined(list.filter((x) => x > 4)), [
    4,
    8,
  ]),
  listTask(["Remove the first item of {l}."], (list) => joined(list.slice(1)), [4, 8]),
  listTask(["Remove the last item of {l}."], (list) => joined(list.slice(0, -1)), [4, 8]),
  listTask(["Swap the first and last item of {l}."], (list) => {
    const [first, last] = [list[0], list[list.length - 1]];
    return joined([last, ...list.slice(1, -1), first]);
  }, [4, 8]),
  listTask(["Write {l} twice."], (list) => joined([...list, ...list]), [3, 6]),
  listTask(["Sort {l} from high to low."], (list) => joined(list.toSorted((a, b) => b - a)), [
    4,
    8,
  ]),
  listTask(
    ["What is the sum of {l}?"],
    (list) => {
      let sum = list[0];
      const steps = list.slice(1).map((x) => `${sum} + ${x} = ${sum += x}.`);
      return [...steps, answerIs(total(list))].join(" ");
    },
    [3, 6],
  ),
];

/** Functions of more than one line. */
const FUNCTIONS_OF_LISTS = functionTasks([
  [
    ["returns the average of {a}"],
    "return sum({a}) / len({a})",
  ],
  [["returns the second item of {a}"], "return {a}[1]"],
  [["returns the first {k} items of {a}"], "return {a}[:{k}]"],
  [["returns the last {k} items of {a}"], "return {a}[-{k}:]"],
  [["checks if {a} is empty"], "return len({a}) == 0"],
  [["checks if {k} is in {a}"], "return {k} in {a}"],
  [["removes doubles from {a}"], "return list(set({a}))"],
  [["returns the range of {a}"], "return max({a}) - min({a})"],
  [["multiplies every number in {a} by {k}"], "return [x * {k} for x in {a}]"],
  [["returns the numbers in {a} below {k}"], "return [x for x in {a} if x < {k}]"],
  [
    ["multiplies the numbers in {a} with a loop"],
    "total = 1\n    for x in {a}:\n        total *= x\n    return total",
  ],
  [
    ["returns the index of {k} in {a} or -1"],
    "for i, x in enumerate({a}):\n        if x == {k}:\n            return i\n    return -1",
  ],
  [
    ["counts each item of {a}"],
    "counts = {}\n    for x in {a}:\n        counts[x] = counts.get(x, 0) + 1\n    return counts",
  ],
  [
    ["returns the longest item of {a}"],
    "best = {a}[0]\n    for x in {a}:\n        if len(x) > len(best):\n            best = x\n" +
    "    return best",
  ],
], LISTS);

const FUNCTIONS_OF_NUMBERS = functionTasks([
  [
    ["returns the absolute difference of {a} and {b}"],
    "if {a} > {b}:\n        return {a} - {b}\n    return {b} - {a}",
  ],
  [["returns {a} if it is positive, else 0"], "if {a} > 0:\n        return {a}\n    return 0"],
  [
    ["keeps {a} between 0 and {k}"],
    "if {a} < 0:\n        return 0\n    if {a} > {k}:\n        return {k}\n    return {a}",
  ],
  [
    ["returns the factorial of {a}"],
    "total = 1\n    for x in range(2, {a} + 1):\n        total *= x\n    return total",
  ],
  [
    ["sums the numbers from 1 to {a}"],
    "total = 0\n    for x in range(1, {a} + 1):\n        total += x\n    return total",
  ],
  [
    ["counts down from {a} with while"],
    "while {a} > 0:\n        print({a})\n        {a} -= 1",
  ],
  [["swaps {a} and {b}"], "return {b}, {a}"],
  [["returns the quotient and remainder of {a} and {b}"], "return {a} // {b}, {a} % {b}"],
  [["checks if {a} is between {b} and {k}"], "return {b} <= {a} <= {k}"],
], VARIABLES);

/** The denser families; together they are as many samples as those of models/CORPUS.md. */
export const DENSE: readonly Family[] = [
  { name: "dense/facts", weight: 0.25, heldOutOneIn: 16, tasks: TABLES },
  { name: "dense/steps", weight: 0.2, heldOutOneIn: 40, tasks: STEPS },
  { name: "dense/numbers", weight: 0.1, heldOutOneIn: 40, tasks: NUMBERS },
  { name: "dense/edits", weight: 0.15, heldOutOneIn: 40, tasks: EDITS },
  {
    name: "dense/functions",
    weight: 0.12,
    heldOutOneIn: 40,
    tasks: [...FUNCTIONS_OF_LISTS, ...FUNCTIONS_OF_NUMBERS],
  },
  { name: "dense/script", weight: 0.1, heldOutOneIn: 40, tasks: SCRIPT },
  { name: "dense/print", weight: 0.08, heldOutOneIn: 40, tasks: DENSE_PRINT },
];
