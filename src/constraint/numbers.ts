/** Numbers within bounds, as languages of their decimal texts. */

import {
  byteRange,
  choice,
  EMPTY,
  type Language,
  literal,
  type Maybe,
  sequence,
} from "./language.ts";
import { list } from "./language.ts";

/** A bound, and whether the bound itself is outside. */
export interface Bound {
  readonly value: number;
  readonly strict: boolean;
}

/** Digits before the point: with fewer, every integer is exact in a double. */
const INTEGER_DIGITS = 15;
const LARGEST = 10 ** INTEGER_DIGITS - 1;
/** Digits behind the point. */
const FRACTION_DIGITS = 6;

const DIGIT = byteRange(0x30, 0x39);
const POINT = literal(".");
const MINUS = literal("-");

function digit(low: number, high: number): Language {
  return byteRange(0x30 + low, 0x30 + high);
}

/** Integers from `low` to `high`, of at most 15 digits; without bounds all of them. */
export function integers(low?: Bound, high?: Bound): Maybe {
  if (!low && !high) {
    return sequence(choice(EMPTY, MINUS), choice(literal("0"), withoutZero(INTEGER_DIGITS)));
  }
  const least = low === undefined ? -LARGEST : Math.ceil(low.value) +
    (low.strict && Number.isInteger(low.value) ? 1 : 0);
  const most = high === undefined ? LARGEST : Math.floor(high.value) -
    (high.strict && Number.isInteger(high.value) ? 1 : 0);
  return wholes(Math.max(least, -LARGEST), Math.min(most, LARGEST));
}

/** Decimals without an exponent, with at most 6 digits behind the point. */
export function decimals(low?: Bound, high?: Bound): Maybe {
  if (!low && !high) {
    const fraction = sequence(POINT, list(DIGIT, 1, FRACTION_DIGITS));
    return sequence(integers(), choice(EMPTY, fraction));
  }
  const least = low && low.value > -LARGEST ? low : { value: -LARGEST, strict: false };
  const most = high && high.value < LARGEST ? high : { value: LARGEST, strict: false };
  const zero = { value: 0, strict: false };
  const above = least.value >= 0 ? least : zero;
  const positive = most.value < 0 ? undefined : magnitudes(above, most);
  // A minus before numbers above 0, so that -0 needs no thought.
  const from = most.value < 0 ? { ...most, value: -most.value } : { value: 0, strict: true };
  const negative = least.value >= 0
    ? undefined
    : magnitudes(from, { ...least, value: -least.value });
  return choice(positive, sequence(MINUS, negative));
}

/** 1 to `digits` digits, the first not 0. */
function withoutZero(digits: number): Maybe {
  return sequence(digit(1, 9), list(DIGIT, 0, digits - 1));
}

/** Integers from `low` to `high`, both of at most 15 digits. */
function wholes(low: number, high: number): Maybe {
  if (low > high) return undefined;
  if (low < 0) {
    const negative = wholes(Math.max(1, -high), -low);
    return choice(sequence(MINUS, negative), high < 0 ? undefined : wholes(0, high));
  }
  const options: Maybe[] = [];
  for (let digits = String(low).length; digits <= String(high).length; digits++) {
    const first = Math.max(low, digits === 1 ? 0 : 10 ** (digits - 1));
    const last = Math.min(high, 10 ** digits - 1);
    options.push(between(String(first), String(last)));
  }
  return choice(...options);
}

/** Digits of one length between two others; an absent one is no bound. */
function between(low: string, high: string): Language {
  const digits = low.length;
  if (digits === 0) return EMPTY;
  if (/^0*$/.test(low) && /^9*$/.test(high)) return list(DIGIT, digits, digits)!;
  const [a, b] = [Number(low[0]), Number(high[0])];
  if (a === b) return sequence(digit(a, a), between(low.slice(1), high.slice(1)))!;
  const zeros = "0".repeat(digits - 1);
  const nines = "9".repeat(digits - 1);
  return choice(
    sequence(digit(a, a), between(low.slice(1), nines)),
    b - a > 1 ? sequence(digit(a + 1, b - 1), between(zeros, nines)) : undefined,
    sequence(digit(b, b), between(zeros, high.slice(1))),
  )!;
}

/** Decimals between two that are not negative. */
function magnitudes(low: Bound, high: Bound): Maybe {
  if (low.value > high.value) return undefined;
  const [wholeLow, restLow] = parts(low.value);
  const [wholeHigh, restHigh] = parts(high.value);
  const written = Math.max(restLow.length, restHigh.length);
  // Two texts of 15 digits are never the same double.
  const room = INTEGER_DIGITS - String(wholeHigh).length;
  const digits = Math.max(1, Math.min(Math.max(FRACTION_DIGITS, written + 1), room));
  const under = { digits: restLow, strict: low.strict };
  const over = { digits: restHigh, strict: high.strict };
  const whole = (n: number, a?: Rest, b?: Rest) =>
    sequence(literal(String(n)), withPoint(fraction(digits, a, b)));
  if (wholeLow === wholeHigh) return whole(wholeLow, under, over);
  return choice(
    whole(wholeLow, under),
    sequence(wholes(wholeLow + 1, wholeHigh - 1), withPoint(fraction(digits))),
    whole(wholeHigh, undefined, over),
  );
}

/** Digits behind the point of a bound. */
interface Rest {
  readonly digits: string;
  readonly strict: boolean;
}

/** Digits behind the point: whether there may be none, and those of at least one. */
interface Fraction {
  readonly none: boolean;
  readonly some: Maybe;
}

function withPoint({ none, some }: Fraction): Maybe {
  return choice(none ? EMPTY : undefined, sequence(POINT, some));
}

/** Up to `digits` digits behind the point, within bounds that are each a digit at a time. */
function fraction(digits: number, low?: Rest, high?: Rest): Fraction {
  const isZero = (rest: Rest) => /^0*$/.test(rest.digits);
  const none = (!low || (isZero(low) && !low.strict)) && (!high || !isZero(high) || !high.strict);
  if (digits === 0) return { none, some: undefined };
  if (!low && !high) return { none, some: list(DIGIT, 1, digits) };
  const a = Number(low?.digits[0] ?? 0);
  const b = high ? Number(high.digits[0] ?? 0) : 9;
  const options: Maybe[] = [];
  for (let d = low ? a : 0; d <= b; d++) {
    const rest = fraction(
      digits - 1,
      low && d === a ? { ...low, digits: low.digits.slice(1) } : undefined,
      high && d === b ? { ...high, digits: high.digits.slice(1) } : undefined,
    );
    options.push(sequence(digit(d, d), choice(rest.none ? EMPTY : undefined, rest.some)));
  }
  return { none, some: choice(...options) };
}

/** The digits before and behind the point of a number that is not negative. */
function parts(value: number): readonly [whole: number, rest: string] {
  const [mantissa, exponent] = String(value).split("e");
  if (exponent === undefined) {
    const [whole, rest = ""] = mantissa.split(".");
    return [Number(whole), rest];
  }
  // Only small ones come with an exponent, since large ones are cut before.
  const digits = mantissa.replace(".", "");
  return [0, "0".repeat(-Number(exponent) - 1) + digits];
}
