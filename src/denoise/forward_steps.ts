/** Passes on the steps of another generator. */

/**
 * Yields `map` of every step, and returns what `steps` returns. If the reader stops early, `steps`
 * is ended too, so that its canvas is freed: `yield*` does that, but a loop over `next()` does not.
 */
export async function* forwardSteps<Step, Mapped, Result>(
  steps: AsyncGenerator<Step, Result, void>,
  map: (step: Step) => Mapped,
): AsyncGenerator<Mapped, Result, void> {
  let next = await steps.next();
  try {
    for (; !next.done; next = await steps.next()) {
      yield map(next.value);
    }
    return next.value;
  } finally {
    if (!next.done) await steps.return(undefined as never);
  }
}
