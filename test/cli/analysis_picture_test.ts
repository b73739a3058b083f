/** An analysis as a picture. */

import { assert, assertEquals } from "@std/assert";
import { drawAnalysis, layoutAnalysis } from "../../src/cli/analysis_picture.ts";
import { contiguousBlocks } from "../../src/compress/prune/ablation.ts";
import type { Analysis } from "../../src/compress/prune/analysis.ts";
import { anyGpu } from "../gpu/device.ts";

/** An analysis in which a layer is missed the more the later it stands. */
function analysisOf(layers: number, blocks: readonly number[]): Analysis {
  return {
    model: "a-model",
    layers,
    ffn_size: 8,
    examples: 3,
    data: ["text.jsonl"],
    seed: 0,
    device: "a device",
    weights: "as stored",
    ablations: contiguousBlocks(layers, blocks).map((skipped) => {
      const agreement = 1 - Math.max(...skipped) / layers;
      const byRatio = [0.3, 0.5, 0.7].map((maskRatio) => ({ maskRatio, agreement }));
      const rest = { confidentCorrect: NaN, confidentShare: 0, calibrationError: 0 };
      return { skipped, agreement, byRatio, ...rest };
    }),
    positions: 10,
    widths: Array.from({ length: layers }, (_, layer) => ({
      layer,
      inactive: layer % 9,
      mean: 1,
      lost: [],
      heads: [1],
    })),
    importance_file: "importance.safetensors",
  };
}

Deno.test("bars fall with the agreement, and blocks stand where they begin", () => {
  for (const layers of [3, 8, 32]) {
    const { width, height, bars, cells, quads } = layoutAnalysis(analysisOf(layers, [2, 8]));
    assertEquals(bars.length, layers);
    assertEquals(bars, bars.toSorted((a, b) => b - a));
    assert(bars[0] > bars[layers - 1]);
    const lengths = [2, 8].filter((length) => length < layers);
    assertEquals(cells.length, lengths.reduce((sum, length) => sum + layers - length + 1, 0));
    const [first, second] = cells;
    assert(second.left > first.left && second.top === first.top && second.value < first.value);
    for (const { left, top, width: across, height: down } of quads) {
      assert(left >= 0 && top >= 0 && left + across <= width && top + down <= height);
    }
  }
});

Deno.test("it is drawn, without blocks too", async () => {
  const { width, height, rgba } = await drawAnalysis(anyGpu, analysisOf(2, []));
  assertEquals(rgba.length, 4 * width * height);
  assert(new Set(rgba).size > 5);
});
