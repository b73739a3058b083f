/** What is selected in a text, and how long its holes are. */

/** What stands for a hole. */
export const MARK = "___";

/** Puts a mark where words of a field are selected, or where the cursor is; the field can undo it. */
export function maskSelection(field: HTMLTextAreaElement): void {
  field.focus();
  const { selectionStart, selectionEnd, value } = field;
  const chosen = value.slice(selectionStart, selectionEnd);
  // White space around the words stays.
  const start = selectionStart + chosen.length - chosen.trimStart().length;
  const end = Math.max(start, selectionEnd - (chosen.length - chosen.trimEnd().length));
  field.setSelectionRange(start, end);
  // Only this way the browser's own undo knows of it.
  if (!document.execCommand("insertText", false, MARK)) field.setRangeText(MARK, start, end, "end");
}

/** What is selected in an element that shows a text, in characters (Unicode code points). */
export function selectedSpan(
  element: HTMLElement,
  text: string,
): { readonly start: number; readonly end: number } | undefined {
  const selection = getSelection();
  if (!selection || selection.isCollapsed || selection.rangeCount === 0) return undefined;
  const chosen = selection.getRangeAt(0);
  if (!element.contains(chosen.startContainer) || !element.contains(chosen.endContainer)) {
    return undefined;
  }
  const before = document.createRange();
  before.setStart(element, 0);
  before.setEnd(chosen.startContainer, chosen.startOffset);
  const units = before.toString().length;
  const inside = text.slice(units, units + chosen.toString().length);
  const words = inside.trim();
  if (words === "") return undefined;
  const start = [...text.slice(0, units + inside.indexOf(words))].length;
  return { start, end: start + [...words].length };
}

/**
 * Lengths of holes as they are written: nothing, a number for all, or one a hole, with something else
 * than a number where it is searched.
 * @throws {Error} with a sentence, if there are not as many as holes
 */
export function countsOf(
  written: string,
  holes: number,
): number | readonly (number | null)[] | undefined {
  const parts = written.split(/[\s,;]+/).filter((part) => part !== "");
  if (parts.length === 0) return undefined;
  const counts = parts.map((part) => /^\d+$/.test(part) ? Number(part) : null);
  if (counts.length === 1 && counts[0] !== null) return counts[0];
  if (counts.length !== holes) {
    throw new Error(`There are ${holes} holes, and ${counts.length} lengths.`);
  }
  return counts;
}
