/** HTTP responses that begin before their body is known. */

/** Options of a live response. */
export interface LiveOptions {
  readonly contentType: string;
  /**
   * Text sent after every `seconds` of silence, so that proxies and clients keep the connection.
   */
  readonly filler: string;
  readonly seconds: number;
  /** Called when the client goes away before the last part. */
  readonly onCancel: (reason: unknown) => void;
}

/**
 * A response (200) that sends each part as it comes.
 *
 * Parts are taken as fast as they come, even if the client does not read, because a stalled reader
 * must not block the engine. The parts that wait are bounded by the answer's length.
 * @param parts the parts; an error of theirs breaks off the connection
 */
export function liveResponse(parts: AsyncIterable<string>, options: LiveOptions): Response {
  const encoder = new TextEncoder();
  let timer: ReturnType<typeof setInterval> | undefined;
  let open = true;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const write = (text: string) => controller.enqueue(encoder.encode(text));
      const awaitSilence = () => {
        clearInterval(timer);
        timer = setInterval(() => write(options.filler), options.seconds * 1000);
      };
      const run = async () => {
        try {
          for await (const part of parts) {
            if (!open) continue;
            write(part);
            awaitSilence();
          }
          if (open) controller.close();
        } catch (error) {
          if (open) controller.error(error);
        } finally {
          open = false;
          clearInterval(timer);
        }
      };
      awaitSilence();
      void run();
    },
    cancel(reason) {
      open = false;
      clearInterval(timer);
      options.onCancel(reason);
    },
  });
  return new Response(body, {
    headers: {
      "Content-Type": options.contentType,
      "Cache-Control": "no-cache, no-transform",
      "X-Accel-Buffering": "no",
    },
  });
}

/**
 * Waits for a promise for at most `seconds`.
 * @returns whether the promise was fulfilled in time; rejects with its reason if it was rejected
 */
export async function settles(promise: Promise<unknown>, seconds: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), seconds * 1000);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
