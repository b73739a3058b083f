/**
 * Draws README.md's picture: one answer of the embedded model at several denoising steps.
 * Run by `deno task picture`; writes .github/denoising.svg.
 */
import { load } from "../mod.ts";

const PROMPT = "Hi! Do you know how you write text?";
const MAX_TOKENS = 24;
const BLOCK_LENGTH = 12;
const SNAPSHOTS = 9;

const CHARACTER = 7.2;
const PADDING = 4;
const ROW = 26;
const LEFT = 64;
const TOP = 58;

interface Cell {
  readonly text: string;
  readonly confidence: number;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Spaces and line ends made visible; control tokens as a sign. */
function label(text: string): string {
  if (text.startsWith("<|")) return text === "<|eot_id|>" ? "◼" : "∅";
  return text.replaceAll("\n", "⏎").replaceAll(" ", "·") || " ";
}

/** Red for unsure, green for sure. */
function colour(confidence: number): string {
  return `hsl(${Math.round(12 + 130 * confidence ** 4)} 55% 82%)`;
}

/** The answer at each step, `[steps + 1, positions]`; undefined is a mask. */
async function denoise(): Promise<(Cell | undefined)[][]> {
  using model = await load();
  const states: (Cell | undefined)[][] = [new Array(MAX_TOKENS).fill(undefined)];
  const messages = [{ role: "user", content: PROMPT }];
  const request = {
    messages,
    maxTokens: MAX_TOKENS,
    blockLength: BLOCK_LENGTH,
    stopAtEnd: false,
  };
  for await (const event of model.generate(request)) {
    if (event.type !== "step") continue;
    const state = [...states.at(-1)!];
    for (const { position, text, confidence } of event.commits) {
      state[position] = { text: label(text), confidence };
    }
    states.push(state);
  }
  return states;
}

function draw(states: readonly (readonly (Cell | undefined)[])[]): string {
  const widths = states.at(-1)!.map((cell) => [...cell!.text].length * CHARACTER + PADDING);
  const starts = widths.map((_, i) => LEFT + widths.slice(0, i).reduce((a, b) => a + b + 2, 0));
  const width = starts.at(-1)! + widths.at(-1)! + 16;
  const last = states.length - 1;
  const shown = Array.from({ length: SNAPSHOTS }, (_, i) => Math.round(i * last / (SNAPSHOTS - 1)));
  const height = TOP + ROW * SNAPSHOTS + 34;
  const rows = shown.map((step, row) => {
    const y = TOP + row * ROW;
    const cells = states[step].map((cell, i) => {
      const box = `x="${starts[i].toFixed(1)}" y="${y}" width="${
        widths[i].toFixed(1)
      }" height="20" rx="3"`;
      if (!cell) return `<rect ${box} fill="#8b93a1"/>`;
      const x = (starts[i] + PADDING / 2).toFixed(1);
      return `<rect ${box} fill="${colour(cell.confidence)}"/><text x="${x}" y="${y + 14}">${
        escape(cell.text)
      }</text>`;
    });
    return `<text x="8" y="${y + 14}" class="note">step ${step}</text>${cells.join("")}`;
  });
  const border = starts[BLOCK_LENGTH] - 1;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${Math.ceil(width)} ${height}" ` +
    `font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">`,
    `<style>.note{font-family:system-ui,sans-serif;fill:#57606a}</style>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="8" y="20" class="note" font-size="14">“${PROMPT}”</text>`,
    `<text x="8" y="42" class="note">${last} denoising steps in blocks of ${BLOCK_LENGTH}. Grey: masked. ` +
    `Green to red: sure to unsure when committed. ◼ end of turn, ∅ end of text.</text>`,
    `<line x1="${border}" x2="${border}" y1="${TOP - 4}" y2="${
      TOP + ROW * SNAPSHOTS
    }" stroke="#57606a" stroke-dasharray="3 3"/>`,
    ...rows,
    `<text x="${LEFT}" y="${height - 12}" class="note">position in the answer →</text>`,
    `</svg>`,
    ``,
  ].join("\n");
}

if (import.meta.main) {
  const file = new URL("../.github/denoising.svg", import.meta.url);
  await Deno.mkdir(new URL(".", file), { recursive: true });
  await Deno.writeTextFile(file, draw(await denoise()));
}
