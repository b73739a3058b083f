/** Short Python functions. */

import type { Dice } from "./dice.ts";
import { type Family, framed, type Slots, type Task } from "./task.ts";
import { FUNCTIONS, LISTS, VARIABLES } from "./words.ts";

const FRAMES = [
  "Write a Python function {f} that {task}.",
  "Write a Python function named {f} that {task}.",
  "Please write a Python function called {f} that {task}.",
  "Define a function {f} in Python that {task}.",
  "In Python, write {f}, a function that {task}.",
  "I need a Python function {f} that {task}.",
];

/** What a function does, in several wordings, and its body. */
type Definition = readonly [wordings: readonly string[], body: string, weight?: number];

const BINARY: readonly Definition[] = [
  [["adds {a} and {b}", "returns the sum of {a} and {b}"], "return {a} + {b}"],
  [["multiplies {a} by {b}", "returns the product of {a} and {b}"], "return {a} * {b}"],
  [["subtracts {b} from {a}", "returns {a} minus {b}"], "return {a} - {b}"],
  [["divides {a} by {b}"], "return {a} / {b}"],
  [["returns the larger of {a} and {b}"], "return max({a}, {b})"],
  [["returns the smaller of {a} and {b}"], "return min({a}, {b})"],
  [["checks if {a} equals {b}"], "return {a} == {b}"],
  [["checks if {a} is greater than {b}"], "return {a} > {b}"],
  [["checks if {a} is less than {b}"], "return {a} < {b}"],
];

const UNARY: readonly Definition[] = [
  [["adds {k} to {a}"], "return {a} + {k}"],
  [["multiplies {a} by {k}"], "return {a} * {k}"],
  [["subtracts {k} from {a}"], "return {a} - {k}"],
  [["checks if {a} is greater than {k}"], "return {a} > {k}"],
  [["checks if {a} is less than {k}"], "return {a} < {k}"],
  [["checks if {a} is divisible by {k}"], "return {a} % {k} == 0"],
  [["returns {a} to the power {k}"], "return {a} ** {k}"],
  [["checks if {a} is even"], "return {a} % 2 == 0"],
  [["checks if {a} is odd"], "return {a} % 2 == 1"],
  [["returns the square of {a}"], "return {a} * {a}"],
  [["returns the absolute value of {a}"], "return abs({a})"],
];

const LIST: readonly Definition[] = [
  [["returns the sum of the list {a}"], "return sum({a})"],
  [["returns the largest item of {a}"], "return max({a})"],
  [["returns the smallest item of {a}"], "return min({a})"],
  [["returns the length of {a}"], "return len({a})"],
  [["returns {a} sorted"], "return sorted({a})"],
  [["returns {a} reversed"], "return {a}[::-1]"],
  [["returns the first item of {a}"], "return {a}[0]"],
  [["returns the last item of {a}"], "return {a}[-1]"],
  [["returns the squares of the numbers in {a}"], "return [x * x for x in {a}]"],
  [["returns the even numbers in {a}"], "return [x for x in {a} if x % 2 == 0]"],
  [["returns the odd numbers in {a}"], "return [x for x in {a} if x % 2 == 1]"],
  [["adds {k} to every item of {a}"], "return [x + {k} for x in {a}]"],
  [["counts the numbers in {a} equal to {k}"], "return {a}.count({k})"],
  [
    ["counts the numbers in {a} greater than {k}"],
    "count = 0\n    for x in {a}:\n        if x > {k}:\n            count += 1\n    return count",
  ],
  [
    ["adds the numbers in {a} with a loop"],
    "total = 0\n    for x in {a}:\n        total += x\n    return total",
  ],
  [["prints every item of {a}"], "for x in {a}:\n        print(x)"],
];

/**
 * Tasks of functions, one for each definition.
 * @param parameters names that the slots `a` and `b` can have
 */
export function functionTasks(
  definitions: readonly Definition[],
  parameters: readonly string[],
  constants: readonly [low: number, high: number] = [2, 9],
): Task[] {
  return definitions.map(([wordings, body, weight]) => ({
    // Each wording is as likely as any other.
    weight: weight ?? wordings.length,
    wordings: framed(FRAMES, wordings),
    draw: (dice) => functionSlots(dice, parameters, constants),
    answers(slots) {
      const { f, a, b, k } = slots;
      const [low, high] = constants;
      const isDrawn = FUNCTIONS.includes(f) && parameters.includes(a) && a !== b &&
        (b === undefined || parameters.includes(b)) &&
        (k === undefined || (Number(k) >= low && Number(k) <= high));
      if (!isDrawn) return [];
      const uses = wordings.some((wording) => wording.includes("{b}"));
      const put = (text: string) => text.replace(/\{(\w)\}/g, (_, name: string) => slots[name]);
      return [`def {f}(${uses ? "{a}, {b}" : "{a}"}):\n    ${body}`].map(put);
    },
  }));
}

/** Values for the slots of a function: its name, two different parameters, a constant. */
export function functionSlots(
  dice: Dice,
  parameters: readonly string[],
  [low, high]: readonly [low: number, high: number],
): Slots {
  const [a, b] = dice.some(parameters, 2);
  return { f: dice.pick(FUNCTIONS), a, b, k: String(dice.between(low, high)) };
}

/** The families of functions. */
export const CODE: readonly Family[] = [
  {
    name: "code/binary",
    weight: 0.1,
    heldOutOneIn: 40,
    tasks: functionTasks(BINARY, VARIABLES),
  },
  { name: "code/unary", weight: 0.08, heldOutOneIn: 40, tasks: functionTasks(UNARY, VARIABLES) },
  { name: "code/list", weight: 0.11, heldOutOneIn: 40, tasks: functionTasks(LIST, LISTS) },
];
