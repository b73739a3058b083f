/** The page's record of an answer, without a browser. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { spanOf, wholePositions, withEdit, withMasks } from "../../../src/server/page/edit.ts";
import {
  type Cell,
  cellsAt,
  type Chunk,
  EMPTY_TRACE,
  textOf,
  type Trace,
  withChunk,
} from "../../../src/server/page/trace.ts";
import { randomStreams } from "./streams.ts";

const traceOf = (chunks: readonly Chunk[]) => chunks.reduce(withChunk, EMPTY_TRACE);
const states = (cells: readonly Cell[]) => cells.map(({ state }) => state);

Deno.test("the text at the last step is the streamed text, wherever tokens are cut", () => {
  fc.assert(fc.property(randomStreams(), ({ text, chunks }) => {
    const trace = traceOf(chunks);
    assertEquals(trace.text, text);
    assertEquals(textOf(cellsAt(trace, trace.steps.length)), text);
  }));
});

Deno.test("a stop string that cuts a token cuts the cells", () => {
  fc.assert(fc.property(randomStreams(), fc.nat(), ({ chunks }, cut) => {
    const whole = traceOf(chunks);
    const text = whole.text.slice(0, cut % (whole.text.length + 1));
    const trace = { ...whole, text };
    assertEquals(textOf(cellsAt(trace, trace.steps.length)), text);
  }));
});

Deno.test("steps decide cells one after another, and each stays decided", () => {
  fc.assert(fc.property(randomStreams(), ({ chunks }) => {
    const trace = traceOf(chunks);
    const all = cellsAt(trace, 0);
    assertEquals(all.length, trace.length);
    assert(all.every(({ state, step }) => state === "mask" && step === 0));
    for (const [index, { commits }] of trace.steps.entries()) {
      const cells = cellsAt(trace, index + 1);
      const fresh = cells.filter((cell) => cell.fresh).map(({ position }) => position);
      const shown = commits.map(({ position }) => position)
        .filter((position) => cells.some((cell) => cell.position === position));
      assertEquals(fresh, shown);
      for (const { step } of cells) assert(step <= index + 1);
    }
  }));
});

Deno.test("a record that is kept as JSON is the same", () => {
  fc.assert(fc.property(randomStreams(), ({ chunks }) => {
    const trace = traceOf(chunks);
    const kept: Trace = JSON.parse(JSON.stringify(trace));
    const { length } = trace.steps;
    assertEquals(cellsAt(kept, length), cellsAt(trace, length));
  }));
});

const unmask = (step: number, texts: Readonly<Record<number, string>>, more = {}): Chunk => ({
  choices: [],
  diffusion: {
    type: "unmask",
    step,
    block: 0,
    provisional: false,
    commits: Object.entries(texts).map(([position, text]) => ({
      position: Number(position),
      token: text.charCodeAt(0),
      text,
      confidence: 0.9,
    })),
    ...more,
  },
});
const start = (generation_length: number): Chunk => ({
  choices: [],
  diffusion: { type: "start", prompt_tokens: 1, generation_length, block_length: 2, steps: 4 },
});

Deno.test("a canvas that grows has more masks from that step on", () => {
  const trace = traceOf([start(2), unmask(0, { 0: "a" }), unmask(1, {}, { generation_length: 4 })]);
  assertEquals(states(cellsAt(trace, 1)), ["token", "mask"]);
  assertEquals(states(cellsAt(trace, 2)), ["token", "mask", "mask", "mask"]);
  assertEquals(cellsAt(trace, 2).map(({ block }) => block), [0, 0, 1, 1]);
});

Deno.test("a guess that is taken back is seen at its step, and is a mask again", () => {
  const guess = { position: 1, token: 7, text: "x", confidence: 0.4 };
  const remask: Chunk = { choices: [], diffusion: { type: "remask", step: 0, guesses: [guess] } };
  const trace = traceOf([start(2), unmask(0, { 0: "a" }), remask, unmask(1, {})]);
  assertEquals(states(cellsAt(trace, 1)), ["token", "guess"]);
  assertEquals(textOf(cellsAt(trace, 1)), "a");
  assertEquals(states(cellsAt(trace, 2)), ["token", "mask"]);
});

Deno.test("likeliest tokens at the deadline are told apart, and an end hides what is behind it", () => {
  const trace = traceOf([
    start(4),
    unmask(0, { 0: "a" }),
    unmask(1, { 1: "b", 2: "<|eot_id|>" }, { provisional: true }),
  ]);
  assertEquals(states(cellsAt(trace, 2)), ["token", "provisional", "end"]);
});

Deno.test("a mask that is put back is a step, and what then stands there another", () => {
  fc.assert(fc.property(randomStreams(), fc.nat(), ({ text, chunks }, any) => {
    fc.pre(text !== "");
    const trace = traceOf(chunks);
    const { length } = trace.steps;
    const cells = cellsAt(trace, length);
    const positions = wholePositions(trace, cells[any % cells.length].position);
    const { start, end } = spanOf(trace, positions);
    const points = [...text];
    // Whole characters stand between the two ends.
    const before = points.slice(start, end).join("");
    assert(before !== "");
    const masked = withMasks(trace, positions);
    assertEquals(textOf(cellsAt(masked, length)), text);
    const texts = positions.map((_, index) => index === 0 ? "Ω" : "");
    const edited = withEdit(masked, {
      text: [...points.slice(0, start), "Ω", ...points.slice(end)].join(""),
      edits: [{
        text: "Ω",
        tokens: texts.map((text, index) => ({ id: 1e9 + index, text, confidence: 0.3 })),
      }],
    });
    const seen = cellsAt(edited, length + 1).filter(({ state }) => state === "mask");
    assertEquals(seen.map(({ position }) => position), positions);
    assertEquals(textOf(cellsAt(edited, length + 2)), edited.text);
    // What stood there before is still seen at the steps before.
    assertEquals(textOf(cellsAt(edited, length)).slice(0, text.length), text);
  }));
});
