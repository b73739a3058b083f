import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type PlacedToken,
  TextStream,
  type TextStreamOptions,
} from "../../src/text/text_stream.ts";
import { evalItems, tiny } from "./model_folder.ts";

const END = [tiny.idOf("<|endoftext|>")!, tiny.idOf("<|eot_id|>")!];
const stream = (options: Partial<TextStreamOptions> = {}) =>
  new TextStream(tiny, { endTokens: END, ...options });
const placed = (tokens: readonly number[]) =>
  tokens.map((token, position) => ({ token, position }));

/** Commits one token a step in the given order; returns the deltas, the last from finish(). */
function run(text: TextStream, commits: readonly PlacedToken[]): string[] {
  return [...commits.map((commit) => text.commit([commit])), text.finish()];
}

/** Tokens, and the order in which they are committed. */
function inAnyOrder(tokens: fc.Arbitrary<number[]>): fc.Arbitrary<PlacedToken[]> {
  return tokens.chain((tokens) => {
    const commits = placed(tokens);
    return fc.shuffledSubarray(commits, { minLength: commits.length });
  });
}

const emoji = fc.constantFrom("😀", "👩‍👩‍👧", "🇩🇪", "é", "漢", "हि", "\ufeff", "ab", " ", "\n");
const prose = fc.oneof(
  fc.array(emoji, { maxLength: 10 }).map((parts) => parts.join("")),
  fc.string({ unit: "binary", maxLength: 15 }).filter((text) => !text.includes("\ufffd")),
);
const anyTokens = fc.array(fc.oneof(fc.nat(2060), fc.nat(255), fc.constant(END[1])), {
  maxLength: 20,
});

Deno.test("deltas follow the left prefix, whatever is decided further right", () => {
  const text = stream();
  const tokens = tiny.encode("one two three");
  assertEquals(tokens.length, 3);
  assertEquals(text.commit([{ position: 2, token: tokens[2] }]), "");
  assertEquals(text.commit([{ position: 0, token: tokens[0] }]), "one");
  assertEquals([text.prefixLength, text.completionTokens, text.finishReason], [1, 1, undefined]);
  assertEquals(text.commit([{ position: 1, token: tokens[1] }]), " two three");
  assertEquals([text.prefixLength, text.text], [3, "one two three"]);
  assertEquals(text.finish(), "");
  assertEquals(text.finishReason, "length");
});

Deno.test("the first end token ends the text; what is decided behind it counts as prefix only", () => {
  const text = stream();
  const ids = [...tiny.encode("done"), END[1], ...tiny.encode("more"), END[0]];
  const at = ids.indexOf(END[1]);
  assertEquals(text.commit(placed(ids)), "done");
  assertEquals(text.finishReason, "stop");
  assertEquals([text.completionTokens, text.prefixLength], [at + 1, ids.length]);
  assertEquals(text.finish(), "");
});

Deno.test("the reference answers come out as their text", () => {
  for (const { expected } of evalItems) {
    const text = stream();
    const ids = [...tiny.encode(expected), END[1], END[0], END[0]];
    run(text, placed(ids).reverse());
    assertEquals([text.text, text.finishReason], [expected, "stop"]);
    assertEquals(text.completionTokens, ids.length - 2);
  }
});

Deno.test("control tokens and ids without text are not shown", () => {
  const [a] = tiny.encode("a");
  const text = stream();
  run(text, placed([a, tiny.idOf("<|start_header_id|>")!, 2048, 126463, a]));
  assertEquals([text.text, text.completionTokens], ["aa", 5]);
});

Deno.test("no more than maxTokens are shown", () => {
  const tokens = tiny.encode("one two three");
  const text = stream({ maxTokens: 2 });
  assertEquals(text.commit(placed(tokens)), "one two");
  assertEquals([text.finishReason, text.completionTokens], ["length", 2]);
  const ended = stream({ maxTokens: 2 });
  assertEquals(ended.commit(placed([tokens[0], END[0], tokens[1]])), "one");
  assertEquals([ended.finishReason, ended.completionTokens], ["stop", 2]);
  const stopped = stream({ maxTokens: 2, stop: [" two"] });
  assertEquals(stopped.commit(placed(tokens)), "one");
  assertEquals([stopped.finishReason, stopped.completionTokens], ["stop", 2]);
});

Deno.test("what may start a stop string is held back until it cannot", () => {
  const letters = (word: string) => placed([...word].flatMap((letter) => tiny.encode(letter)));
  const spared = stream({ stop: ["END"] });
  assertEquals(run(spared, letters("aENEEx")), ["a", "", "", "EN", "E", "Ex", ""]);
  const cut = stream({ stop: ["END"] });
  assertEquals(run(cut, letters("aENDb")), ["a", "", "", "", "", ""]);
  assertEquals([cut.finishReason, cut.completionTokens], ["stop", 4]);
  const open = stream({ stop: ["END"] });
  assertEquals(run(open, letters("aEN")), ["a", "", "", "EN"]);
  assertEquals(open.finishReason, "length");
});

Deno.test("of several stop strings the one complete first counts, of those the longest", () => {
  for (
    const [stop, expected] of [
      [["abcde", "bc"], "xa"],
      [["bc", "xabcd"], "xa"],
      [["cde", "xabcd"], ""],
      [["c", "abc"], "x"],
      [["abc", "c"], "x"],
    ] as const
  ) {
    for (const parts of [["xabcde"], ["x", "abcde"], ["xab", "cde"], [..."xabcde"]]) {
      const text = stream({ stop });
      run(text, placed(parts.flatMap((part) => tiny.encode(part))));
      assertEquals(text.text, expected);
    }
  }
});

Deno.test("the rule for stop strings goes by letters, not by tokens", () => {
  const [token, ...rest] = tiny.encode(" return");
  assertEquals(rest, [], "the tiny vocabulary has this word");
  const text = stream({ stop: ["return", "et"] });
  assertEquals(text.commit(placed([token])), " r");
  assertEquals([text.finishReason, text.stopText], ["stop", "et"]);
});

Deno.test("what ended the text is a stop string only where one stands in it", () => {
  const text = stream({ stop: ["other"] });
  run(text, placed([...tiny.encode("Hello"), END[0]]));
  assertEquals([text.finishReason, text.stopText], ["stop", undefined]);
});

Deno.test("a stop string that is half a character stops nothing", () => {
  const text = stream({ stop: ["\ude00"] });
  run(text, placed(tiny.encode("😀!")));
  assertEquals([text.text, text.finishReason], ["😀!", "length"]);
});

Deno.test("property: any order gives the decoded prefix, in whole deltas", () => {
  fc.assert(fc.property(inAnyOrder(anyTokens), (commits) => {
    const tokens = commits.toSorted((a, b) => a.position - b.position).map(({ token }) => token);
    const end = tokens.findIndex((token) => END.includes(token));
    const text = stream();
    assertEquals(run(text, commits).join(""), text.text);
    assertEquals(text.text, tiny.decode(end < 0 ? tokens : tokens.slice(0, end)));
    assertEquals(text.finishReason, end < 0 ? "length" : "stop");
    assertEquals(text.completionTokens, end < 0 ? tokens.length : end + 1);
    assertEquals(text.prefixLength, tokens.length);
  }));
});

Deno.test("property: a delta never holds part of a character", () => {
  const cases = prose.chain((text) => {
    return inAnyOrder(fc.constant(tiny.encode(text))).map((commits) => ({ text, commits }));
  });
  fc.assert(fc.property(cases, ({ text, commits }) => {
    const deltas = run(stream(), commits);
    assertEquals(deltas.join(""), text);
    for (const delta of deltas) {
      assert(delta.isWellFormed() && !delta.includes("\ufffd"), JSON.stringify(delta));
    }
  }));
});

Deno.test("property: stop strings cut the text, and no part of one is ever shown", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "😀", "😁"), maxLength: 12 });
  const stops = fc.array(letters.filter((text) => text !== ""), { minLength: 1, maxLength: 3 });
  const commits = inAnyOrder(letters.map((text) => tiny.encode(text)));
  fc.assert(
    fc.property(commits, stops, (commits, stop) => {
      const tokens = commits.toSorted((a, b) => a.position - b.position);
      const whole = tiny.decode(tokens.map(({ token }) => token));
      const text = stream({ stop });
      const deltas = run(text, commits);
      assertEquals(deltas.join(""), beforeStop(whole, stop) ?? whole);
      assertEquals(text.finishReason, beforeStop(whole, stop) === undefined ? "length" : "stop");
      assertEquals(text.text, deltas.join(""));
    }),
    { numRuns: 300 },
  );
});

/** The rule letter by letter: the first place where a stop string ends, then the longest there. */
function beforeStop(text: string, stop: readonly string[]): string | undefined {
  for (let end = 1; end <= text.length; end++) {
    const complete = stop.filter((candidate) => text.slice(0, end).endsWith(candidate));
    if (complete.length > 0) {
      return text.slice(0, end - Math.max(...complete.map(({ length }) => length)));
    }
  }
}

Deno.test("half a character at the end of the text becomes U+FFFD, and only then", () => {
  const smile = tiny.encode("😀");
  const cut = stream();
  assertEquals(run(cut, placed(smile.slice(0, 2))), ["", "", "\ufffd"]);
  const ended = stream();
  assertEquals(run(ended, placed([smile[0], END[0]])), ["", "\ufffd", ""]);
  const broken = stream();
  assertEquals(broken.commit(placed([smile[0], ...tiny.encode("a")])), "\ufffda");
});

Deno.test("misuse is refused: contradicting commits, no position, empty stop, no limit", () => {
  const text = stream();
  text.commit([{ position: 0, token: 5 }]);
  text.commit([{ position: 0, token: 5 }]);
  assertThrows(() => text.commit([{ position: 0, token: 6 }]), RangeError, "committed as token 5");
  assertThrows(() => text.commit([{ position: -1, token: 6 }]), RangeError, "position is -1");
  assertThrows(() => text.commit([{ position: 0.5, token: 6 }]), RangeError, "position is 0.5");
  assertThrows(() => stream({ stop: ["a", ""] }), RangeError, "stop string is empty");
  for (const maxTokens of [0, -1, 1.5, NaN]) {
    assertThrows(() => stream({ maxTokens }), RangeError, `maxTokens is ${maxTokens}`);
  }
});
