/** Texts of which parts are filled, and what two texts share. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { differences } from "../../../src/server/page/differences.ts";
import {
  masked,
  piecesOfEdit,
  piecesOfInfill,
  piecesOfMarked,
  spanAt,
  stepsOf,
  textOfPieces,
  traceOf,
  withMessage,
} from "../../../src/server/page/fill.ts";
import { cellsAt, type Commit, EMPTY_TRACE, textOf } from "../../../src/server/page/trace.ts";

const token = (id: number, text: string) => ({ id, text, confidence: 0.5 });
const rest = { finish_reason: "stop", usage: { forwards: 2 } };
const ANSWER = {
  text: "a b c d",
  holes: [
    { start: 1, text: " b", tokens: [token(1, " b")] },
    { start: 5, text: " d", tokens: [token(2, " "), token(3, "d")] },
  ],
  ...rest,
};

Deno.test("the pieces of an answer are its text, with the steps of its tokens", () => {
  const pieces = piecesOfInfill(ANSWER, [2, 1, 2]);
  assertEquals(textOfPieces(pieces), "a b c d");
  const trace = traceOf(pieces, "stop");
  assertEquals(textOf(cellsAt(trace, 0)), "a c");
  assertEquals(textOf(cellsAt(trace, 1)), "a c ");
  assertEquals(textOf(cellsAt(trace, 2)), "a b c d");
  assertEquals(stepsOf(trace), [2, 1, 2]);
});

Deno.test("a hole has the masks that are known before it is filled", () => {
  const cells = cellsAt(traceOf(piecesOfMarked("a ___ b ___", "___", (hole) => hole + 1)), 0);
  assertEquals(cells.map(({ state }) => state), ["given", "mask", "given", "mask", "mask"]);
});

Deno.test("an edit leaves the tokens beside it", () => {
  const pieces = piecesOfInfill(ANSWER);
  const span = spanAt(pieces, 1);
  assertEquals(span, { start: 1, end: 3 });
  assertEquals(masked(pieces, span).map(({ kind }) => kind), [
    "given",
    "mask",
    "given",
    "token",
    "token",
  ]);
  const edited = piecesOfEdit(pieces, {
    text: "a xyz c d",
    edits: [{ start: 1, text: " xyz", tokens: [token(7, " xyz")] }],
    ...rest,
  });
  assertEquals(textOfPieces(edited), "a xyz c d");
  assertEquals(textOf(cellsAt(traceOf(edited, "stop"), 1)), "a c d");
});

Deno.test("a character of several tokens is shown by the last", () => {
  const holes = [{ start: 0, text: "🐸", tokens: [token(1, "\ufffd"), token(2, "\ufffd")] }];
  const pieces = piecesOfInfill({ text: "🐸!", holes, ...rest });
  assertEquals(textOfPieces(pieces), "🐸!");
  assertEquals(spanAt(pieces, 0), { start: 0, end: 1 });
});

Deno.test("a stream is seen around what is given, and tells the steps of the tokens", () => {
  const start = {
    type: "start",
    prompt_tokens: 9,
    generation_length: 5,
    block_length: 4,
    steps: 2,
    given: [{ position: 0, text: "a" }, { position: 2, text: " c" }, {
      position: 4,
      text: "<|eot_id|>",
    }],
  } as const;
  const unmask = (step: number, commit: Commit) => ({
    type: "unmask",
    step,
    block: 0,
    provisional: false,
    commits: [commit],
  } as const);
  const commit = (position: number, text: string) => ({ position, token: 1, text, confidence: 1 });
  const events = [start, unmask(0, commit(3, " d")), unmask(1, commit(1, " b"))];
  const told = events.map((_, count) =>
    events.slice(0, count + 1)
      .reduce((trace, diffusion) => withMessage(trace, { choices: [], diffusion }), EMPTY_TRACE)
  );
  assertEquals(told.map((trace) => textOf(cellsAt(trace, trace.steps.length))), [
    "a c",
    "a c d",
    "a b c d",
  ]);
  assertEquals(stepsOf(told[2]), [2, 1]);
});

Deno.test("the shared words of two texts are the same on both sides, and nothing is lost", () => {
  const text = fc.array(fc.constantFrom("a", "b", " c", "\nd", " "), { maxLength: 12 })
    .map((words) => words.join(" "));
  fc.assert(fc.property(text, text, (left, right) => {
    const [a, b] = differences(left, right);
    assertEquals(a.map((word) => word.text).join(""), left);
    assertEquals(b.map((word) => word.text).join(""), right);
    const shared = (words: typeof a) =>
      words.filter(({ shared }) => shared).map(({ text }) => text);
    assertEquals(shared(a), shared(b));
    if (left === right) assertEquals(shared(a).join(""), left);
  }));
});
