/** Lists of digits: sort, reverse, count, largest, smallest, first. */

import { answerIs } from "./arithmetic.ts";
import type { Family, Task } from "./task.ts";

const DIGITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** A task about a list of different digits, which the wordings hold as `{l}`. */
export function listTask(
  wordings: readonly string[],
  answer: (list: readonly number[]) => string,
  [fewest, most]: readonly [fewest: number, most: number] = [3, 5],
): Task {
  return {
    weight: 1,
    wordings,
    draw: (dice) => ({ l: shown(dice.some(DIGITS, dice.between(fewest, most))) }),
    answers({ l }) {
      if (!/^\[\d(, \d)*\]$/.test(l)) return [];
      const list: number[] = JSON.parse(l);
      const fits = list.length >= fewest && list.length <= most;
      return fits && new Set(list).size === list.length ? [answer(list)] : [];
    },
  };
}

/** A list as Python writes it. */
export function shown(list: readonly number[]): string {
  return `[${list.join(", ")}]`;
}

const number = (what: string, value: number) =>
  `The ${what} number is ${value}. ${answerIs(value)}`;

/** Prompts about lists of digits. */
export const LIST_MATH: Family = {
  name: "math/list",
  weight: 0.07,
  heldOutOneIn: 40,
  tasks: [
    listTask(
      ["Sort {l}.", "Sort the list {l}.", "Put {l} in order."],
      (list) => `The sorted list is ${shown(list.toSorted((a, b) => a - b))}.`,
    ),
    listTask(
      ["Reverse {l}.", "Reverse the list {l}.", "Write {l} backwards."],
      (list) => `The reversed list is ${shown(list.toReversed())}.`,
    ),
    listTask(
      ["How many numbers are in {l}?", "What is the length of {l}?", "Count the numbers in {l}."],
      (list) => `The list has ${list.length} items. ${answerIs(list.length)}`,
    ),
    listTask(
      [
        "What is the largest number in {l}?",
        "Find the maximum of {l}.",
        "What is the maximum of {l}?",
      ],
      (list) => number("largest", Math.max(...list)),
    ),
    listTask(
      [
        "What is the smallest number in {l}?",
        "Find the minimum of {l}.",
        "What is the minimum of {l}?",
      ],
      (list) => number("smallest", Math.min(...list)),
    ),
    listTask(
      [
        "What is the first number in {l}?",
        "Give the first item of {l}.",
        "What is the first item of {l}?",
      ],
      (list) => number("first", list[0]),
    ),
  ],
};
