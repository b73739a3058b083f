/** The drawn canvas: what stands where, and that nothing a model says can spoil it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import stringWidth from "string-width";
import { CanvasView, visibleCharacters } from "../../../src/cli/terminal/canvas_view.ts";
import { EventTrace } from "../../../src/cli/trace.ts";
import { parseTrace } from "../../../src/denoise/trace.ts";
import { NO_ACCEPTANCE } from "../../../src/denoise/strategies/acceptance.ts";
import type { CommittedToken } from "../../../src/engine/request.ts";

const SIZE = { columns: 60, rows: 24 };

function start(generationLength: number, blockLength: number, colours = false): CanvasView {
  return new CanvasView(
    {
      type: "start",
      promptTokens: 5,
      generationLength,
      blockLength,
      steps: generationLength,
      seed: 1,
      strategy: "plain",
      cache: "none",
      maskToken: 9,
    },
    colours,
  );
}

function commits(texts: readonly string[], position = 0, confidence = 1): CommittedToken[] {
  return texts.map((text, i) => ({
    position: position + i,
    token: i,
    text,
    confidence,
    logProbability: Math.log(confidence),
  }));
}

function apply(view: CanvasView, step: number, block: number, tokens: readonly CommittedToken[]) {
  view.apply({
    type: "step",
    step,
    block,
    nfe: step + 1,
    commits: tokens,
    delta: "",
    prefixLength: 0,
  });
}

Deno.test("a canvas begins masked, a block per line, and shows tokens where they stand", () => {
  const view = start(8, 4);
  const legend = "░ masked  ⏎ line end  ∎ control token";
  assertEquals(view.frame(SIZE, 0).split("\n").slice(1), ["1 │ ░░░░", "2 │ ░░░░", legend]);
  apply(view, 0, 0, commits(["def", "\n"], 1));
  assertEquals(view.frame(SIZE, 2).split("\n"), [
    "██··············  step 1/8  1 forwards  2/8 tokens  1.0 tok", // cut at the edge
    "1 │ ░def⏎░",
    "2 │ ░░░░",
    legend,
  ]);
  assertEquals(view.stepLine(), 'step 1/8 block 1/2: 1 "def" 1.000, 2 "\\n" 1.000 (2/8 tokens)');
  apply(view, 1, 1, commits(["<|eot_id|>"], 7));
  const end = view.frame(SIZE, 2, {
    type: "end",
    finishReason: "stop",
    text: "",
    ids: [],
    usage: { promptTokens: 5, completionTokens: 3 },
    stats: {
      seed: 1,
      forwards: 4,
      strategy: "plain",
      cache: "none",
      targetStates: 4,
      draftForwards: 0,
      idleForwards: 0,
      proposed: 0,
      accepted: 0,
      acceptedLengths: [],
      cacheRefreshes: 0,
      acceptance: NO_ACCEPTANCE,
      targetSeconds: 1,
      draftSeconds: 0,
      readbackSeconds: 1,
      readbacks: 1,
      seconds: 2,
    },
  });
  assertEquals(end.split("\n").slice(0, 3), [
    "finished: stop  step 2/8  4 forwards  3/8 tokens  1.5 token",
    "1 │ ░def⏎░",
    "2 │ ░░░∎",
  ]);
});

Deno.test("fresh tokens, unsure ones and masks have a look of their own", () => {
  const view = start(4, 4, true);
  apply(view, 0, 0, [...commits(["a"], 0, 0.4), ...commits(["b"], 1, 0.9)]);
  const escape = "\x1b[";
  const styled = (code: number, text: string, off: number) =>
    `${escape}${code}m${text}${escape}${off}m`;
  const masks = (count: number) => styled(90, "░".repeat(count), 39);
  const line = () => view.frame(SIZE, 1).split("\n")[1].slice(styled(90, "1 │ ", 39).length);
  assertEquals(line(), styled(7, "ab", 27) + masks(2));
  apply(view, 1, 0, commits(["c"], 2));
  assertEquals(line(), styled(33, "a", 39) + "b" + styled(7, "c", 27) + masks(1));
});

Deno.test("characters that would act on the screen or on others are made visible", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["a b", ["a", " ", "b"]],
    ["\n\t", ["⏎", "⇥"]],
    ["\x1b[2J", ["␛", "[", "2", "J"]],
    ["\x7f\x9b", ["␡", "\ufffd"]],
    ["e\u0301", ["e\u0301"]],
    ["\u0301x", ["◌\u0301", "x"]],
    ["日本", ["日", "本"]],
    ["\u202eabc", ["\ufffd", "a", "b", "c"]],
    ["<|eot_id|>", ["∎"]],
    ["", ["·"]],
  ];
  for (const [text, expected] of cases) assertEquals(visibleCharacters(text), [...expected], text);
});

Deno.test("tokens that terminals would join are kept apart", () => {
  const view = start(4, 4);
  apply(view, 0, 0, commits(["👍", "🏽", "🇩", "🇪"]));
  assertEquals(view.frame(SIZE, 1).split("\n")[1], "1 │ 👍◌🏽🇩◌🇪");
});

Deno.test("a canvas that is too high shows the block in progress and says what is left out", () => {
  const view = start(400, 4);
  apply(view, 0, 50, commits(["x"], 200));
  const lines = view.frame({ columns: 60, rows: 12 }, 1).split("\n");
  assert(lines.length < 12);
  assertMatch(lines[1], /^… \d+ lines above$/);
  assert(lines.some((line) => line === " 51 │ x░░░"), lines.join("\n"));
  assertMatch(lines.at(-2)!, /^… \d+ lines below$/);
  const hidden = [lines[1], lines.at(-2)!].map((line) => Number(/\d+/.exec(line)![0]));
  assertEquals(hidden[0] + hidden[1] + lines.length - 4, 100);
});

Deno.test("whatever the tokens are, a frame fits the terminal and holds no control character", () => {
  const texts = fc.array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 6 }),
      fc.string({ unit: "grapheme", maxLength: 6 }),
      fc.constantFrom("\u200d", "\u0301", "🏽", "🇩", "\u1161", "<|eot_id|>", "\r", "日本語日本語"),
    ),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(fc.property(texts, fc.integer({ min: 24, max: 100 }), (tokens, columns) => {
    const view = start(64, 32);
    apply(view, 0, 0, commits(tokens.slice(0, 32)));
    apply(view, 1, 1, commits(tokens.slice(32), 32));
    const frame = view.frame({ columns, rows: 200 }, 1);
    assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(frame.replaceAll("\n", "")), frame);
    for (const line of frame.split("\n")) {
      assert(stringWidth(line) < columns, `${stringWidth(line)} columns of ${columns}: ${line}`);
    }
    // Every position is there: masks as they are, tokens with at least one character.
    const drawn = frame.split("\n").slice(1, -1).join("");
    assert(drawn.split("░").length - 1 >= 64 - tokens.length);
  }));
});

Deno.test("a canvas that grows has more blocks, more steps, and a trace of its full length", () => {
  const view = start(4, 4);
  const trace = new EventTrace();
  trace.add({
    type: "start",
    promptTokens: 5,
    generationLength: 4,
    blockLength: 4,
    steps: 4,
    seed: 1,
    strategy: "plain",
    cache: "none",
    maskToken: 9,
  });
  const step = { type: "step", block: 0, delta: "", prefixLength: 0 } as const;
  for (
    const event of [
      { ...step, step: 0, nfe: 2, grown: 8, commits: commits(["a"]) },
      { ...step, step: 1, nfe: 3, block: 1, commits: commits(["b"], 7) },
    ]
  ) {
    view.apply(event);
    trace.add(event);
  }
  assertEquals(view.frame(SIZE, 2).split("\n").slice(1, 3), ["1 │ a░░░", "2 │ ░░░b"]);
  assertEquals(view.stepLine(), 'step 2/8 block 2/2: 7 "b" 1.000 (2/8 tokens)');
  const read = parseTrace(JSON.parse(JSON.stringify(trace.soFar())), "trace.json");
  assertEquals(read.settings.genLength, 8);
});
