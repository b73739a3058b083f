/** Code to read: what does it print? */

import type { Dice } from "./dice.ts";
import { type Family, framed, type Slots, type Task } from "./task.ts";
import { VARIABLES } from "./words.ts";

const FRAMES = [
  "What does this print?\n\n{task}",
  "What does this code print?\n\n{task}",
  "What is the output of this Python code?\n\n{task}",
  "Read the code and give its output.\n\n{task}",
];

const one = (value: number) => `The code prints ${value}.`;
const digit = (dice: Dice) => String(dice.between(1, 9));

/** A task whose slots are two variables `a` and `b`, digits, and perhaps a list `l`. */
export function printTask(
  code: string,
  result: (digits: { readonly [name: string]: number }, list: readonly number[]) => string,
  isDrawn: (digits: { readonly [name: string]: number }) => boolean = () => true,
): Task {
  return {
    weight: 1,
    wordings: framed(FRAMES, [code]),
    draw(dice) {
      const [a, b] = dice.some(VARIABLES, 2);
      const list = Array.from({ length: dice.between(3, 5) }, () => digit(dice));
      return {
        a,
        b,
        i: digit(dice),
        j: digit(dice),
        r: String(dice.between(2, 4)),
        at: String(dice.between(0, 2)),
        l: `[${list.join(", ")}]`,
      };
    },
    answers(slots: Slots) {
      const { a, b, l = "[]", ...numbers } = slots;
      if (![a, b].every((name) => name === undefined || VARIABLES.includes(name))) return [];
      if (a === b || !/^\[(\d(, \d)*)?\]$/.test(l)) return [];
      const digits = Object.fromEntries(
        Object.entries(numbers).map(([name, text]) => [name, Number(text)]),
      );
      if (!Object.values(digits).every(Number.isInteger) || !isDrawn(digits)) return [];
      return [result(digits, JSON.parse(l))];
    },
  };
}

const lines = (values: readonly number[]) => `It prints these lines:\n${values.join("\n")}`;
const TWO = "{a} = {i}\n{b} = {j}\n";

/** Prompts that show code. */
export const PRINT: Family = {
  name: "code/print",
  weight: 0.11,
  heldOutOneIn: 40,
  tasks: [
    printTask(`${TWO}print({a} + {b})`, ({ i, j }) => one(i + j)),
    printTask(`${TWO}print({a} * {b})`, ({ i, j }) => one(i * j)),
    printTask("{a} = {i}\n{a} += {j}\nprint({a})", ({ i, j }) => one(i + j)),
    printTask(`${TWO}print(max({a}, {b}))`, ({ i, j }) => one(Math.max(i, j))),
    printTask("{a} = {l}\nprint({a}[{at}])", ({ at }, list) => one(list[at]), ({ at }) => at < 3),
    printTask("{a} = {l}\nprint(len({a}))", (_, list) => one(list.length)),
    printTask(
      "for {a} in range({r}):\n    print({a} + {j})",
      ({ r, j }) => lines(Array.from({ length: r }, (_, at) => at + j)),
      ({ r }) => r >= 2 && r <= 4,
    ),
  ],
};
