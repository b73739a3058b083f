/** Code of the denser corpus: a second language, and longer programs to read. */

import { functionSlots } from "./code.ts";
import { printTask } from "./print.ts";
import type { Task } from "./task.ts";
import { framed } from "./task.ts";
import { FUNCTIONS, LISTS, VARIABLES } from "./words.ts";

const SCRIPT_FRAMES = [
  "Write a JavaScript function {f} that {task}.",
  "In JavaScript, write {f}, a function that {task}.",
  "Define {f} in JavaScript: it {task}.",
];

/** A JavaScript function of two variables, or of a list. */
function scriptTask(task: string, body: string, isList = false): Task {
  const parameters = isList ? LISTS : VARIABLES;
  return {
    weight: 1,
    wordings: framed(SCRIPT_FRAMES, [task]),
    draw: (dice) => functionSlots(dice, parameters, [2, 9]),
    answers(slots) {
      const { f, a, b, k } = slots;
      const isDrawn = FUNCTIONS.includes(f) && parameters.includes(a) && a !== b &&
        (b === undefined || parameters.includes(b)) &&
        (k === undefined || (Number(k) >= 2 && Number(k) <= 9));
      if (!isDrawn) return [];
      const put = (text: string) => text.replace(/\{(\w)\}/g, (_, name: string) => slots[name]);
      const list = task.includes("{b}") ? "{a}, {b}" : "{a}";
      return [put(`const {f} = (${list}) => ${body};`)];
    },
  };
}

/** Arrow functions. */
export const SCRIPT: readonly Task[] = [
  scriptTask("adds {a} and {b}", "{a} + {b}"),
  scriptTask("multiplies {a} by {b}", "{a} * {b}"),
  scriptTask("subtracts {b} from {a}", "{a} - {b}"),
  scriptTask("checks if {a} equals {b}", "{a} === {b}"),
  scriptTask("returns the larger of {a} and {b}", "Math.max({a}, {b})"),
  scriptTask("returns the smaller of {a} and {b}", "Math.min({a}, {b})"),
  scriptTask("rounds {a}", "Math.round({a})"),
  scriptTask("returns {a} to the power {k}", "{a} ** {k}"),
  scriptTask("checks if {a} is even", "{a} % 2 === 0"),
  scriptTask("returns the length of {a}", "{a}.length", true),
  scriptTask("returns the first item of {a}", "{a}[0]", true),
  scriptTask("returns the last item of {a}", "{a}.at(-1)", true),
  scriptTask("doubles every number in {a}", "{a}.map((x) => x * 2)", true),
  scriptTask("adds {k} to every number in {a}", "{a}.map((x) => x + {k})", true),
  scriptTask("keeps the numbers in {a} above {k}", "{a}.filter((x) => x > {k})", true),
  scriptTask("sums {a}", "{a}.reduce((sum, x) => sum + x, 0)", true),
  scriptTask("checks if {k} is in {a}", "{a}.includes({k})", true),
  scriptTask("reverses {a}", "{a}.toReversed()", true),
];

const says = (value: unknown) => `The code prints ${value}.`;
const TWO = "{a} = {i}\n{b} = {j}\n";

/** Longer programs to read. */
export const DENSE_PRINT: readonly Task[] = [
  printTask(
    `${TWO}if {a} > {b}:\n    print({a})\nelse:\n    print({b} - {a})`,
    ({ i, j }) => says(i > j ? i : j - i),
  ),
  printTask(`${TWO}{a}, {b} = {b}, {a}\nprint({a} * 2 + {b})`, ({ i, j }) => says(2 * j + i)),
  printTask(
    `${TWO}print({a} // {b}, {a} % {b})`,
    ({ i, j }) => says(`${Math.floor(i / j)} ${i % j}`),
  ),
  printTask(
    `${TWO}print({a} == {b} or {a} > 5)`,
    ({ i, j }) => says(i === j || i > 5 ? "True" : "False"),
  ),
  printTask("{a} = {l}\nprint(sum({a}))", (_, list) => says(list.reduce((a, b) => a + b, 0))),
  printTask(
    "{a} = {l}\nprint(max({a}) - min({a}))",
    (_, list) => says(Math.max(...list) - Math.min(...list)),
  ),
  printTask("{a} = {l}\nprint(sorted({a})[0])", (_, list) => says(Math.min(...list))),
  printTask("{a} = {l}\nprint({a}[::-1])", (_, list) => says(`[${list.toReversed().join(", ")}]`)),
  printTask(
    "{a} = {l}\nprint([x * 2 for x in {a}])",
    (_, list) => says(`[${list.map((x) => 2 * x).join(", ")}]`),
  ),
  printTask(
    "{a} = {i}\nwhile {a} < 20:\n    {a} *= 2\nprint({a})",
    ({ i }) => {
      let value = i;
      while (value < 20) value *= 2;
      return says(value);
    },
  ),
  printTask(
    "{a} = 0\nfor {b} in range({j}):\n    {a} += {b}\nprint({a})",
    ({ j }) => says(j * (j - 1) / 2),
  ),
];
