/** Questions about a few facts. */

import { answerIs } from "./arithmetic.ts";
import { alternatives, type Family, type Task } from "./task.ts";
import { articleOf, capital, words } from "./words.ts";

const LEAD = "[|Tell me: |Quick question: |Hi! |Hello! ]";
const TAIL = "[|| Thanks.]";

const DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday");
const MONTHS = words(
  "January February March April May June July August September October November December",
);
const ORDINALS = words(
  "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
);
const OPPOSITES = words(
  "hot-cold big-small up-down left-right open-closed wet-dry early-late fast-slow high-low " +
    "full-empty light-dark hard-soft new-old happy-sad",
).flatMap((pair) => {
  const [one, other] = pair.split("-");
  return [[one, other], [other, one]];
});
const COLORS = Object.entries({
  red: ["blood", "a ripe tomato"],
  blue: ["the sky", "the sea"],
  green: ["grass", "a leaf"],
  yellow: ["a banana"],
  white: ["snow", "milk"],
  black: ["coal"],
  orange: ["a carrot"],
  purple: ["a plum"],
  brown: ["chocolate"],
}).flatMap(([color, things]) => things.map((thing) => [thing, color]));
const SOUNDS = Object.entries({
  dog: "barks",
  cat: "meows",
  cow: "moos",
  duck: "quacks",
  frog: "croaks",
  lion: "roars",
  owl: "hoots",
  horse: "neighs",
  bee: "buzzes",
  hen: "clucks",
});
const LEGS = Object.entries({
  dog: 4,
  cat: 4,
  horse: 4,
  cow: 4,
  bird: 2,
  ant: 6,
  bee: 6,
  spider: 8,
});
const YOUNG = Object.entries({
  dog: "puppy",
  cat: "kitten",
  cow: "calf",
  horse: "foal",
  sheep: "lamb",
  hen: "chick",
  bear: "cub",
  duck: "duckling",
});

/** A task about what stands beside what, in a table. */
function tableTask(
  weight: number,
  wordings: readonly string[],
  table: readonly (readonly [key: string, value: string | number])[],
  answer: (key: string, value: string | number) => string,
): Task {
  const values = new Map(table);
  return {
    weight,
    wordings: alternatives(...wordings.map((wording) => `${LEAD}${wording}${TAIL}`)),
    draw(dice) {
      const key = dice.pick(table)[0];
      return { key, the: articleOf(key) };
    },
    answers({ key, the = articleOf(key) }) {
      const value = values.get(key);
      return value === undefined || the !== articleOf(key) ? [] : [answer(key, value)];
    },
  };
}

function neighbourTask(
  unit: string,
  names: readonly string[],
  direction: "before" | "after",
): Task {
  const step = direction === "after" ? 1 : names.length - 1;
  return tableTask(
    0.5,
    [
      `What ${unit} comes ${direction} {key}?`,
      `Which ${unit} is ${direction} {key}?`,
      `Name the ${unit} ${direction} {key}.`,
    ],
    names.map((name, i) => [name, names[(i + step) % names.length]]),
    (key, value) => `The ${unit} ${direction} ${key} is ${value}.`,
  );
}

/** Prompts about days, months, opposites, colours, animals. */
export const FACTS: Family = {
  name: "text/fact",
  weight: 0.07,
  heldOutOneIn: 16,
  tasks: [
    neighbourTask("day", DAYS, "before"),
    neighbourTask("day", DAYS, "after"),
    neighbourTask("month", MONTHS, "before"),
    neighbourTask("month", MONTHS, "after"),
    tableTask(
      1,
      [
        "What is the {key} month of the year?",
        "Which month is the {key} of the year?",
        "Name the {key} month.",
      ],
      ORDINALS.map((name, i) => [name, MONTHS[i]]),
      (key, value) => `The ${key} month of the year is ${value}.`,
    ),
    tableTask(
      1,
      [
        "What is the opposite of {key}?",
        "Name the opposite of {key}.",
        "Give the opposite of {key}.",
      ],
      OPPOSITES.map(([one, other]) => [one, other]),
      (key, value) => `The opposite of ${key} is ${value}.`,
    ),
    tableTask(
      1,
      ["What color is {key}?", "What is the color of {key}?", "Name the color of {key}."],
      COLORS.map(([thing, color]) => [thing, color]),
      (key, value) => `The color of ${key} is ${value}.`,
    ),
    tableTask(
      1,
      [
        "What sound does {the} {key} make?",
        "Which sound does {the} {key} make?",
        "Name the sound of {the} {key}.",
      ],
      SOUNDS,
      (key, value) => `${capital(articleOf(key))} ${key} ${value}. That is the sound it makes.`,
    ),
    tableTask(
      1,
      [
        "How many legs does {the} {key} have?",
        "Count the legs of {the} {key}.",
        "Tell me how many legs {the} {key} has.",
      ],
      LEGS,
      (key, value) =>
        `${capital(articleOf(key))} ${key} has ${value} legs. ${answerIs(Number(value))}`,
    ),
    tableTask(
      1,
      ["What is a young {key} called?", "What is a baby {key} called?", "Name a young {key}."],
      YOUNG,
      (key, value) => `A young ${key} is called a ${value}.`,
    ),
  ],
};
