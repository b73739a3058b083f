/** Bodies that were compressed with gzip. */

/** Bytes that are expanded at once: deflate makes at most 1032 times as many of them. */
const PIECE = 1024;

/**
 * Expands a body piece by piece, no faster than it is read. The readable side fails with
 * {@linkcode NotGzip} where the body is no gzip, or is cut, and otherwise as the body fails.
 * @param maxBytes most bytes that are taken of the body; behind them it is cut off
 */
export function gunzip(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const { writable, readable } = new DecompressionStream("gzip");
  const writer = writable.getWriter();
  const expanded = readable.getReader();
  let broken: unknown;
  const feed = async () => {
    let taken = 0;
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        broken = error;
        throw error;
      });
      if (done || taken > maxBytes) break;
      taken += value.byteLength;
      for (let at = 0; at < value.byteLength; at += PIECE) {
        await writer.write(value.slice(at, at + PIECE));
      }
    }
    await writer.close();
  };
  const fed = feed().catch(() => writer.abort().catch(() => {}))
    .finally(() => reader.cancel().catch(() => {}));
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { done, value } = await expanded.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        await fed;
        throw broken ?? new NotGzip("the body is not gzip", { cause: error });
      }
    },
    async cancel() {
      await expanded.cancel().catch(() => {});
      await reader.cancel().catch(() => {});
    },
  });
}

/** The error of a body that is no gzip, or not to its end. */
export class NotGzip extends Error {
  override name = "NotGzip";
}
