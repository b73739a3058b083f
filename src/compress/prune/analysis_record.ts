/** A file of finished measurements, so that an analysis that was interrupted goes on where it was. */

import { isThere, type JsonObject } from "../../weights/json_file.ts";

/** Lines of JSON: the settings, then one for each measurement that is finished. */
export class AnalysisRecord {
  readonly #file: string;
  readonly #found = new Map<string, unknown>();

  /**
   * Opens a record, or begins one.
   * @param settings everything that the measurements depend on
   * @throws {Error} when the file was begun with other settings: it names them
   */
  constructor(file: string, settings: JsonObject) {
    this.#file = file;
    const begun = isThere(file) ? Deno.readTextFileSync(file) : "";
    // A line without its end was cut off when the process was killed.
    const lines = begun.split("\n").slice(0, -1);
    if (lines.length === 0) {
      Deno.writeTextFileSync(file, JSON.stringify(settings) + "\n");
      return;
    }
    const [first, ...rest] = lines.map((line, i) => parsed(line, `${file}: line ${i + 1}`));
    const different = differences(first as JsonObject, settings);
    if (different.length > 0) {
      throw new Error(
        `${file} was begun with other settings: ${
          different.join("; ")
        }. Give the same ones to go ` +
          "on with it, another --out, or remove it.",
      );
    }
    for (const line of rest) {
      const { name, value } = line as { readonly name: string; readonly value: unknown };
      this.#found.set(name, value);
    }
    if (!begun.endsWith("\n")) {
      Deno.writeTextFileSync(file, lines.map((line) => `${line}\n`).join(""));
    }
  }

  /**
   * A measurement, from the file or made now and written. The type is the caller's to keep.
   * @param isThere false where what belongs to it is gone, so that it has to be made again
   */
  async get<T>(name: string, measure: () => Promise<T>, isThere = true): Promise<T> {
    if (isThere && this.#found.has(name)) return this.#found.get(name) as T;
    const value = await measure();
    Deno.writeTextFileSync(this.#file, JSON.stringify({ name, value }) + "\n", { append: true });
    this.#found.set(name, value);
    return value;
  }
}

function parsed(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`${where} is not JSON: ${(error as Error).message}. Remove the file.`);
  }
}

function differences(begun: JsonObject, settings: JsonObject): string[] {
  return [...new Set([...Object.keys(begun), ...Object.keys(settings)])]
    .filter((key) => JSON.stringify(begun[key]) !== JSON.stringify(settings[key]))
    .map((key) => `${key} ${JSON.stringify(begun[key])}, not ${JSON.stringify(settings[key])}`);
}
