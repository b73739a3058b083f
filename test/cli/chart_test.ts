/** Charts: where points lie, what axes say, and that nothing leaves the picture. */

import { assert, assertEquals } from "@std/assert";
import { CURVE_COLOURS, layoutChart, type Panel } from "../../src/cli/chart.ts";

const panel: Panel = {
  x: { label: "steps" },
  y: { label: "agreement", low: 0, high: 1 },
  curves: [
    {
      label: "average",
      colour: CURVE_COLOURS[1],
      points: [{ x: 0, y: 0 }, { x: 10, y: 0.5 }, {
        x: 20,
        y: 1,
        label: "a long name at the edge",
      }],
      marked: true,
    },
    { label: "nothing", colour: CURVE_COLOURS[2], points: [{ x: NaN, y: 1 }] },
  ],
};

Deno.test("a chart puts points between the ends of its axes, and all of it into the picture", () => {
  const { width, height, quads, panels: [placed] } = layoutChart("A chart", [panel]);
  assertEquals(placed.bounds, { x: [0, 20], y: [0, 1] });
  assertEquals(placed.curves.map(({ label }) => label), ["average"]);
  for (const quad of quads) {
    assert(
      quad.left >= 0 && quad.left + quad.width <= width,
      `${JSON.stringify(quad)} of ${width}`,
    );
    assert(quad.top >= 0 && quad.top + quad.height <= height, `${JSON.stringify(quad)}`);
  }
  const dots = quads.filter(({ colour, width, height }) =>
    colour === CURVE_COLOURS[1] && width === 5 && height === 5
  );
  assertEquals(dots.length, 3);
  const [first, middle, last] = dots;
  assert(first.left < middle.left && middle.left < last.left);
  assert(first.top > middle.top && middle.top > last.top);
  assert(Math.abs(2 * middle.top - first.top - last.top) <= 1);
});

Deno.test("a panel without a finite point is left out, and a flat curve has a scale", () => {
  const flat = {
    ...panel,
    y: { label: "loss" },
    curves: [{ ...panel.curves[0], points: [{ x: 1, y: 2 }] }],
  };
  const empty = { ...panel, curves: [panel.curves[1]] };
  const { panels } = layoutChart("A chart", [empty, flat]);
  assertEquals(panels.map(({ bounds }) => bounds), [{ x: [0.5, 1.5], y: [1.5, 2.5] }]);
});
