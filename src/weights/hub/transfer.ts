/** Fetches the files of a revision: several at once, large ones in several pieces. */

import { checkAnswer, fileAddress, type HubFile } from "./api.ts";
import { PartialFile } from "./partial_file.ts";
import type { Span } from "./ranges.ts";
import { ask, type Asking, HubError, PassingError, patiently } from "./requests.ts";

/** What is fetched, and how. */
export interface TransferOptions {
  readonly repo: string;
  readonly commit: string;
  /** Folder of the blobs, which must be there. */
  readonly blobs: string;
  /** Pieces that are fetched at one time. */
  readonly connections?: number;
  /** Bytes of a piece. */
  readonly pieceBytes?: number;
  /** Called with the bytes that are there of all files. */
  readonly onBytes?: (bytes: number) => void;
  /** Called when a file has its final name. */
  readonly onFile: (file: HubFile) => void;
}

/** Pieces that are fetched at one time, if nothing else is said. */
export const CONNECTIONS = 8;
const PIECE_BYTES = 32 * 2 ** 20;
/** Tries in a row without a byte, some two minutes: who fetches for an hour may lose the network for one. */
const TRIES = 10;

/** A file on its way. */
interface Coming {
  readonly partial: PartialFile;
  /** Pieces that nobody fetches yet, in order. */
  waiting: Span[];
  /** Pieces that are not there yet; one until the hash is compared. */
  open: number;
  /** Whether it is fetched again because its hash was wrong. */
  again: boolean;
  /** Where the hub sends on to: asked once, as long as it works. */
  address?: URL;
}

/**
 * Fetches files; each gets its name among the blobs when its hash is right. What came of a file is
 * kept when the transfer ends early.
 * @throws {HubError} naming the file, when its content is wrong twice
 */
export async function transfer(
  outer: Asking,
  files: readonly HubFile[],
  options: TransferOptions,
): Promise<void> {
  // The first error ends all connections.
  const failed = new AbortController();
  const asking = { tries: TRIES, ...outer, signal: AbortSignal.any([outer.signal, failed.signal]) };
  using opened = new DisposableStack();
  const { pieceBytes = PIECE_BYTES, connections = CONNECTIONS, blobs } = options;
  const coming: Coming[] = [...files].sort((a, b) => a.bytes - b.bytes).map((file) => {
    const partial = opened.use(new PartialFile(blobs, file));
    const waiting = piecesOf(partial, pieceBytes);
    return { partial, waiting, open: waiting.length, again: false };
  });
  const report = () => {
    options.onBytes?.(coming.reduce((sum, { partial }) => sum + partial.bytes, 0));
  };
  report();
  // A file whose hash is wrong has pieces for everybody again.
  let turn = Promise.withResolvers<void>();
  const work = async () => {
    for (;;) {
      const file = coming.find(({ waiting }) => waiting.length > 0);
      if (!file) {
        if (coming.every(({ open }) => open === 0)) return;
        await turn.promise;
        asking.signal.throwIfAborted();
        continue;
      }
      const piece = file.waiting.shift()!;
      await fetchPiece(asking, options, file, piece, report);
      if (file.open > 1) {
        file.open--;
        continue;
      }
      await finish(asking, options, file, pieceBytes);
      report();
      turn.resolve();
      turn = Promise.withResolvers();
    }
  };
  try {
    const workers = Array.from({ length: connections }, async () => {
      try {
        await work();
      } catch (error) {
        failed.abort(error);
        turn.resolve();
        throw error;
      }
    });
    await Promise.allSettled(workers);
    outer.signal.throwIfAborted();
    await Promise.all(workers);
  } catch (error) {
    outer.signal.throwIfAborted();
    throw failed.signal.aborted ? failed.signal.reason : error;
  }
}

/** At least one, so that an empty file is finished, too, and one that only lacks its name. */
function piecesOf(partial: PartialFile, most: number): Span[] {
  const pieces = partial.missing(most);
  return pieces.length > 0 ? pieces : [[0, 0]];
}

/** Compares the hash of a file that is there, and gives it its name. */
async function finish(
  asking: Asking,
  { repo, onFile }: TransferOptions,
  file: Coming,
  pieceBytes: number,
): Promise<void> {
  const { partial } = file;
  const { name, etag, hash } = partial.file;
  const found = await partial.digest(asking.signal);
  if (found === etag) {
    file.open = 0;
    partial.complete();
    onFile(partial.file);
    return;
  }
  partial.clear();
  if (file.again) {
    throw new HubError(
      `${repo}: ${name} came twice with another content: its ${hash} is ${found}, and ${etag} by ` +
        "the hub's own list. Nothing of it is kept.",
    );
  }
  file.again = true;
  file.address = undefined;
  file.waiting = piecesOf(partial, pieceBytes);
  file.open = file.waiting.length;
}

/** Fetches one piece, over as many connections as it takes. */
async function fetchPiece(
  asking: Asking,
  { repo, commit }: TransferOptions,
  file: Coming,
  [start, end]: Span,
  report: () => void,
): Promise<void> {
  const { name, bytes } = file.partial.file;
  const hub = fileAddress(asking, repo, commit, name);
  let at = start;
  if (at >= end) return;
  await patiently(asking, `${repo}: ${name}`, async (progress) => {
    const known = file.address;
    await using answer = await ask(asking, known ?? hub, {
      headers: { Range: `bytes=${at}-${end - 1}` },
    });
    try {
      await checkAnswer(asking, answer, { repo, revision: commit, file: name });
    } catch (error) {
      // The hub signs addresses for some time only.
      if (known && file.address === known) file.address = undefined;
      throw error;
    }
    if (answer.url.href !== hub) file.address = answer.url;
    let skip = at - startOf(answer.response, at, bytes);
    for await (const piece of answer.pieces()) {
      const own = piece.subarray(Math.min(skip, piece.length), skip + end - at);
      skip = Math.max(0, skip - piece.length);
      if (own.length === 0) continue;
      file.partial.write(at, own);
      at += own.length;
      progress();
      report();
      if (at >= end) return;
    }
    throw new PassingError("the connection ended early");
  });
}

/** The byte that an answer begins with: a server without ranges sends the whole file. */
function startOf({ status, headers }: Response, asked: number, bytes: number): number {
  if (status !== 206) return 0;
  const range = headers.get("content-range") ?? "";
  const [, start, all] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  if (Number(start) !== asked || (all !== "*" && Number(all) !== bytes)) {
    throw new PassingError(`the server sends ${range || "an unnamed part"} of ${bytes} bytes`);
  }
  return asked;
}
