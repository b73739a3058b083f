/** Tests that not every machine can run. No other file may ignore a test: a reason is always told. */

/** The end of a skipped test's name, which tells why it is; `summary.ts` lists it. */
export const REASON = / \(not run: (.*)\)$/;

/**
 * Name and `ignore` of a test.
 * @param reason why this machine cannot run it; undefined where it can
 */
export function skipIf(
  reason: string | undefined,
  name: string,
): { readonly name: string; readonly ignore: boolean } {
  const ignore = reason !== undefined;
  return { name: ignore ? `${name} (not run: ${reason})` : name, ignore };
}
