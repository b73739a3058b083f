/** `unmask bench device`: what it reckons, what it leaves out and why, and that it leaves nothing behind. */

import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { loadWithin } from "../../src/bench/bounded_load.ts";
import { Budget } from "../../src/bench/budget.ts";
import { benchDevice, type DeviceBenchOptions } from "../../src/bench/device.ts";
import type { DeviceReport } from "../../src/bench/device_report.ts";
import { cacheSpeeds, tokensPerSecond } from "../../src/bench/expected_speed.ts";
import { floorsOf, higherCeilings, passWork } from "../../src/bench/floors.ts";
import { folderSource, type ModelSource, shapeSource } from "../../src/bench/model_source.ts";
import { SILENT } from "../../src/bench/progress.ts";
import { type PassTime, scaled } from "../../src/bench/pass_timing.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { syntheticFolder } from "../../src/model/synthetic/synthetic.ts";
import { bytesPerColumn, SCHEMES } from "../../src/quant/scheme.ts";
import { planFolder, writeFolder } from "../../src/weights/folder_writer.ts";
import { anyGpu, DeviceWatch } from "../gpu/device.ts";
import { TINY_TARGET } from "../model/models.ts";
import { StoppedClock } from "../stopped_clock.ts";

const SHAPE = {
  hiddenSize: 64,
  layers: 4,
  heads: 4,
  ffnSize: 96,
  vocabSize: 300,
  maxSequenceLength: 512,
};
const TINY = shapeSource(anyGpu, "tiny", SHAPE);
/** Not measured, so that tests are quick. */
const CEILINGS = {
  multiplyAddGflopPerSecond: { f32: 50, f16: 6, int8: 30 },
  copyGigabytesPerSecond: 20,
};
const GIVEN = { tokensPerForward: 4, source: "the test" };

/** Runs the bench without its output. */
async function quietly(
  options: Partial<DeviceBenchOptions>,
  gpu: Gpu = anyGpu,
): Promise<{ readonly report: DeviceReport; readonly printed: string }> {
  const { log } = console;
  const lines: string[] = [];
  console.log = (...parts) => void lines.push(parts.join(" "));
  try {
    const report = await benchDevice(gpu, {
      sources: [TINY],
      minutes: 4,
      acceptance: GIVEN,
      ceilings: CEILINGS,
      ...options,
    });
    return { report, printed: lines.join("\n") };
  } finally {
    console.log = log;
  }
}

const pass = (kind: "forward" | "block", rows: number, milliseconds: number): PassTime => ({
  kind,
  rows,
  keys: kind === "block" ? 512 : rows,
  asked: 32,
  operations: 1e9,
  bytes: 1e6,
  passMilliseconds: milliseconds,
  timedMilliseconds: milliseconds,
  runs: 5,
});

Deno.test("a floor is the slower of moving the weights and kept keys once, and of the operations", async () => {
  const ceilings = { multiplyAddGflopPerSecond: { f32: 100 }, copyGigabytesPerSecond: 10 };
  assertEquals(floorsOf({ operations: 1e9, bytes: 2e8 }, ceilings), {
    memoryFloorMilliseconds: 20,
    arithmeticFloorMilliseconds: 10,
    floorMilliseconds: 20,
    bound: "memory",
  });
  assertEquals(floorsOf({ operations: 1e10, bytes: 2e8 }, ceilings).bound, "arithmetic");
  const { passBytes } = await TINY.plan("q8", 4);
  const q8 = (inner: number, columns: number) => columns * bytesPerColumn(SCHEMES.q8, inner);
  const layer = q8(64, 3 * 64) + q8(64, 64) + q8(64, 2 * 96) + q8(96, 64);
  const head = 300 * bytesPerColumn(SCHEMES.bf16, 64);
  assertEquals(passBytes, 4 * layer + head);
  const size = { rows: 32, keys: 512, asked: 32 };
  const work = passWork(TINY.config, size, passBytes, "f16");
  // Keys and values: 512 rows of 64 channels in 2 bytes, in 4 layers.
  assertEquals(work.bytes, passBytes + 2 * 4 * 512 * 64 * 2);
  const products = 2 * 32 * (4 * 64 * 64 + 3 * 64 * 96) + 4 * 32 * 512 * 64;
  assertEquals(work.operations, 4 * products + 2 * 32 * 64 * 300);
});

Deno.test("of two measurements the higher ceilings count", () => {
  const one = { multiplyAddGflopPerSecond: { f32: 3, f16: 5 }, copyGigabytesPerSecond: 7 };
  const other = { multiplyAddGflopPerSecond: { f32: 4, f16: 2 }, copyGigabytesPerSecond: 6 };
  assertEquals(higherCeilings(one, other), {
    multiplyAddGflopPerSecond: { f32: 4, f16: 5 },
    copyGigabytesPerSecond: 7,
  });
});

Deno.test("the time of all layers follows from two numbers of layers; what is in no layer counts once", () => {
  const of = (layers: number) => 7 + 3 * layers;
  assertEquals(scaled(of(4), 4, 32, { milliseconds: of(2), layers: 2 }), of(32));
  assertEquals(scaled(of(32), 32, 32), of(32));
  // Times that fell with the layers tell nothing of one: it is then free, never of negative cost.
  assertEquals(scaled(10, 4, 32, { milliseconds: 11, layers: 2 }), 10);
});

Deno.test("tokens per second: a block pays for its first pass; auto's controller takes the faster cache", () => {
  const passes = [pass("forward", 512, 100), pass("block", 32, 10)];
  assertEquals(tokensPerSecond(passes[0], 4, passes), 40);
  // 8 steps for 32 tokens: one over all positions, seven of the block.
  assertAlmostEquals(tokensPerSecond(passes[1], 4, passes)!, 32000 / 170, 1e-9);
  assertEquals(tokensPerSecond(passes[1], 4, passes.slice(1)), undefined);
  const [best, other] = cacheSpeeds(passes, 4);
  assertEquals([best.cache, other.cache], ["dual", "none"]);
  assertAlmostEquals(best.tokensPerSecond, 32000 / 170, 1e-6);
  assertAlmostEquals(other.tokensPerSecond, 40, 1e-6);
  const slowBlock = [pass("forward", 512, 100), pass("block", 32, 130)];
  assertEquals(cacheSpeeds(slowBlock, 4)[0].cache, "none");
  assertEquals(cacheSpeeds(passes.slice(1), 4), []);
});

Deno.test("every scheme is timed, and freed before the next", async () => {
  using watch = new DeviceWatch(anyGpu);
  const alive: number[] = [];
  const source: ModelSource = {
    ...TINY,
    load: (...args) => {
      alive.push(watch.alive.size);
      return TINY.load(...args);
    },
  };
  const { report, printed } = await quietly({ sources: [source] });
  assertEquals(alive, [0, 0, 0]);
  assertEquals(watch.alive.size, 0);
  assertEquals(report.leftOut, []);
  assertEquals(
    report.schemes.map(({ weights, fits, timedLayers }) => [weights, fits, timedLayers]),
    [
      ["stored", true, 4],
      ["q8", true, 4],
      ["q4", true, 4],
    ],
  );
  for (const { passes, wholeBytes, cacheSpeeds } of report.schemes) {
    assertEquals(passes.map(({ kind, rows, keys }) => [kind, rows, keys]), [
      ["forward", 32, 32],
      ["forward", 128, 128],
      ["forward", 512, 512],
      ["block", 32, 512],
    ]);
    assert(wholeBytes! > 0);
    assertEquals(cacheSpeeds.length, 2);
    for (const one of passes) {
      const { passMilliseconds, floorMilliseconds, timedMilliseconds, shareOfFloor, runs } = one;
      assertEquals(passMilliseconds, timedMilliseconds);
      assertEquals(shareOfFloor, floorMilliseconds / passMilliseconds);
      assert(passMilliseconds > 0 && runs >= 1);
      assert(one.tokensPerSecondAtAcceptance! > one.tokensPerSecondOneAPass!);
    }
  }
  assertEquals([report.autoWeights, report.acceptance], ["stored", GIVEN]);
  assertMatch(printed, /│ stored +│ 32 rows +│ [\d.]+ +│ [\d.]+ +│ (memory|arithmetic) +│ \d+% +│/);
  assertMatch(printed, /│ 32 rows against 512 kept keys +│/);
  assertMatch(printed, /acceptance: 4\.00 tokens a pass \(the test\)/);
});

Deno.test("fewer layers are said to be fewer, and scaled", async () => {
  const { report, printed } = await quietly({ layers: 2 });
  for (const { layers, timedLayers, passes } of report.schemes) {
    assertEquals([layers, timedLayers], [4, 2]);
    for (const { passMilliseconds, timedMilliseconds } of passes) {
      assert(passMilliseconds >= timedMilliseconds);
    }
  }
  assertMatch(printed, /│ q4, timed with 2 of 4 layers, scaled +│/);
});

Deno.test("what does not fit is said with the bytes, and the next model is tried", async () => {
  const gpuMemory = 100_000;
  const { report, printed } = await quietly({ gpuMemory });
  assertEquals(report.schemes.map(({ fits, passes }) => [fits, passes.length]), [
    [false, 0],
    [false, 0],
    [false, 0],
  ]);
  assertEquals(report.autoWeights, null);
  assertMatch(printed, /^auto weights: none fits with 512 positions$/m);
  assertMatch(
    printed,
    /q8: does not fit: tiny takes [\d.]+ [KM]iB, more than the 97\.7 KiB that may be used/,
  );
  const small = shapeSource(anyGpu, "small", { ...SHAPE, layers: 2, maxSequenceLength: 128 });
  const bytes = (await quietly({ sources: [small] })).report.schemes.map((one) => one.wholeBytes!);
  const both = await quietly({ sources: [TINY, small], gpuMemory: Math.max(...bytes) });
  assertEquals(both.report.model, { name: "small", layers: 2 });
  assertEquals(both.report.leftOut.filter((line) => line.startsWith("tiny, ")).length, 3);
  assertEquals(both.report.schemes[0].passes.map(({ rows }) => rows), [32, 128]);
});

Deno.test("when the time is over nothing more is begun, and each thing left out is told", async () => {
  const { report, printed } = await quietly({
    minutes: 0.0001,
    acceptance: { place: TINY_TARGET, prompts: [] },
  });
  assertEquals([report.acceptance, report.schemes.flatMap(({ passes }) => passes)], [null, []]);
  assertEquals(report.leftOut, [
    "acceptance: not measured: the time is over",
    "stored: not timed: the time is over",
    "q8: not timed: the time is over",
    "q4: not timed: the time is over",
  ]);
  for (const line of report.leftOut) assert(printed.includes(line), line);
  assertEquals(report.autoWeights, null);
  assertMatch(printed, /^auto weights: not known; /m);
});

Deno.test("a pass that cannot end in time is left out, by the least time that it takes", async () => {
  // However long the first passes take here: a look at the clock is all that takes time.
  using _ = new StoppedClock(0.01);
  const slow = { multiplyAddGflopPerSecond: { f32: 0.034 }, copyGigabytesPerSecond: 20 };
  const { report } = await quietly({ ceilings: slow, minutes: 0.25 });
  const [{ passes, leftOut }] = report.schemes;
  assertEquals(passes.map(({ rows, keys }) => [rows, keys]), [[32, 32], [128, 128]]);
  assertEquals(leftOut.length, 2);
  assertMatch(leftOut[0], /^stored, 32 rows against 512 kept keys: not timed: it takes about \d/);
  assertMatch(
    leftOut[1],
    /^stored, 512 rows: not timed: it takes about [\d.]+ s, and 1[\d.]+ s are left$/,
  );
});

Deno.test("a budget says what it lacks, and shares what is left", () => {
  using clock = new StoppedClock();
  const budget = new Budget(1);
  assertEquals(budget.lacks(60), undefined);
  assertEquals(budget.lacks(70), "it takes about 70.0 s, and 60.0 s are left");
  assertAlmostEquals(budget.endOfShare(3) - performance.now(), 20_000, 1e-6);
  budget.keep(30);
  assertEquals([budget.lacks(31)?.endsWith("s are left"), budget.lacks(30)], [true, undefined]);
  clock.pass(500);
  assertEquals(budget.lacks(30), "it takes about 30.0 s, and 29.5 s are left");
  budget.keep(0);
  assertEquals(budget.lacks(50), undefined);
});

Deno.test("a load that turns out slow is given up for one of fewer layers, or told", async () => {
  const deep = shapeSource(anyGpu, "deep", {
    ...SHAPE,
    layers: 24,
    vocabSize: 40,
    maxSequenceLength: 64,
  });
  const bytesOf = async (layers: number) => (await deep.plan("q4", layers)).weightBytes;
  const whole = await bytesOf(24);
  // After 2.1 s a twentieth of all layers is there: all take 42 s.
  using clock = new StoppedClock();
  const slow: ModelSource = {
    ...deep,
    async load(choice, layers, onProgress) {
      if (layers === 24) {
        clock.pass(2100);
        onProgress(whole / 20, whole);
      }
      return await deep.load(choice, layers, onProgress);
    },
  };
  const report = SILENT("", String, false);
  const options = { layers: 24, shorten: true, seconds: 22.1, report };
  const loaded = await loadWithin(slow, "q4", options);
  assert(loaded.model);
  using model = loaded.model;
  assertEquals(model.config.layers, loaded.layers);
  // In 20 s, of which 80% are planned with.
  const most = 16 / 42 * whole;
  assert(await bytesOf(loaded.layers) <= most * 1.01, `${loaded.layers}`);
  assert(await bytesOf(loaded.layers + 1) > most * 0.99, `${loaded.layers}`);
  const refused = await loadWithin(slow, "q4", { ...options, shorten: false });
  assert(refused.model === undefined);
  assertEquals(refused.reason, "loading would take about 42 s, and 20 s are left for it");
});

Deno.test("the first layers of a model compute what they do in the whole one, and leave it whole", async () => {
  using model = await TINY.load("q8", 4, () => {});
  const ids = Uint32Array.of(1, 5, 9, 200);
  const before = await model.forward(ids);
  {
    using fewer = model.firstLayers(2);
    const { hidden } = await fewer.forward(ids);
    assertEquals(hidden.get("block.1.out"), before.hidden.get("block.1.out"));
    assertEquals(hidden.has("block.2.out"), false);
  }
  assertEquals((await model.forward(ids)).logits, before.logits);
});

Deno.test("a folder is timed as it is stored and quantised; a quantised one only as stored", async () => {
  const { report } = await quietly({ sources: [folderSource(anyGpu, TINY_TARGET)] });
  assertEquals(report.model, { name: "tiny-target", layers: 8 });
  assertEquals(report.schemes.map(({ weights, passes }) => [weights, passes.length]), [
    ["stored", 4],
    ["q8", 4],
    ["q4", 4],
  ]);
  const [stored, q8, q4] = report.schemes.map(({ wholeBytes }) => wholeBytes!);
  assert(stored > q8 && q8 > q4);
  const dir = await Deno.makeTempDir();
  try {
    using folder = syntheticFolder(SHAPE, {
      shardBytes: 1e9,
      quantisation: { scheme: SCHEMES.q4, head: false },
    });
    await writeFolder(planFolder(dir, folder), () => {});
    assertEquals(folderSource(anyGpu, dir).choices, ["stored"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
