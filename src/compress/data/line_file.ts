/** A file of lines that may be larger than memory: where each line begins is known, none is kept. */

const CHUNK_BYTES = 1 << 20;
/** A line is read whole. */
const MAX_LINE_BYTES = 1 << 24;
const NEWLINE = 0x0a;
const SPACE = 0x20;

/** The lines of a file that are not blank. Memory: 12 bytes for each. */
export class LineFile implements Disposable {
  readonly path: string;
  /** Bytes of the file when it was opened. */
  readonly byteLength: number;
  /** Lines that are not blank. */
  readonly count: number;
  readonly #file: Deno.FsFile;
  readonly #starts: Float64Array;
  readonly #numbers: Uint32Array;

  /**
   * Opens a file and reads through it once.
   * @throws {Error} naming the file, and the line that is too long
   */
  constructor(path: string) {
    this.path = path;
    this.#file = opened(path);
    try {
      const index = indexOf(this.#file, path);
      this.#starts = index.starts;
      this.#numbers = index.numbers;
      this.byteLength = index.byteLength;
      this.count = index.starts.length;
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** The text of the `index`-th line that is not blank. @throws when the file has become shorter */
  line(index: number): string {
    const start = this.#starts[index];
    const end = index + 1 < this.count ? this.#starts[index + 1] : this.byteLength;
    const bytes = new Uint8Array(end - start);
    this.#file.seekSync(start, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < bytes.length) {
      const read = this.#file.readSync(bytes.subarray(filled));
      if (read === null) {
        throw new Error(`${this.where(index)}: the file has become shorter while it was read`);
      }
      filled += read;
    }
    return new TextDecoder().decode(bytes);
  }

  /** File and number of a line, for errors. */
  where(index: number): string {
    return `${this.path}:${this.#numbers[index]}`;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function opened(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`${path}: there is no such file`, { cause: error });
  }
}

function indexOf(file: Deno.FsFile, path: string) {
  const starts = new Growing(Float64Array);
  const numbers = new Growing(Uint32Array);
  const chunk = new Uint8Array(CHUNK_BYTES);
  let offset = 0;
  let number = 1;
  let start = 0;
  let blank = true;
  const endLine = (end: number) => {
    if (end - start > MAX_LINE_BYTES) {
      throw new Error(
        `${path}:${number}: the line has ${end - start} bytes, expected at most ${MAX_LINE_BYTES}`,
      );
    }
    if (!blank) {
      starts.push(start);
      numbers.push(number);
    }
  };
  for (;;) {
    const read = file.readSync(chunk);
    if (read === null) break;
    const bytes = chunk.subarray(0, read);
    for (let at = 0; at < read;) {
      const found = bytes.indexOf(NEWLINE, at);
      const end = found < 0 ? read : found;
      while (blank && at < end) blank = bytes[at++] <= SPACE;
      if (found < 0) break;
      endLine(offset + end);
      number++;
      blank = true;
      start = offset + end + 1;
      at = end + 1;
    }
    offset += read;
  }
  endLine(offset);
  return { starts: starts.taken(), numbers: numbers.taken(), byteLength: offset };
}

/** A typed array that grows. */
class Growing<T extends Float64Array | Uint32Array> {
  #values: T;
  #length = 0;

  constructor(type: new (length: number) => T) {
    this.#values = new type(1024);
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new (this.#values.constructor as new (length: number) => T)(2 * this.#length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  taken(): T {
    return this.#values.slice(0, this.#length) as T;
  }
}
