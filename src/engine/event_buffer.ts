/** A buffer of events between a producer and a reader that run at different speeds. */

/**
 * Keeps events until they are read, for one reader. A reader that stops does not stop the producer,
 * and so no other request; what is kept is bounded by the answer, which has an event for each step.
 */
export class EventBuffer<T> {
  readonly #events: T[] = [];
  #over = false;
  #error: { readonly reason: unknown } | undefined;
  #wake: () => void = () => {};

  /** Takes an event. */
  push(event: T): void {
    this.#events.push(event);
    this.#wake();
  }

  /** Tells that no more events come, or what went wrong; what is told first counts. */
  end(error?: { readonly reason: unknown }): void {
    if (!this.#over) this.#error = error;
    this.#over = true;
    this.#wake();
  }

  /** Takes all events of `source`; resolves when it ends, also when it throws. */
  async fill(source: AsyncIterable<T>): Promise<void> {
    try {
      for await (const event of source) this.push(event);
      this.end();
    } catch (reason) {
      this.end({ reason });
    }
  }

  /** Yields the events in order. @throws what the source threw, after the events before it */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) yield event;
      else if (this.#error) throw this.#error.reason;
      else if (this.#over) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
