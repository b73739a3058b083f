/** Which bytes of a file are there: spans in order, none touching another. */

/** Bytes from `start` to before `end`. */
export type Span = readonly [start: number, end: number];

/** The spans with one more, which may overlap or touch any of them. */
export function withSpan(spans: readonly Span[], [start, end]: Span): Span[] {
  if (start >= end) return [...spans];
  const before = spans.filter((span) => span[1] < start);
  const after = spans.filter((span) => span[0] > end);
  const touching = spans.slice(before.length, spans.length - after.length);
  const merged: Span = [
    Math.min(start, touching[0]?.[0] ?? start),
    Math.max(end, touching.at(-1)?.[1] ?? end),
  ];
  return [...before, merged, ...after];
}

/** What is missing of the first `bytes` bytes, in pieces of at most `most` bytes. */
export function missingSpans(spans: readonly Span[], bytes: number, most: number): Span[] {
  const missing: Span[] = [];
  let at = 0;
  for (const [start, end] of [...spans, [bytes, bytes] as const]) {
    for (; at < start; at = Math.min(at + most, start)) {
      missing.push([at, Math.min(at + most, start)]);
    }
    at = Math.max(at, end);
  }
  return missing;
}

/** Bytes of all spans. */
export function spannedBytes(spans: readonly Span[]): number {
  return spans.reduce((sum, [start, end]) => sum + end - start, 0);
}

/** Reads spans that were written as JSON; undefined where they are no such spans below `bytes`. */
export function readSpans(value: unknown, bytes: number): Span[] | undefined {
  if (!Array.isArray(value)) return undefined;
  let at = -1;
  for (const span of value) {
    if (!Array.isArray(span) || span.length !== 2 || !span.every(Number.isSafeInteger)) {
      return undefined;
    }
    const [start, end] = span;
    if (start <= at || end <= start || end > bytes) return undefined;
    at = end;
  }
  return value;
}
