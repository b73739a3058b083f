/** What `unmask bench` counts, not what it times. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { linearRate } from "../../src/bench/linear_layers.ts";
import { benchLoad, figuresOf } from "../../src/bench/loading.ts";
import { rooflineRow, roofOf } from "../../src/bench/roofline.ts";
import { measureCeilings } from "../../src/bench/ceilings.ts";
import { profileRows } from "../../src/cli/terminal/profile.ts";
import { forwardOperations, timeDenoise, timeForward } from "../../src/bench/model.ts";
import { loadSynthetic } from "../../src/model/synthetic/synthetic.ts";
import {
  chosenSettings,
  comparisons,
  settingName,
  type StrategyBench,
  type StrategyReport,
} from "../../src/bench/strategies.ts";
import { NO_TOTALS } from "../../src/engine/stats.ts";
import { anyGpu } from "../gpu/device.ts";
import { TINY_TARGET } from "../model/models.ts";
import { runTask } from "./command.ts";

Deno.test("a synthetic model loads, is timed, and reads back once in four steps", async () => {
  using model = await loadSynthetic(anyGpu, {
    hiddenSize: 64,
    layers: 2,
    heads: 4,
    ffnSize: 96,
    vocabSize: 300,
    maxSequenceLength: 128,
  });
  // Per layer 4 d^2 + 3 d f weights, two operations each a row; attention 4 n^2 d; the head.
  const expected = 2 * (2 * 10 * (4 * 64 ** 2 + 3 * 64 * 96) + 4 * 100 * 64) + 2 * 3 * 64 * 300;
  assertEquals(forwardOperations(model, 10, 3), expected);
  const forward = await timeForward(model, 40);
  assert(forward.milliseconds > 0 && forward.gflopPerSecond > 0);
  // A GPU else begins while the rest is recorded.
  model.recorder.firstSubmit = Infinity;
  const timing = await timeDenoise(model, { promptTokens: 5, genLength: 16, steps: 16 });
  assertEquals(timing.readbacksPerStep, 0.25);
  assertEquals(timing.submitsPerStep, 0.25);
  // Norm, qkv, attention, output; norm, gate and up, down. What adds to rows norms them on a software adapter.
  const norms = anyGpu.rowForm === "exchanged" ? 2 * 2 - 1 : 0;
  assertEquals(timing.dispatchesPerStep, 2 * 7 + 6 - norms);
  assert(timing.hostShare > 0 && timing.hostShare < 1, `${timing.hostShare}`);
});

Deno.test("rates of kernels are finite", async () => {
  const { multiplyAdd, copyGigabytesPerSecond } = await measureCeilings(anyGpu);
  assert(Number.isFinite(copyGigabytesPerSecond) && copyGigabytesPerSecond > 0);
  assertEquals("f16" in multiplyAdd, anyGpu.features.includes("shader-f16"));
  const linear = [
    await linearRate(anyGpu, "bf16", 9, 40, 130),
    await linearRate(anyGpu, "q4", 9, 64, 130, { arithmetic: "int8" }),
  ];
  for (const { gflopPerSecond, gflopPerCpuSecond } of [...Object.values(multiplyAdd), ...linear]) {
    assert(Number.isFinite(gflopPerSecond) && gflopPerSecond > 0);
    assert(Number.isFinite(gflopPerCpuSecond) && gflopPerCpuSecond > 0);
  }
});

Deno.test("loads are told beside the plain reads before them", async () => {
  const run = { hostBytes: 5, gpuBytes: 7 };
  const runs = [
    { ...run, readSeconds: 1, loadSeconds: 2 },
    { ...run, readSeconds: 2, loadSeconds: 16, hostBytes: 9 },
    { ...run, readSeconds: 4, loadSeconds: 4 },
  ];
  assertEquals(figuresOf("q4", runs, 8e9), {
    weights: "q4",
    runs,
    readGigabytesPerSecond: 4,
    loadGigabytesPerSecond: 2,
    share: 0.5,
    hostBytes: 9,
  });
  const { loads, bytes } = await benchLoad(anyGpu, TINY_TARGET, {
    choices: ["stored", "q4"],
    rounds: 2,
  });
  assertEquals(loads.map(({ weights, runs }) => [weights, runs.length]), [["stored", 2], [
    "q4",
    2,
  ]]);
  const [stored, q4] = loads.map(({ runs }) => runs[0]);
  assert(stored.gpuBytes > bytes && q4.gpuBytes < stored.gpuBytes);
  for (const { hostBytes } of [stored, q4]) assert(hostBytes >= 0 && hostBytes < 2 ** 28);
});

Deno.test("a roof is the lower of arithmetic and bandwidth, and a share is of it", () => {
  const rate = (value: number) => ({ gflopPerSecond: value, gflopPerCpuSecond: value / 2 });
  const ceilings = { multiplyAdd: { f32: rate(100), int8: rate(400) }, copyGigabytesPerSecond: 10 };
  const one = { scheme: "bf16", arithmetic: "f32", rows: 1, inner: 4096, columns: 4096 } as const;
  // 2 operations for each 2 bytes of weights, and a little for the row and its result.
  const few = roofOf(one, ceilings);
  assertEquals(few.bound, "memory");
  assert(few.gflopPerSecond < 10 && few.gflopPerSecond > 9.9, `${few.gflopPerSecond}`);
  const many = roofOf({ ...one, rows: 512 }, ceilings);
  assertEquals(many, { bound: "multiply-add", gflopPerSecond: 100 });
  const coded = { ...one, scheme: "q4", arithmetic: "int8", rows: 512 } as const;
  assertEquals(roofOf(coded, ceilings).gflopPerSecond, 400);
  const row = rooflineRow({ ...one, rows: 512, ...rate(30) }, ceilings);
  assertEquals([row.share, row.shareOfCpuCeiling], [0.3, 0.3]);
});

Deno.test("settings of bench strategies are chosen by name; an unknown one is refused", () => {
  const names = chosenSettings().map(settingName);
  assertEquals(new Set(names).size, names.length);
  assertEquals(chosenSettings(["auto+fast", "plain"]).map(settingName), ["plain", "auto+fast"]);
  assertThrows(() => chosenSettings(["plain", "dual", "x"]), Error, "no setting is called dual, x");
});

Deno.test("auto is held against the best fixed strategy that its quality allows", () => {
  const report = (name: string, tokens: number): StrategyReport => {
    const [setting] = chosenSettings([name]);
    return {
      ...setting,
      name,
      correct: 1,
      totals: { ...NO_TOTALS, answers: 1, completionTokens: tokens, seconds: 2 },
      choices: {},
    };
  };
  const fixed = [
    report("plain", 10),
    report("plain+dual", 30),
    report("self", 12),
    report("threshold", 90),
    report("gate", 100),
  ];
  const reports = [...fixed, report("auto", 11), report("auto+fast", 98)];
  assertEquals(comparisons(reports), [
    { quality: "exact", best: "self", ratio: 11 / 12 },
    { quality: "fast", best: "gate", ratio: 0.98 },
  ]);
  assertEquals([comparisons(fixed), comparisons(reports.slice(-2))], [[], []]);
});

Deno.test("bench strategies: the tables, and all of it as JSON", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const { items, ...head } = JSON.parse(await Deno.readTextFile("models/eval-public.json"));
    const data = `${dir}/items.json`;
    await Deno.writeTextFile(data, JSON.stringify({ ...head, items: items.slice(0, 3) }));
    const only = ["--only", "threshold+dual,gate,auto+fast", "--limit", "2"];
    const { code, stdout, stderr } = await runTask("bench", [
      "strategies",
      ...["--data", data, "--json", `${dir}/out.json`],
      // Its own draft: it agrees with itself on every token.
      ...["--draft", TINY_TARGET],
      ...only,
    ]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /answering: \d+ % of 5 prompts/);
    assertMatch(stdout, /after 3 prompts of warm-up for every setting/);
    assertMatch(stdout, /auto, fast, chose .*\(\d+ steps\)/);
    assertMatch(stdout, /auto, fast: \d+% of the best fixed strategy, (threshold\+dual|gate)/);
    const bench: StrategyBench = JSON.parse(await Deno.readTextFile(`${dir}/out.json`));
    assertEquals(bench.settings.map(({ name }) => name), ["threshold+dual", "gate", "auto+fast"]);
    for (const { totals, tokensPerSecond, toPlain } of bench.settings) {
      assertEquals(tokensPerSecond, totals.completionTokens / totals.seconds);
      assertEquals([totals.answers, toPlain], [2, undefined]);
    }
    assertEquals(bench.auto.length, 1);
    const [, { totals: gate }] = bench.settings;
    assertEquals([gate.proposed > 0, gate.accepted], [true, gate.proposed]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a profile's rates are of the ceiling of its arithmetic; without a cost there are none", () => {
  const rate = (value: number) => ({ gflopPerSecond: value, gflopPerCpuSecond: value });
  const ceilings = { multiplyAdd: { f32: rate(100), int8: rate(400) }, copyGigabytesPerSecond: 10 };
  const [products, other] = profileRows([
    {
      kernel: "matmul q4, int8",
      dispatches: 2,
      milliseconds: 30,
      cost: { operations: 3e9, bytes: 6e7 },
      arithmetic: "int8",
    },
    { kernel: "commit", dispatches: 1, milliseconds: 10, cost: undefined, arithmetic: undefined },
  ], ceilings);
  assertEquals(
    [products.share, products.gflopPerSecond, products.shareOfMultiplyAdd],
    [0.75, 100, 0.25],
  );
  assertEquals([products.gigabytesPerSecond, products.shareOfCopy], [2, 0.2]);
  assertEquals([other.share, other.gflopPerSecond], [0.25, undefined]);
});
