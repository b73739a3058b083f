import { assertEquals } from "@std/assert";
import { ShownTokens } from "../../src/text/shown_tokens.ts";
import { TextStream } from "../../src/text/text_stream.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const coffee = bytes("☕");

/** Tokens by id; the last is an end token without text. */
const VOCABULARY = [
  bytes("one "),
  bytes("two"),
  coffee.slice(0, 2),
  coffee.slice(2),
  bytes("x"),
  new Uint8Array(),
];
const END = VOCABULARY.length - 1;
const tokens = { tokenBytes: (id: number) => VOCABULARY[id] };

/** Commits in this order; which positions each commit shows, then those that the end shows. */
function shown(
  ids: readonly number[],
  order: readonly number[],
  stop: readonly string[] = [],
): { readonly texts: string[]; readonly positions: number[][] } {
  const stream = new TextStream(tokens, { endTokens: [END], stop });
  const places = new ShownTokens<number>(tokens);
  const texts: string[] = [];
  const positions: number[][] = [];
  for (const position of order) {
    texts.push(stream.commit([{ position, token: ids[position] }]));
    places.commit(position, ids[position], position);
    positions.push(places.take(stream.text.length));
  }
  texts.push(stream.finish());
  positions.push(places.takeLast(stream.text.length));
  return { texts, positions };
}

Deno.test("tokens are shown with the text of the left prefix, in whatever order they come", () => {
  assertEquals(shown([0, 1, 4], [2, 0, 1]), {
    texts: ["", "one ", "twox", ""],
    positions: [[], [0], [1, 2], []],
  });
});

Deno.test("a token with part of a character is shown with the character", () => {
  assertEquals(shown([0, 2, 3, 1], [0, 1, 2, 3]), {
    texts: ["one ", "", "☕", "two", ""],
    positions: [[0], [], [1, 2], [3], []],
  });
  // Cut in the middle, it stands as U+FFFD at the end.
  assertEquals(shown([0, 2], [0, 1]), {
    texts: ["one ", "", "\ufffd"],
    positions: [[0], [], [1]],
  });
});

Deno.test("end tokens and what lies behind them are never shown", () => {
  assertEquals(shown([0, END, 1, END], [0, 1, 2, 3]).positions, [[0], [], [], [], []]);
  assertEquals(shown([END, 4], [1, 0]).positions, [[], [], []]);
});

Deno.test("text that may be a stop string keeps its tokens back, and a cut token is shown", () => {
  // "two" might begin "twox"; without it, it is shown at the end.
  assertEquals(shown([0, 1], [0, 1], ["twox"]), {
    texts: ["one ", "", "two"],
    positions: [[0], [], [1]],
  });
  assertEquals(shown([0, 1, 4], [0, 1, 2], ["wox"]), {
    texts: ["one ", "t", "", ""],
    positions: [[0], [], [], [1]],
  });
});
