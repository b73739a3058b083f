/**
 * Results of examples, each kept in a file as soon as it is there: a line of JSON for the settings, then
 * one for every example. A run that was killed goes on from them.
 */

/** Values by which a run is known again; each is text, a number or a list of them. */
export type RunSettings = Readonly<Record<string, unknown>>;

/** An open file of results. */
export class KeptResults<T> implements Disposable {
  readonly path: string;
  readonly #results: Map<number, T>;
  readonly #file: Deno.FsFile;

  /**
   * Opens a file or begins one.
   * @throws {Error} naming the setting that differs from the file's, or what the file is not
   */
  constructor(path: string, settings: RunSettings) {
    this.path = path;
    this.#file = Deno.openSync(path, { read: true, write: true, create: true });
    try {
      const text = Deno.readTextFileSync(path);
      // A run that was killed while it wrote leaves part of a line, which is written anew.
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      const [first, ...lines] = whole.split("\n").slice(0, -1).map((line, i) =>
        parse(line, `${path}:${i + 1}`)
      );
      this.#file.truncateSync(new TextEncoder().encode(whole).length);
      this.#file.seekSync(0, Deno.SeekMode.End);
      if (first === undefined) this.#write({ settings });
      else checkSettings(path, first.settings, settings);
      this.#results = new Map(lines.map((line) => [line.example as number, line.result as T]));
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** Results by the number of their example. */
  get results(): ReadonlyMap<number, T> {
    return this.#results;
  }

  /** Adds the result of an example; it is on the disk when this returns. */
  add(example: number, result: T): void {
    this.#write({ example, result });
    this.#file.syncDataSync();
    this.#results.set(example, result);
  }

  #write(line: unknown): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    for (let written = 0; written < bytes.length;) {
      written += this.#file.writeSync(bytes.subarray(written));
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function parse(line: string, where: string): Record<string, unknown> {
  try {
    const json = JSON.parse(line);
    if (typeof json === "object" && json !== null) return json;
  } catch {
    // Told below.
  }
  throw new Error(`${where} is no line of kept results: remove the file, or name another folder`);
}

function checkSettings(path: string, kept: unknown, settings: RunSettings): void {
  const before = (kept ?? {}) as Record<string, unknown>;
  for (const name of new Set([...Object.keys(before), ...Object.keys(settings)])) {
    const [was, is] = [before[name], settings[name]].map((value) => JSON.stringify(value));
    if (was === is) continue;
    throw new Error(
      `${path} holds results of another run: ${name} was ${was ?? "not given"}, now ` +
        `${is ?? "not given"}. Give what it was, or name another folder.`,
    );
  }
}
