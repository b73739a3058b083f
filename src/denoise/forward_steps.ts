/** Hands on what another generator of steps yields. */

/**
 * Yields `map` of every step, and returns what `steps` returns. A reader that leaves ends `steps` as
 * well, so that its canvas is freed: `yield*` does that, a loop over `next()` does not.
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
