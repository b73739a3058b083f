/**
 * A file that is being fetched in pieces. Beside it stands a record of the pieces that are there, so
 * that a process that was killed goes on where it was. A piece is written before the record tells of it.
 *
 * Its name is not the one that the hub's own tools give to theirs, `ETAG.incomplete`: they append to
 * such a file and take one of full length for complete, and this one may have holes.
 */

import { createHash, type Hash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { HubFile } from "./api.ts";
import { missingSpans, readSpans, type Span, spannedBytes, withSpan } from "./ranges.ts";

/** End of the names of files that are being fetched. */
export const PARTIAL = ".unmask.incomplete";
const RECORD = ".unmask.ranges";
const MAX_RECORD = 2 ** 20;
/** Milliseconds between two records: what a kill costs at most, in time. */
const RECORD_INTERVAL = 500;
/** Bytes that are hashed before other work has its turn. */
const HASH_STEP = 4 * 2 ** 20;

/** The path of a blob's beginning. */
export function partialPath(blobs: string, etag: string): string {
  return join(blobs, etag + PARTIAL);
}

/** A blob until it is complete. Close it with `using`: what came so far is recorded then. */
export class PartialFile implements Disposable {
  readonly file: HubFile;
  readonly #path: string;
  readonly #record: string;
  readonly #final: string;
  #handle: number | undefined;
  #spans: readonly Span[];
  #recorded = performance.now();
  #hash: Hash;
  #hashed = 0;

  /** @param blobs the folder, which must be there */
  constructor(blobs: string, file: HubFile) {
    this.file = file;
    this.#path = partialPath(blobs, file.etag);
    this.#record = join(blobs, file.etag + RECORD);
    this.#final = join(blobs, file.etag);
    this.#handle = openSync(this.#path, constants.O_RDWR | constants.O_CREAT, 0o666);
    const { size } = fstatSync(this.#handle);
    // What is beyond would not be hashed.
    if (size > file.bytes) ftruncateSync(this.#handle, file.bytes);
    this.#spans = this.#readRecord(size);
    this.#hash = hashFor(this.file);
  }

  /** Bytes that are there. */
  get bytes(): number {
    return spannedBytes(this.#spans);
  }

  get isWhole(): boolean {
    return this.bytes === this.file.bytes;
  }

  /** What is missing, in pieces of at most `most` bytes. */
  missing(most: number): Span[] {
    return missingSpans(this.#spans, this.file.bytes, most);
  }

  /** Writes bytes at their place. */
  write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(this.#open, bytes, done, bytes.length - done, at + done);
    }
    this.#spans = withSpan(this.#spans, [at, at + bytes.length]);
    // What is still in the system's memory is read again at once.
    this.#hashOn(HASH_STEP);
    if (performance.now() - this.#recorded >= RECORD_INTERVAL) this.record();
  }

  /** Records what is there, for another process to go on. */
  record(): void {
    const { bytes } = this.file;
    Deno.writeTextFileSync(`${this.#record}.part`, JSON.stringify({ bytes, spans: this.#spans }));
    Deno.renameSync(`${this.#record}.part`, this.#record);
    this.#recorded = performance.now();
  }

  /** The hash of the whole file, in hexadecimal digits. It can be asked for once. */
  async digest(signal: AbortSignal): Promise<string> {
    while (this.#hashOn(HASH_STEP)) {
      await new Promise((resolve) => setTimeout(resolve));
      signal.throwIfAborted();
    }
    return this.#hash.digest("hex");
  }

  /** Forgets all bytes. */
  clear(): void {
    this.#spans = [];
    this.#hashed = 0;
    this.#hash = hashFor(this.file);
    this.record();
  }

  /** Gives the file its final name, once its hash is right. */
  complete(): void {
    fsyncSync(this.#open);
    this.#close();
    Deno.renameSync(this.#path, this.#final);
    removeIfThere(this.#record);
  }

  [Symbol.dispose](): void {
    if (this.#handle === undefined) return;
    this.#close();
    try {
      this.record();
    } catch {
      // The disk is full: an older record tells of less, and this is no time for another error.
    }
  }

  get #open(): number {
    if (this.#handle === undefined) throw new Error(`${this.#path} is closed`);
    return this.#handle;
  }

  #close(): void {
    closeSync(this.#open);
    this.#handle = undefined;
  }

  /** Hashes on, in order, as far as bytes are there. @returns whether there is more */
  #hashOn(most: number): boolean {
    const [first] = this.#spans;
    const end = first?.[0] === 0 ? first[1] : 0;
    const buffer = new Uint8Array(Math.min(most, end - this.#hashed));
    if (buffer.length === 0) return false;
    const read = readSync(this.#open, buffer, 0, buffer.length, this.#hashed);
    if (read === 0) throw new Error(`${this.#path} has become shorter: another program changes it`);
    this.#hash.update(buffer.subarray(0, read));
    this.#hashed += read;
    return this.#hashed < end;
  }

  #readRecord(size: number): Span[] {
    try {
      if (Deno.statSync(this.#record).size > MAX_RECORD) return [];
      const { bytes, spans } = JSON.parse(Deno.readTextFileSync(this.#record));
      if (bytes !== this.file.bytes) return [];
      // Beyond the end of the file nothing was written, whatever the record says.
      return readSpans(spans, Math.min(size, bytes)) ?? [];
    } catch {
      return [];
    }
  }
}

/** The hash of a file, before its first byte. */
export function hashFor({ hash, bytes }: HubFile): Hash {
  if (hash === "sha256") return createHash("sha256");
  return createHash("sha1").update(`blob ${bytes}\0`);
}

/** Removes what is left of a blob's beginning when the blob has come another way. */
export function removePartial(blobs: string, etag: string): void {
  removeIfThere(partialPath(blobs, etag));
  removeIfThere(join(blobs, etag + RECORD));
}

/** Removes a file, or nothing. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
