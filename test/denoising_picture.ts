/**
 * Draws README.md's moving picture: one answer of the embedded model, denoising step by step.
 * Run by `deno task picture`; writes .github/denoising.svg.
 */
import { load } from "../mod.ts";

const PROMPT = "Hi! Do you know how you write text?";
/** Positions of the canvas, and of each block. */
const CANVAS = 24;
/** Seconds that a step is shown, and the whole answer at the end. */
const STEP_SECONDS = 0.3;
const REST_SECONDS = 3;

/** Lengths in the picture's own units. */
const WIDTH = 700;
const MARGIN = 20;
const CHARACTER = 9;
const CELL_PADDING = 7;
const CELL_HEIGHT = 28;
const GAP = 4;
const ROW = CELL_HEIGHT + GAP + 2;
const TOP = 56;

interface Cell {
  readonly text: string;
  readonly confidence: number;
  /** Denoising step that committed it, from 1. */
  readonly step: number;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A token without the space before it; control tokens as signs. */
function label(text: string): string {
  if (text.startsWith("<|")) return text === "<|eot_id|>" ? "◼" : "∅";
  return text.replaceAll("\n", "⏎").trim() || "␣";
}

/** The canvas's tokens, in order, each with the step that committed it. */
async function denoise(): Promise<Cell[]> {
  using model = await load();
  const cells: Cell[] = new Array(CANVAS);
  const request = {
    messages: [{ role: "user", content: PROMPT }],
    strategy: "plain",
    genLength: CANVAS,
    blockLength: CANVAS,
    stopAtEnd: false,
  } as const;
  for await (const event of model.generate(request)) {
    if (event.type !== "step") continue;
    for (const { position, text, confidence } of event.commits) {
      cells[position] = { text: label(text), confidence, step: event.step + 1 };
    }
  }
  return cells;
}

/** Where each cell stands, from left to right in rows. */
function places(cells: readonly Cell[]) {
  let x = MARGIN;
  let row = 0;
  return cells.map(({ text }) => {
    const width = [...text].length * CHARACTER + 2 * CELL_PADDING;
    if (x + width > WIDTH - MARGIN) {
      x = MARGIN;
      row++;
    }
    const place = { x, y: TOP + row * ROW, width };
    x += width + GAP;
    return place;
  });
}

/**
 * Style sheet of a picture that shows step after step, and the last one to who wants no motion.
 * @param steps denoising steps
 */
function style(steps: number): string {
  const seconds = (steps + 1) * STEP_SECONDS + REST_SECONDS;
  const percent = (step: number) => (100 * step * STEP_SECONDS / seconds).toFixed(2);
  const rules = Array.from({ length: steps }, (_, i) => {
    const at = percent(i + 1);
    return `@keyframes s${i + 1}{0%{opacity:0}${at}%{opacity:1}100%{opacity:1}}` +
      `.s${i + 1}{animation:s${i + 1} ${seconds.toFixed(1)}s step-end infinite}`;
  });
  return [
    "text{font:15px ui-monospace,Menlo,Consolas,monospace;fill:#1b2330}",
    ".note{font:14px system-ui,sans-serif;fill:#57606a}.page{fill:#fff}.mask{fill:#aab2bf}",
    ".token{fill:#fff}.sure{fill:#7fb2ff}",
    "@media(prefers-color-scheme:dark){text{fill:#eef2f8}.note{fill:#9aa4b2}.page{fill:#12161d}" +
    ".mask{fill:#4b5563}.token{fill:#12161d}.sure{fill:#2f6bd8}}",
    ...rules,
    "@media(prefers-reduced-motion:reduce){*{animation:none!important}}",
  ].join("\n");
}

function draw(cells: readonly Cell[]): string {
  const steps = Math.max(...cells.map(({ step }) => step));
  const at = places(cells);
  const height = at[at.length - 1].y + CELL_HEIGHT + 38;
  const shapes = cells.map(({ text, confidence, step }, i) => {
    const { x, y, width } = at[i];
    const box = `x="${x}" y="${y}" width="${width}" height="${CELL_HEIGHT}" rx="5"`;
    const tint = (0.15 + 0.85 * confidence ** 2).toFixed(2);
    const left = x + CELL_PADDING;
    return `<rect ${box} class="mask"/><g class="s${step}"><rect ${box} class="token"/>` +
      `<rect ${box} class="sure" fill-opacity="${tint}"/>` +
      `<text x="${left}" y="${y + 19}">${escape(text)}</text></g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img"` +
    ` aria-label="Masks become tokens in the order of the model's confidence">`,
    `<style>\n${style(steps)}\n</style>`,
    `<rect width="100%" height="100%" rx="8" class="page"/>`,
    `<text x="${MARGIN}" y="34" class="note">“${PROMPT}”</text>`,
    ...shapes,
    `<text x="${MARGIN}" y="${height - 16}" class="note">Grey: masked. The stronger the blue, ` +
    `the surer the model was. ◼ end of turn, ∅ nothing behind it.</text>`,
    `</svg>`,
    ``,
  ].join("\n");
}

if (import.meta.main) {
  const file = new URL("../.github/denoising.svg", import.meta.url);
  await Deno.mkdir(new URL(".", file), { recursive: true });
  await Deno.writeTextFile(file, draw(await denoise()));
}
