/**
 * What the corpus is made of. A task is a set of wordings with slots (`What is {a} + {b}?`), a way to
 * draw the slots, and the answer as a function of them: so a prompt can be read back, and its answer
 * checked.
 */

import type { Dice } from "./dice.ts";

/** The words and numbers of a prompt by the name of their slot. */
export type Slots = Readonly<Record<string, string>>;

/** One kind of question. */
export interface Task {
  /** Share within its family. */
  readonly weight: number;
  /** Prompts with slots in braces, one of which is drawn. */
  readonly wordings: readonly string[];
  /** Values of all slots that any wording has. */
  draw(dice: Dice): Slots;
  /**
   * The right answers; of several, the corpus draws one.
   * @returns an empty list when the slots could not have been drawn
   */
  answers(slots: Slots): readonly string[];
}

/** Tasks of one kind, that are counted together. */
export interface Family {
  /** Such as `math/add`. */
  readonly name: string;
  /** Share of the corpus; the weights of all families need not add up to 1. */
  readonly weight: number;
  /** One prompt in so many is held out. */
  readonly heldOutOneIn: number;
  readonly tasks: readonly Task[];
}

/**
 * All texts that a pattern stands for: `[a|b]` is one of several, and they may not be nested.
 * `[|x]` may be left out. A bracket of the text itself is doubled: `[[`, `]]`.
 */
export function alternatives(...patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) => {
    const parts = pattern.split(/(\[\[|\]\]|\[[^\]]*\])/);
    return parts.reduce((texts, part) => {
      const plain = part === "[[" ? "[" : part === "]]" ? "]" : part;
      const choices = plain.length > 1 && plain.startsWith("[")
        ? plain.slice(1, -1).split("|")
        : [plain];
      return texts.flatMap((text) => choices.map((choice) => text + choice));
    }, [""]);
  });
}

/** Every frame around every task, at the frame's `{task}`. */
export function framed(frames: readonly string[], tasks: readonly string[]): string[] {
  return frames.flatMap((frame) => tasks.map((task) => frame.replace("{task}", () => task)));
}

/** Puts values into the slots of a wording. */
export function filled(wording: string, slots: Slots): string {
  return wording.replace(/\{(\w+)\}/g, (_, name) => slots[name]);
}

/**
 * The slots of a prompt, if a wording could have made it.
 * @returns undefined when the texts around the slots do not fit, or a slot has two values
 */
export function slotsOf(prompt: string, wording: string): Slots | undefined {
  // Most wordings begin otherwise, and need no pattern.
  const [beginning] = wording.split("{", 1);
  if (!prompt.startsWith(beginning)) return undefined;
  const match = patternOf(wording).exec(prompt);
  return match ? { ...match.groups } : undefined;
}

const patterns = new Map<string, RegExp>();

function patternOf(wording: string): RegExp {
  const known = patterns.get(wording);
  if (known) return known;
  const names: string[] = [];
  const source = wording.split(/(\{\w+\})/).map((part) => {
    const [, name] = /^\{(\w+)\}$/.exec(part) ?? [];
    if (name === undefined) return part.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    if (names.includes(name)) return `\\k<${name}>`;
    names.push(name);
    return `(?<${name}>[^\\n]+?)`;
  }).join("");
  const pattern = new RegExp(`^${source}$`);
  patterns.set(wording, pattern);
  return pattern;
}
