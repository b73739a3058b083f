/**
 * The names of `@std/assert` that the tests use, over `node:assert/strict`: JSR is not reachable
 * everywhere that these tests run. To swap: `"@std/assert": "jsr:@std/assert@1"` in deno.json.
 */
import nodeAssert from "node:assert/strict";

/** Throws when `value` is falsy. */
export function assert(value: unknown, message?: string): asserts value {
  nodeAssert.ok(value, message ?? "expected a truthy value");
}

/** Throws when the two are not deeply, strictly equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (message === undefined) nodeAssert.deepStrictEqual(actual, expected);
  else nodeAssert.deepStrictEqual(actual, expected, message);
}

/** Throws when the two are deeply, strictly equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  if (message === undefined) nodeAssert.notDeepStrictEqual(actual, expected);
  else nodeAssert.notDeepStrictEqual(actual, expected, message);
}

/** Throws when `|actual - expected| > tolerance`, or either is NaN. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance = 1e-7,
  message?: string,
): void {
  nodeAssert.ok(
    Math.abs(actual - expected) <= tolerance,
    message ?? `expected ${expected} within ${tolerance}, found ${actual}`,
  );
}

/** Throws when `text` does not match `pattern`. */
export function assertMatch(text: string, pattern: RegExp, message?: string): void {
  nodeAssert.match(text, pattern, message ?? `expected ${pattern} in: ${text}`);
}

/** Throws when `text` does not hold `part`. */
export function assertStringIncludes(text: string, part: string, message?: string): void {
  nodeAssert.ok(text.includes(part), message ?? `expected ${JSON.stringify(part)} in: ${text}`);
}

type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

function checkError<E extends Error>(error: unknown, kind?: ErrorClass<E>, part?: string): E {
  nodeAssert.ok(error instanceof Error, `expected an Error, found ${String(error)}`);
  if (kind) {
    nodeAssert.ok(error instanceof kind, `expected ${kind.name}, found ${error.name}: ${error}`);
  }
  if (part) assertStringIncludes(error.message, part);
  return error as E;
}

/** Runs `body`, which must throw; returns the error. */
export function assertThrows<E extends Error = Error>(
  body: () => unknown,
  kind?: ErrorClass<E>,
  part?: string,
): E {
  try {
    body();
  } catch (error) {
    return checkError(error, kind, part);
  }
  throw new nodeAssert.AssertionError({ message: "expected a throw, found none" });
}

/** Runs `body`, whose promise must reject; resolves to the error. */
export async function assertRejects<E extends Error = Error>(
  body: () => PromiseLike<unknown>,
  kind?: ErrorClass<E>,
  part?: string,
): Promise<E> {
  try {
    await body();
  } catch (error) {
    return checkError(error, kind, part);
  }
  throw new nodeAssert.AssertionError({ message: "expected a rejection, found none" });
}
