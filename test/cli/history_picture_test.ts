import { assert, assertEquals } from "@std/assert";
import { layoutChart } from "../../src/cli/chart.ts";
import { drawHistory, historyPanels } from "../../src/cli/history_picture.ts";
import type { HistoryLine } from "../../src/compress/run/history.ts";
import { anyGpu } from "../gpu/device.ts";

const evaluation = (average: number) => ({
  ratios: [0.3, 0.5, 0.7],
  agreement: [average + 0.01, average, average - 0.01],
  average,
  confidentCorrect: 0.99,
  sureShare: 0.5,
});
const LINES: HistoryLine[] = [
  { step: 0, tokens: 0, seconds: 0, evaluation: evaluation(0.6) },
  { step: 50, tokens: 100, seconds: 1, loss: 2, rate: 1e-3 },
  { step: 100, tokens: 200, seconds: 2, loss: 1, rate: 1e-3, evaluation: evaluation(0.9) },
];

Deno.test("a history's loss and agreement have a panel each, on scales that hold every value", () => {
  const { panels, quads, width, height } = layoutChart("a run", historyPanels(LINES));
  assertEquals(panels.map(({ curves }) => curves.map(({ label }) => label)), [
    ["loss"],
    ["average", "mask 0.3", "mask 0.5", "mask 0.7", "confident-correct"],
  ]);
  assertEquals(panels.map(({ bounds }) => bounds.y), [[1, 2], [0.59, 0.99]]);
  for (const { left, top, ...size } of quads) {
    assert(left >= 0 && left + size.width <= width && top >= 0 && top + size.height <= height);
  }
});

Deno.test("without an evaluation there is the loss alone, and one value has a scale", () => {
  const { panels } = layoutChart("a run", historyPanels([LINES[1]]));
  assertEquals(panels.map(({ bounds }) => bounds.y), [[1.5, 2.5]]);
});

Deno.test("a history is drawn: a higher loss stands higher", async () => {
  const { width, rgba } = await drawHistory(anyGpu, "a run", LINES);
  const { panels: [{ curves: [{ colour }], top }] } = layoutChart("a run", historyPanels(LINES));
  const bytes = colour.map((part) => Math.round(255 * part));
  const rowsAt = (x: number) =>
    Array.from({ length: 220 }, (_, i) => top + i).filter((y) =>
      bytes.every((byte, part) => Math.abs(rgba[4 * (y * width + x) + part] - byte) <= 1)
    );
  const right = width - 20;
  const middle = right - 200;
  assert(rowsAt(middle).length > 0 && rowsAt(right).length > 0);
  assert(rowsAt(middle)[0] < rowsAt(right)[0]);
});
