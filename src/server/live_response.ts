/** HTTP responses that begin before their body is known. */

/** How a live response looks and what it does while nothing is there to send. */
export interface LiveOptions {
  readonly contentType: string;
  /** Sent after every `seconds` of silence, so that proxies and clients keep the connection. */
  readonly filler: string;
  readonly seconds: number;
  /** Called when the client goes away before the last part. */
  readonly onCancel: (reason: unknown) => void;
}

/**
 * A response (200) that sends each part as it comes.
 *
 * Parts are taken as fast as they come, whether the client reads or not: a stalled reader must not
 * hold the engine. What waits for it is bounded by the answer's length.
 * @param parts when it throws, the connection breaks off with that error
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
 * @returns whether it is fulfilled; rejects with its reason
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
