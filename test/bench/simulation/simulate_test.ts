import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  ANSWERS_SOURCE,
  RECORDED_ANSWERS,
  RECORDED_CURVES,
} from "../../../src/bench/simulation/recorded.ts";
import {
  chosenCurves,
  simulate,
  type SimulatedLoads,
} from "../../../src/bench/simulation/simulate.ts";
import { loadPanels } from "../../../src/cli/bench_simulate.ts";
import { layoutChart } from "../../../src/cli/chart.ts";
import { readConfig } from "../../../src/model/loading/config.ts";
import { passShare } from "../../../src/model/pass_cost.ts";

Deno.test("recorded answers are whole: every job has rows, and text comes within them", () => {
  assert(ANSWERS_SOURCE.includes("models/tiny-target"));
  const settings = new Set(RECORDED_ANSWERS.map(({ setting }) => setting));
  assertEquals([...settings], [
    "plain",
    "plain+dual",
    "plain+dual, blocks of 8",
    "threshold",
    "threshold+dual",
    "gate",
    "commit_verify",
    "lossless",
    "auto",
  ]);
  for (const { jobs, beforeText, tokens } of RECORDED_ANSWERS) {
    const passes = jobs.reduce((sum, { rows }) => sum + rows.length, 0);
    assert(tokens > 0 && beforeText >= 1 && beforeText <= passes);
    for (const { rows } of jobs) assert(rows.length > 0 && rows.every((count) => count >= 1));
  }
  const dual = RECORDED_ANSWERS.filter(({ setting }) => setting.includes("dual"));
  assert(dual.every(({ jobs }) => jobs[0].refreshes));
  const drafted = (setting: string) =>
    RECORDED_ANSWERS.filter((answer) => answer.setting === setting)
      .every(({ jobs }) => jobs.some(({ model }) => model === "draft"));
  assertEquals([...settings].filter(drafted), ["gate", "commit_verify", "lossless"]);
});

Deno.test("recorded curves say what they are of, and how the times were found", () => {
  for (const { device, draft, ...target } of Object.values(RECORDED_CURVES)) {
    assert(device);
    for (const { model, source, points } of [target, draft]) {
      assert(model && /^(measured|predicted|assumed)/.test(source));
      assert(points.length >= 5);
      for (let i = 1; i < points.length; i++) assert(points[i].rows > points[i - 1].rows);
      assert(points[0].milliseconds > 0);
      assert(points[points.length - 1].milliseconds > 2 * points[0].milliseconds);
    }
    assertEquals(draft.source.startsWith("assumed"), target.source.startsWith("predicted"));
    draft.points.forEach(({ rows, milliseconds }, i) => {
      assertEquals(rows, target.points[i].rows);
      assert(milliseconds < target.points[i].milliseconds);
    });
  }
  const { points, draft } = RECORDED_CURVES["llada-8b-bf16"];
  const [target, small] = ["models/tiny-target", "models/tiny-draft"].map(readConfig);
  const share = draft.points[0].milliseconds / points[0].milliseconds;
  assertAlmostEquals(share, passShare(small, target), 1e-3);
});

Deno.test("a curve is chosen by name", () => {
  assertEquals(chosenCurves(), Object.keys(RECORDED_CURVES));
  assertEquals(chosenCurves(["llada-8b-q4"]), ["llada-8b-q4"]);
  assertThrows(() => chosenCurves(["h100"]), Error, "no curve is called h100; there are ");
});

Deno.test("a report holds every load, and its picture a line for each way", () => {
  const { curves: [curve] } = simulate(["llada-8b-bf16"], {
    loads: [0.5, 2],
    requests: 60,
    leastSeconds: 1,
  });
  const [usual, drafted] = curve.loads;
  const loadsOf = ({ points }: SimulatedLoads) => points.map(({ load }) => load);
  assertEquals(loadsOf(usual), [0.5, 2, undefined, 0.5, 2, undefined]);
  assertEquals(loadsOf(drafted), [0.5, undefined, 0.5]);
  for (const { points } of [usual, drafted]) {
    for (const { outcomes } of points) {
      for (const { asked, answered, refused } of Object.values(outcomes)) {
        assertEquals(answered + refused, asked);
      }
    }
  }
  const rowsOf = ({ points: [{ outcomes }] }: SimulatedLoads) => Object.values(outcomes)[0].rows;
  assertEquals(rowsOf(usual).draft, 0);
  assert(rowsOf(drafted).draft > 0);
  for (const { times, bound } of curve.clients) {
    assert(times > 0.9 && times <= bound, `${times} times, at most ${bound}`);
  }
  const { panels } = layoutChart("load", loadPanels(usual));
  assertEquals(panels.map(({ curves }) => curves.length), [3, 3, 3, 3]);
});
