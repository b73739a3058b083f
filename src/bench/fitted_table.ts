/**
 * Tables that fit the terminal: cells are wrapped where a table is too wide, and where even that does
 * not help, each row becomes a list of its cells. Off a terminal a table is as wide as it is.
 */

import Table from "cli-table3";

/** A column is not made narrower than this, unless all of it is. */
const NARROWEST = 10;
/** Columns that a cell takes besides its text, and the table besides its cells. */
const CELL = 3;
const EDGE = 1;

/** How a table is drawn. */
export interface TableStyle {
  readonly head?: readonly string[];
  /** Lines between rows: all (default), below the head only, or none. */
  readonly rules?: "all" | "head" | "none";
  /** Where it is printed (default: standard output). */
  readonly stream?: "stdout" | "stderr";
}

/** A table under construction. */
export class FittedTable {
  readonly #style: TableStyle;
  readonly #rows: string[][] = [];

  constructor(style: TableStyle = {}) {
    this.#style = style;
  }

  /** Adds rows. */
  push(...rows: readonly (readonly (string | number)[])[]): void {
    for (const row of rows) this.#rows.push(row.map(String));
  }

  /** @param columns columns that it may take (default: those of the terminal) */
  toString(columns: number = terminalColumns(this.#style.stream)): string {
    const { head = [], rules = "all" } = this.#style;
    const all = head.length > 0 ? [[...head], ...this.#rows] : this.#rows;
    const widths = fittingWidths(all, columns);
    if (widths === undefined) return asLists(head, this.#rows, columns);
    const wrapped = all.map((row) =>
      row.map((cell, i) => wrapText(cell, widths[i] ?? columns).join("\n"))
    );
    const none = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };
    const table = new Table({
      head: head.length > 0 ? wrapped[0] : [],
      ...rules === "none" ? { chars: none } : {},
      style: { head: [], border: [], compact: rules === "head" },
    });
    table.push(...head.length > 0 ? wrapped.slice(1) : wrapped);
    return table.toString();
  }
}

/** Columns of the terminal that a stream is; Infinity if it is none. */
export function terminalColumns(stream: "stdout" | "stderr" = "stdout"): number {
  if (!Deno[stream].isTerminal()) return Infinity;
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** Widths of columns with which rows fit; undefined if none do. */
function fittingWidths(
  rows: readonly (readonly string[])[],
  columns: number,
): readonly number[] | undefined {
  const count = Math.max(0, ...rows.map(({ length }) => length));
  const widest = (split: RegExp) =>
    Array.from(
      { length: count },
      (_, i) =>
        Math.max(
          0,
          ...rows.flatMap((row) => (row[i] ?? "").split(split).map((text) => columnsOf(text))),
        ),
    );
  const widths = widest(/\n/);
  const words = widest(/\s+/);
  let excess = widths.reduce(plus, 0) - (columns - EDGE - CELL * count);
  // Words are broken only where wrapping is not enough. The widest column gives way first.
  for (const least of [words, words.map((width) => Math.min(width, NARROWEST))]) {
    while (excess > 0) {
      const [at] = [...widths.keys()].filter((i) => widths[i] > least[i])
        .sort((a, b) => widths[b] - widths[a]);
      if (at === undefined) break;
      widths[at]--;
      excess--;
    }
  }
  return excess > 0 ? undefined : widths;
}

function plus(a: number, b: number): number {
  return a + b;
}

/** Rows as lists, for a terminal that is too narrow for the table. */
function asLists(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number,
): string {
  const names = head.map((name) => name.replaceAll("\n", " "));
  const width = Math.min(
    Math.max(0, ...names.map((text) => columnsOf(text))),
    Math.floor(columns / 2),
  );
  return rows.map((row) => {
    const begins = row.findIndex((cell) => cell !== "");
    return row.flatMap((cell, i) => {
      if (cell === "") return [];
      const texts = wrapText(cell, Math.max(1, columns - width - 4));
      const labels = wrapText(names[i] ?? "", Math.max(1, width));
      const indent = i === begins ? "" : "  ";
      return Array.from(
        { length: Math.max(texts.length, labels.length) },
        (_, line) => `${indent}${pad(labels[line] ?? "", width)}  ${texts[line] ?? ""}`.trimEnd(),
      );
    }).join("\n");
  }).join("\n");
}

/** Characters that take two columns; combining marks take none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Emoji_Presentation}/gu;
const NARROW = /\p{M}/gu;

/**
 * Columns that a text takes on a terminal. Nearly as string-width counts, which every command that
 * has a table would have to load: tables hold names and figures.
 */
function columnsOf(text: string): number {
  const wide = text.match(WIDE)?.length ?? 0;
  return Array.from(text).length + wide - (text.match(NARROW)?.length ?? 0);
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - columnsOf(text)));
}

/** Wraps a text at spaces into lines of at most `width` columns; a longer word is broken. */
export function wrapText(text: string, width: number): string[] {
  return text.split("\n").flatMap((line) => {
    if (columnsOf(line) <= width) return [line];
    const lines: string[] = [];
    let current = "";
    for (let word of line.split(/ +/)) {
      while (true) {
        const joined = current === "" ? word : `${current} ${word}`;
        if (columnsOf(joined) <= width) {
          current = joined;
          break;
        }
        if (current !== "") {
          lines.push(current);
          current = "";
          continue;
        }
        // At least one character, however narrow it is.
        const characters = Array.from(word);
        let end = 1;
        while (
          end < characters.length && columnsOf(characters.slice(0, end + 1).join("")) <= width
        ) {
          end++;
        }
        lines.push(characters.slice(0, end).join(""));
        word = characters.slice(end).join("");
        if (word === "") break;
      }
    }
    return current === "" ? lines : [...lines, current];
  });
}
