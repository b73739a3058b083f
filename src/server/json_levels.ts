/** How deep JSON may be. */

/**
 * Arrays and objects within each other, at most. Readers call themselves for each level, and a value of
 * some thousands gets lost on its way to the engine's thread: nobody would answer it.
 */
export const MOST_LEVELS = 256;

/** Whether a text that is JSON is deeper than that; takes no stack. */
export function isTooDeep(text: string): boolean {
  let level = 0;
  let isString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (isString) {
      if (character === "\\") i++;
      else isString = character !== '"';
    } else if (character === '"') isString = true;
    else if (character === "[" || character === "{") level++;
    else if (character === "]" || character === "}") level--;
    if (level > MOST_LEVELS) return true;
  }
  return false;
}
