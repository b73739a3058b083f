/** Stories, greetings, and questions about this runtime. */

import { alternatives, type Family, type Task } from "./task.ts";
import {
  ADJECTIVES,
  ANIMALS,
  articleOf,
  capital,
  OBJECTS,
  PEOPLE,
  PLACES,
  pronounOf,
} from "./words.ts";

const STORY: Task = {
  weight: 1,
  wordings: [
    "Tell me a short story about {adjective} {n} the {animal} who finds a {object} in the {place}.",
    "Write a tiny story: {n}, a {adjective} {animal}, finds a {object} in the {place}.",
    "Tell a story about a {adjective} {animal} named {n}, a {object} and a {place}.",
  ],
  draw: (dice) => ({
    adjective: dice.pick(ADJECTIVES),
    animal: dice.pick(ANIMALS),
    n: dice.pick(PEOPLE),
    object: dice.pick(Object.keys(OBJECTS)),
    place: dice.pick(Object.keys(PLACES)),
  }),
  answers({ adjective, animal, n, object, place }) {
    const isDrawn = ADJECTIVES.includes(adjective) && ANIMALS.includes(animal) &&
      PEOPLE.includes(n) && Object.hasOwn(OBJECTS, object) && Object.hasOwn(PLACES, place);
    if (!isDrawn) return [];
    const she = pronounOf(n);
    const story = `Once there was ${articleOf(adjective)} ${adjective} ${animal} named ${n}. ` +
      `One day ${n} went to the ${place}. ${PLACES[place]} ${she} found a ${object}. ` +
      OBJECTS[object];
    return [`${n} was very glad.`, `${n} smiled.`, `${capital(she)} took it home.`]
      .map((last) => `${story} ${last}`);
  },
};

const GREETINGS = ["Hi", "Hello", "Hey", "Good morning", "Good day", "Good evening"];
const HELP = "How can I help you today?";

function greetingTask(
  weight: number,
  wordings: readonly string[],
  answer: (greeting: string, name: string) => string,
): Task {
  return {
    weight,
    wordings,
    draw: (dice) => ({ greeting: dice.pick(GREETINGS), n: dice.pick(PEOPLE) }),
    answers({ greeting = GREETINGS[0], n = PEOPLE[0] }) {
      return GREETINGS.includes(greeting) && PEOPLE.includes(n) ? [answer(greeting, n)] : [];
    },
  };
}

const GREET: readonly Task[] = [
  greetingTask(
    4,
    ["{greeting}! I am {n}.", "{greeting}! I'm {n}.", "{greeting}! My name is {n}."],
    (greeting, n) => `${greeting}, ${n}! It is nice to meet you. ${HELP}`,
  ),
  greetingTask(1, ["{greeting}!"], (greeting) => `${greeting}! ${HELP}`),
  greetingTask(
    2,
    [
      "{greeting}! How are you?",
      "{greeting}! How are you today?",
      "{greeting}! How are you doing?",
    ],
    (greeting) => `${greeting}! I am doing well, thank you. ${HELP}`,
  ),
  greetingTask(
    3,
    [
      "Goodbye! This was {n}.",
      "Bye, {n} has to go now.",
      "Thanks for the help! {n} says bye.",
      "Thank you! {n} says goodbye.",
    ],
    (_, n) => `You are welcome, ${n}. Goodbye and have a nice day!`,
  ),
];

/** Of each subject: its bare name, as a noun, in a question, in an answer to "what", and the answer. */
type Subject = readonly [
  name: string,
  noun: string,
  question: string,
  clause: string,
  text: string,
];

function thing(name: string, text: string, article = ""): Subject {
  const noun = article + name;
  return [name, noun, `what is ${noun}`, `what ${noun} is`, text];
}

/** What the corpus says about this runtime. */
const SUBJECTS: readonly Subject[] = [
  thing(
    "mask token",
    "A mask token is a special token that marks a hidden position. The model fills it in with a " +
      "real token.",
    "a ",
  ),
  thing(
    "masked diffusion",
    "Masked diffusion starts from a row of mask tokens and fills them in over a few steps until " +
      "the text is complete.",
  ),
  thing(
    "draft model",
    "A draft model is a smaller and faster model. It proposes tokens, and the target model checks " +
      "them.",
    "a ",
  ),
  thing(
    "target model",
    "The target model is the full model. It checks the tokens of the draft model and decides what " +
      "is kept.",
    "a ",
  ),
  thing(
    "speculative decoding",
    "In speculative decoding a small draft model proposes many tokens and the target model accepts " +
      "the ones it agrees with.",
  ),
  thing(
    "remasking",
    "Remasking keeps the tokens with high confidence and masks the others again for the next step.",
  ),
  thing(
    "block",
    "A block is a part of the answer. The blocks are filled in from left to right.",
    "a ",
  ),
  thing(
    "WebGPU",
    "WebGPU is a way to run compute shaders on the GPU. This runtime uses it to run the model.",
  ),
  thing("Deno", "Deno is a runtime for TypeScript. This server is written for it."),
  thing(
    "distillation",
    "Distillation trains a small student model to give the same output as a large teacher model.",
  ),
  thing(
    "pruning",
    "Pruning removes the layers and neurons that matter least, so the model gets smaller.",
  ),
  thing(
    "token",
    "A token is a small piece of text. The model reads and writes text as a row of tokens.",
    "a ",
  ),
  [
    "who you are",
    "who you are",
    "who are you",
    "who you are",
    "I am a tiny masked diffusion model. I was trained to show that this runtime works.",
  ],
  [
    "how you write text",
    "how you write text",
    "how do you write text",
    "how you write text",
    "I start with mask tokens and fill in the ones I am most sure about first.",
  ],
];

const ABOUT_LEAD = "[|Hi! |Hello! |Quick question: |Tell me: ]";
/** 12 wordings; the slots are the forms of a subject. */
const ABOUT_WORDINGS = [
  "{Question}?",
  "In short, {question}?",
  "Define {noun}.",
  "Explain {noun}.",
  "Describe {noun}.",
  "Tell me {clause}.",
  "Please explain {clause}.",
  "Can you explain {clause}?",
  "Do you know {clause}?",
  "I want to know {clause}.",
  "Help me to understand {name}.",
  "Can you tell me {clause}?",
];

/** Questions about some of the subjects, in wordings that fit them. */
function aboutTask(subjects: readonly Subject[], wordings: readonly string[]): Task {
  return {
    weight: subjects.length,
    wordings: alternatives(...wordings.map((wording) => ABOUT_LEAD + wording)),
    draw(dice) {
      const [name, noun, question, clause] = dice.pick(subjects);
      return { name, noun, question, Question: capital(question), clause };
    },
    answers({ name, noun, question, Question, clause }) {
      const fits = (given: string | undefined, own: string) => given === undefined || given === own;
      return subjects.filter((subject) =>
        fits(name, subject[0]) && fits(noun, subject[1]) && fits(question, subject[2]) &&
        fits(Question, capital(subject[2])) && fits(clause, subject[3])
      ).map((subject) => subject[4]);
    },
  };
}

const isThing = ([, noun, , clause]: Subject) => noun !== clause;
const ABOUT: readonly Task[] = [
  aboutTask(SUBJECTS.filter(isThing), ABOUT_WORDINGS),
  aboutTask(
    SUBJECTS.filter((subject) => !isThing(subject)),
    ABOUT_WORDINGS.filter((wording) => !wording.includes("{noun}")),
  ),
];

/** Families of free text. */
export const TALK: readonly Family[] = [
  { name: "text/story", weight: 0.06, heldOutOneIn: 40, tasks: [STORY] },
  { name: "text/greet", weight: 0.025, heldOutOneIn: 16, tasks: GREET },
  { name: "text/about", weight: 0.045, heldOutOneIn: 16, tasks: ABOUT },
];
