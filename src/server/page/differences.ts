/** What two texts do not share. Nothing here knows the browser. */

/** A word with the white space before it, and whether the other text has it at this place. */
export interface Word {
  readonly text: string;
  readonly shared: boolean;
}

/** The words of two texts; those of a longest common sequence are shared. */
export function differences(
  left: string,
  right: string,
): readonly [readonly Word[], readonly Word[]] {
  const [a, b] = [wordsOf(left), wordsOf(right)];
  // Lengths of the longest common sequences of what is left of both.
  const longest = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i][j] = a[i] === b[j]
        ? longest[i + 1][j + 1] + 1
        : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const sharedA = new Set<number>();
  const sharedB = new Set<number>();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      sharedA.add(i++);
      sharedB.add(j++);
    } else if (longest[i + 1][j] >= longest[i][j + 1]) i++;
    else j++;
  }
  const told = (words: readonly string[], shared: ReadonlySet<number>) =>
    words.map((text, index) => ({ text, shared: shared.has(index) }));
  return [told(a, sharedA), told(b, sharedB)];
}

function wordsOf(text: string): readonly string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}
