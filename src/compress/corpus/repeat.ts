/** Texts to copy, which teach a model to copy before anything else. */

import type { Dice } from "./dice.ts";
import { type Family, filled } from "./task.ts";

const WORDINGS = [
  "Repeat: {text}",
  "Repeat after me: {text}",
  "Copy this: {text}",
  "Say exactly: {text}",
];

/**
 * `text/repeat`: 3 to 12 words drawn from prompts of other families (60%), or 2 to 8 numbers below
 * 1000 (40%).
 */
export function repeatFamily(others: readonly Family[], weight: number): Family {
  const word = (dice: Dice) => {
    const task = dice.weighted(dice.weighted(others).tasks);
    const prompt = filled(dice.pick(task.wordings), task.draw(dice));
    return dice.pick(prompt.split(/\s+/));
  };
  const several = (count: number, one: () => string) =>
    Array.from({ length: count }, one).join(" ");
  return {
    name: "text/repeat",
    weight,
    heldOutOneIn: 40,
    tasks: [{
      weight: 1,
      wordings: WORDINGS,
      draw: (dice) => ({
        text: dice.uniform() < 0.6
          ? several(dice.between(3, 12), () => word(dice))
          : several(dice.between(2, 8), () => String(dice.between(0, 999))),
      }),
      answers: ({ text }) => [text],
    }],
  };
}
