/** Files of training data: jsonl of any size, or a JSON file laid out like models/eval-public.json. */

import { type Example, exampleOf, parseExample } from "./example.ts";
import { LineFile } from "./line_file.ts";

/** A file of data, and how much of the samples comes from it. */
export interface DataFileName {
  readonly path: string;
  /** Above 0; shares need not add up to 1. */
  readonly share?: number;
}

/** Examples that are read one at a time. */
export interface ExampleSource extends Disposable {
  readonly path: string;
  readonly count: number;
  /** Bytes of the file when it was opened: data that changes between runs can be told. */
  readonly byteLength: number;
  /** @throws {Error} naming file and line of what cannot be read */
  example(index: number): Example;
  /** File and line, for errors. */
  where(index: number): string;
}

/** Reads `FILE` or `FILE:SHARE`, as in `train.jsonl:0.4`. @throws when the share is not above 0 */
export function parseDataFile(text: string): DataFileName {
  const [, path, share] = /^(.+):(-?[\d.]+(?:e-?\d+)?)$/.exec(text) ?? [];
  if (share === undefined) return { path: text };
  if (!(Number(share) > 0 && Number.isFinite(Number(share)))) {
    throw new Error(`${text}: the share is ${share}, expected a number above 0, as in FILE:0.4`);
  }
  return { path, share: Number(share) };
}

/**
 * Opens a file of data. One whose name ends in `.json` is read whole, and has a list `items`.
 * @throws {Error} when it is not there, or has no line
 */
export function openDataFile(path: string): ExampleSource {
  if (path.endsWith(".json")) return openItems(path);
  const lines = new LineFile(path);
  if (lines.count === 0) {
    lines[Symbol.dispose]();
    throw new Error(`${path}: the file has no line, expected one JSON object a line`);
  }
  return {
    path,
    count: lines.count,
    byteLength: lines.byteLength,
    example: (index) => parseExample(lines.line(index), lines.where(index)),
    where: (index) => lines.where(index),
    [Symbol.dispose]: () => lines[Symbol.dispose](),
  };
}

function openItems(path: string): ExampleSource {
  let text: string;
  let json: { readonly items?: unknown } | null;
  try {
    text = Deno.readTextFileSync(path);
    json = JSON.parse(text);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error(`${path}: there is no such file`);
    if (error instanceof SyntaxError) throw new Error(`${path}: not JSON: ${error.message}`);
    throw error;
  }
  const items: unknown = json?.items;
  if (!Array.isArray(items) || items.length === 0) {
    throw new Error(`${path}: items is missing or empty. Lines of JSON belong in a .jsonl file.`);
  }
  const where = (index: number) => `${path}: items[${index}]`;
  return {
    path,
    count: items.length,
    byteLength: new TextEncoder().encode(text).length,
    example: (index) => exampleOf(items[index], where(index)),
    where,
    [Symbol.dispose]() {},
  };
}
