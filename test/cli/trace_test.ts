/** `unmask generate --trace` and `unmask trace`: the picture's pixels, and the commands. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decode } from "fast-png";
import fc from "fast-check";
import type { Colour } from "../../src/cli/trace_picture/draw_quads.ts";
import { readTrace, traceText } from "../../src/cli/trace.ts";
import {
  cellsAt,
  colourOf,
  MASKED,
  paleOf,
  REMASKED,
  WHITE,
} from "../../src/cli/trace_picture/cells.ts";
import {
  drawTrace,
  INK,
  layoutTrace,
  PICTURE_LIMIT,
  pngOf,
} from "../../src/cli/trace_picture/picture.ts";
import {
  type Trace,
  traceOf,
  type TraceSettings,
  type TraceStep,
} from "../../src/denoise/trace.ts";
import { anyGpu } from "../gpu/device.ts";
import { knownAnswer, Running, taskCommand, unmask } from "./command.ts";

const settings: TraceSettings = {
  strategy: "commit_verify",
  cache: "dual",
  blockLength: 4,
  steps: 8,
  seed: 1,
  promptLength: 2,
  genLength: 8,
  maskToken: 99,
};

const at = (position: number, confidence: number, token = 5) => ({ position, token, confidence });

/** Five steps with every outcome. */
const small = traceOf(settings, [
  { step: 0, block: 0, nfe: 1, commits: [at(0, 1), at(1, 0.25)] },
  {
    step: 1,
    block: 0,
    nfe: 1,
    commits: [at(2, 0.5), at(3, 0.75)],
    proposed: [at(2, 0.9), at(3, 0.5, 6), at(5, 0.5)],
    accepted: [2],
    rejected: [3, 5],
  },
  { step: 2, block: 1, nfe: 2, commits: [at(4, 0)], remasked: [1] },
  { step: 3, block: 1, nfe: 3, commits: [at(1, 1)] },
  {
    step: 4,
    block: 1,
    nfe: 4,
    commits: [],
    proposed: [at(6, 0.9)],
    accepted: [],
    rejected: [6],
    remasked: [6],
  },
]);

/** A trace's picture as a PNG reader has it. */
async function picture(trace: Trace) {
  const image = decode(pngOf(await drawTrace(anyGpu, trace)));
  const layout = layoutTrace(trace);
  assertEquals([image.width, image.height], [layout.width, layout.height]);
  assertEquals([image.channels, image.depth], [3, 8]);
  const pixel = (x: number, y: number) => {
    const first = 3 * (y * image.width + x);
    return [...image.data.subarray(first, first + 3)];
  };
  const middle = (position: number, step: number) => {
    const { left, top, width, height } = cellsAt(layout.grid, position, step);
    return pixel(left + Math.floor(width / 2), top + Math.floor(height / 2));
  };
  return { layout, pixel, middle, width: image.width };
}

const bytes = (colour: Colour) => colour.map((part) => Math.round(255 * part));

/** A byte may be rounded either way. */
function assertColour(found: readonly number[], colour: Colour, place = "") {
  const close = found.every((byte, i) => Math.abs(byte - 255 * colour[i]) <= 1);
  assert(close, `${place} is ${found}, expected ${bytes(colour)}`);
}

Deno.test("every outcome has its colour at its place", async () => {
  const { middle, pixel, layout } = await picture(small);
  const { committed, accepted, rejected } = {
    committed: (confidence: number) => colourOf("committed", confidence),
    accepted: (confidence: number) => colourOf("accepted", confidence),
    rejected: (confidence: number) => colourOf("rejected", confidence),
  };
  const own = paleOf("committed");
  const guessed = paleOf("accepted");
  const expected: readonly (readonly Colour[])[] = [
    [committed(1), committed(0.25), MASKED, MASKED, MASKED, MASKED, MASKED, MASKED],
    [own, own, accepted(0.5), committed(0.75), MASKED, rejected(0.5), MASKED, MASKED],
    [own, REMASKED, guessed, own, committed(0), MASKED, MASKED, MASKED],
    [own, committed(1), guessed, own, own, MASKED, MASKED, MASKED],
    [own, own, guessed, own, own, MASKED, REMASKED, MASKED],
  ];
  for (const [step, row] of expected.entries()) {
    for (const [position, colour] of row.entries()) {
      assertColour(middle(position, step), colour, `position ${position} at step ${step}`);
    }
  }
  // A guess was refused where the target committed another token: at the foot of the cell.
  const cell = cellsAt(layout.grid, 3, 1);
  assertColour(pixel(cell.left + 4, cell.top + cell.height - 3), rejected(0.5));
  // And where it was on the canvas and is masked again.
  const again = cellsAt(layout.grid, 6, 4);
  assertColour(pixel(again.left + 4, again.top + again.height - 3), rejected(0.9));
  const alone = cellsAt(layout.grid, 2, 1);
  assertColour(pixel(alone.left + 4, alone.top + alone.height - 3), accepted(0.5));
});

Deno.test("no two meanings share a colour, at any confidence", () => {
  const ramp = [0, 0.25, 0.5, 0.75, 1];
  const colours = [
    ...(["committed", "accepted", "rejected"] as const).flatMap((outcome) =>
      ramp.map((confidence) => colourOf(outcome, confidence))
    ),
    paleOf("committed"),
    paleOf("accepted"),
    MASKED,
    REMASKED,
    WHITE,
    INK,
  ].map(bytes);
  for (const [i, one] of colours.entries()) {
    for (const other of colours.slice(i + 1)) {
      const distance = Math.hypot(...one.map((byte, channel) => byte - other[channel]));
      assert(distance > 10, `${one} and ${other}`);
    }
  }
});

Deno.test("axes, block borders, tick labels, title and legend are drawn", async () => {
  const { layout, pixel, width } = await picture(small);
  const { left, top, cellWidth, cellHeight, columns, rows } = layout.grid;
  const bottom = top + rows * cellHeight;
  for (let y = top; y < bottom; y++) assertColour(pixel(left - 1, y), INK, `y axis at ${y}`);
  for (let x = left; x < left + columns * cellWidth; x++) {
    assertColour(pixel(x, bottom), INK, `x axis at ${x}`);
  }
  for (let y = top; y < bottom; y++) {
    assertColour(pixel(left + 4 * cellWidth - 1, y), INK, `block border at ${y}`);
    assert(String(pixel(left + 2 * cellWidth - 1, y)) !== String(bytes(INK)), "no border here");
  }
  /** Dots of ink in a rectangle. */
  const ink = (x: number, y: number, columns: number, rows: number) => {
    let count = 0;
    for (let j = y; j < y + rows; j++) {
      for (let i = x; i < x + columns; i++) {
        if (String(pixel(i, j)) === String(bytes(INK))) count++;
      }
    }
    return count;
  };
  assert(ink(0, 0, width, top - 20) > 500, "no title");
  assert(ink(left, bottom + 10, columns * cellWidth, 14) > 50, "no labels of positions");
  assert(ink(left - 26, top, 12, rows * cellHeight) > 20, "no labels of steps");
  assertEquals(layout.legend.length, 6);
  for (const { label, left, top } of layout.legend) {
    const letters = width - left > 200 ? 200 : width - left;
    assert(ink(left, top, letters, 14) > 50, `no label ${label}`);
    assert(String(pixel(left + 2, top + 2)) !== String(bytes(WHITE)), `no swatch of ${label}`);
  }
  const swatches = new Set(layout.legend.map(({ left, top }) => String(pixel(left + 2, top + 2))));
  assertEquals(swatches.size, 6);
});

Deno.test("a picture keeps within its limits, and everything within the picture", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 256 }),
      fc.integer({ min: 1, max: 256 }),
      fc.integer({ min: 0, max: 20000 }),
      fc.maxSafeNat(),
      (blockLength, blocks, rows, seed) => {
        const genLength = blockLength * blocks;
        const steps = Array.from({ length: rows }, (_, step): TraceStep => ({
          step,
          block: 0,
          nfe: step + 1,
          commits: [at(step % genLength, 0.5)],
        }));
        const longest = "strategy_of_a_very_long_name_000";
        const head = { ...settings, strategy: longest, cache: longest, seed };
        const trace = traceOf({ ...head, blockLength, genLength }, steps);
        const { width, height, quads } = layoutTrace(trace);
        assert(Number.isInteger(width) && width <= PICTURE_LIMIT, `width ${width}`);
        assert(Number.isInteger(height) && height <= PICTURE_LIMIT, `height ${height}`);
        for (const quad of quads) {
          assert(quad.left >= 0 && quad.left + quad.width <= width, JSON.stringify(quad));
          assert(quad.top >= 0 && quad.top + quad.height <= height, JSON.stringify(quad));
          assert(quad.width >= 1 && quad.height >= 1, JSON.stringify(quad));
        }
      },
    ),
    { numRuns: 25 },
  );
});

Deno.test("cells smaller than a pixel stay in sight", async () => {
  const genLength = 8192;
  const trace = traceOf({ ...settings, blockLength: genLength, genLength }, [
    { step: 0, block: 0, nfe: 1, commits: [at(4001, 1)] },
    { step: 1, block: 0, nfe: 2, commits: [at(8191, 1)] },
  ]);
  const { middle } = await picture(trace);
  assertColour(middle(4001, 0), colourOf("committed", 1));
  assertColour(middle(8191, 1), colourOf("committed", 1));
  assertColour(middle(8191, 0), MASKED);
});

Deno.test("a run is traced and drawn from the command line", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    const { prompt, ids, answer } = knownAnswer("2026-006");
    const made = await unmask(
      ["generate", prompt, "--strategy", "lossless", "--trace", "run.json"],
      { cwd },
    );
    assertEquals([made.code, made.stdout], [0, `${answer}\n`], made.stderr);
    const text = await Deno.readTextFile(`${cwd}/run.json`);
    assert(!text.includes(prompt), "the prompt is in the trace");
    const trace = await readTrace(`${cwd}/run.json`);
    assertEquals(trace.settings.strategy, "lossless");
    assert(trace.steps.some(({ accepted }) => accepted?.length), "no guess was accepted");
    for (const { position, token } of trace.steps.flatMap(({ commits }) => commits)) {
      assertEquals(token, ids[position]);
    }
    const drawn = await unmask(["trace", "run.json", "--png", "run.png"], { cwd });
    assertEquals([drawn.code, drawn.stderr], [0, ""]);
    assertMatch(drawn.stdout, /^run\.png: \d+ x \d+ pixels, 64 positions by \d+ steps\n$/);
    const layout = layoutTrace(trace);
    const image = decode(await Deno.readFile(`${cwd}/run.png`));
    assertEquals([image.width, image.height], [layout.width, layout.height]);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("a run that is stopped leaves the trace so far; one that fails leaves the file as it was", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    const long = ["generate", "Hi", "-n", "448", "--block-length", "448", "--watch"];
    const args = [...long, "--remasking", "random", "--trace", "run.json"];
    await using command = new Running(taskCommand("unmask", args, { cwd }));
    await command.stdout.match(/^step 5\//m);
    command.kill("SIGINT");
    assertEquals(await command.end(), 130);
    const { steps, settings } = await readTrace(`${cwd}/run.json`);
    assert(steps.length >= 4 && steps.length < 448, `${steps.length} steps`);
    assertEquals([settings.genLength, settings.steps], [448, 448]);

    await Deno.writeTextFile(`${cwd}/old.json`, "old");
    for (const name of ["old.json", "new.json"]) {
      const args = ["generate", "Hi", "--steps", "3", "--trace", name];
      const { code, stderr } = await unmask(args, { cwd });
      assertEquals(code, 1);
      assertStringIncludes(stderr, "--steps is 3");
    }
    assertEquals(await Deno.readTextFile(`${cwd}/old.json`), "old");
    assertEquals([...Deno.readDirSync(cwd)].map(({ name }) => name).sort(), [
      "old.json",
      "run.json",
    ]);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("a path that no trace can be written to is refused before the model is loaded", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    for (const path of ["no/run.json", "."]) {
      const args = ["generate", "Hi", "--model", "no/such/model", "--trace", path];
      const { code, stdout, stderr } = await unmask(args, { cwd });
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, `unmask: cannot write ${path}: `);
    }
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("a trace file that is none is refused by name", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/text.json`, "hello");
    await Deno.writeTextFile(`${cwd}/later.json`, traceText({ ...small, version: 2 as 1 }));
    await Deno.writeTextFile(`${cwd}/fine.json`, traceText(small));
    assertEquals(await readTrace(`${cwd}/fine.json`), small);
    const cases: readonly (readonly [args: string[], message: string])[] = [
      [["none.json", "--png", "a.png"], "unmask: none.json: the file is missing"],
      [[".", "--png", "a.png"], 'unmask: .: the path is "a folder or device"'],
      [["text.json", "--png", "a.png"], 'unmask: text.json: the content is "hello", expected JSON'],
      [["later.json", "--png", "a.png"], "unmask: later.json: version is 2, expected 1"],
      [["fine.json", "--png", "no/a.png"], "unmask: cannot write no/a.png"],
      [["fine.json"], "required option '--png <file>' not specified"],
    ];
    for (const [args, message] of cases) {
      const { code, stdout, stderr } = await unmask(["trace", ...args], { cwd });
      assertEquals([code, stdout], [1, ""], args.join(" "));
      assertStringIncludes(stderr, message);
    }
    assertEquals([...Deno.readDirSync(cwd)].length, 3);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
