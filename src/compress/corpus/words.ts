/** The words of the corpus. */

/** Names of functions. */
export const FUNCTIONS: readonly string[] = words(
  "step compute calc combine apply helper process solve update handle build run",
);
/** Names of variables. */
export const VARIABLES: readonly string[] = words("a b c m n p q x y z");
/** Names of lists. */
export const LISTS: readonly string[] = words("nums values items data scores words xs list_a");
/** People whose pronoun is `she`. */
export const WOMEN: readonly string[] = words("Ana Eva Ivy Lily Mia Nora Ruby Zoe");
/** People whose pronoun is `he`. */
export const MEN: readonly string[] = words("Ben Finn Hugo Leo Max Noah Sam Tom");
/** All people. */
export const PEOPLE: readonly string[] = [...WOMEN, ...MEN];
/** What people have. */
export const THINGS: readonly string[] = words(
  "apples coins kites books eggs cups shells stars stones cards pens pears",
);
/** What things lie in. */
export const HOLDERS: readonly string[] = words("boxes bags jars");
/** Of what stories tell. */
export const ANIMALS: readonly string[] = words("cat dog fox owl frog duck rabbit mouse bear hen");
/** How they are. */
export const ADJECTIVES: readonly string[] = words(
  "brave happy quiet clever small old young kind",
);
/** Where stories happen, and the beginning of the sentence about the spot. */
export const PLACES: Readonly<Record<string, string>> = {
  river: "Near the cold water",
  meadow: "Among the flowers",
  forest: "Under a tall tree",
  hill: "Beside a big rock",
  garden: "Behind the roses",
  cave: "In the dark",
  village: "By the old well",
  beach: "In the soft sand",
};
/** What is found, and the sentence about it. */
export const OBJECTS: Readonly<Record<string, string>> = {
  boat: "They sailed until night.",
  ring: "It shone like the sun.",
  drum: "Everyone danced to the beat.",
  bell: "It rang all day long.",
  key: "It opened a tiny door.",
  rope: "It was strong and long.",
  lamp: "The light was warm and bright.",
  map: "It showed the way home.",
  hat: "It was a perfect fit.",
  book: "They read it together.",
};

/** `she` or `he`, after the name. */
export function pronounOf(name: string): "she" | "he" {
  return WOMEN.includes(name) ? "she" : "he";
}

/** A word with a capital letter. */
export function capital(word: string): string {
  return word[0].toUpperCase() + word.slice(1);
}

/** `a` or `an`, as it sounds. */
export function articleOf(word: string): "a" | "an" {
  return /^[aeiou]/.test(word) ? "an" : "a";
}

/** The words of a text. */
export function words(text: string): string[] {
  return text.split(" ");
}
