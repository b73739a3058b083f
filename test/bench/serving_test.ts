/** What `bench serving` makes of its measurements, and that it sees an answer that differs. */

import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  levelsOf,
  type ServedLevel,
  type ServedRound,
  servedSettings,
  spreadOf,
  sumOf95,
} from "../../src/bench/serving.ts";
import { serveAnswer } from "../../src/bench/served_answer.ts";
import {
  autoComparisons,
  leastFirstToAlone,
  possibleGain,
  servingTables,
  shareOfPossible,
} from "../../src/bench/serving_tables.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { CommittedToken, GenerateEvent } from "../../src/engine/request.ts";
import { chosenSettings, settingName } from "../../src/bench/strategies.ts";
import { servingPanels } from "../../src/cli/serving_chart.ts";

Deno.test("beside the settings of bench strategies there are answers under a schema", () => {
  const names = ["threshold+schema", "plain", "plain+schema"];
  const chosen = servedSettings(names);
  assertEquals(chosen.map(settingName).toSorted(), names.toSorted());
  assertEquals(chosen.filter(({ constraint }) => constraint).length, 2);
  assertThrows(() => servedSettings(["self+schema"]), Error, "no setting is called self+schema");
  assertThrows(() => chosenSettings(["plain+schema"]), Error, "no setting");
});

Deno.test("a spread is by nearest rank", () => {
  const twenty = Array.from({ length: 20 }, (_, i) => 20 - i);
  assertEquals(spreadOf(twenty), { p50: 10, p95: 19 });
  assertEquals(spreadOf([7]), { p50: 7, p95: 7 });
  assertEquals([sumOf95(twenty), sumOf95([7, 1])], [19 * 10, 8]);
});

function round(seconds: number, first: number, choices = {}): ServedRound {
  const spread = { p50: first / 2, p95: first };
  return {
    seconds,
    tokens: 60,
    forwards: 30,
    firstMilliseconds: spread,
    firstMillisecondsOf95: 6 * first,
    totalMilliseconds: spread,
    requestsPerPass: 1,
    rowsPerPass: 80,
    choices,
  };
}

const [WHOLE, BLOCK] = ["whole", "block"] as const;

/** One client and four, in two rounds of 12 requests. */
const LEVELS = levelsOf(
  [1, 4],
  [[round(8, 100), round(6, 90)], [round(4, 300), round(5, 200)]],
  12,
);

Deno.test("a level is told by its fastest round, held against that of one client", () => {
  const [alone, four] = LEVELS;
  assertEquals([alone.answersPerSecond, alone.toAlone, alone.firstToAlone], [2, 1, 1]);
  assertEquals([four.answersPerSecond, four.tokensPerSecond], [3, 15]);
  assertEquals([four.toAlone, four.firstToAlone], [6 / 4, 300 / 90]);
  assertEquals(four.toAloneByRound, [8 / 4, 6 / 5]);
});

function bench(levels: readonly ServedLevel[]) {
  const [plain, dual] = chosenSettings(["plain", "threshold+dual"]);
  const told = { answers: 48, different: 0, mayDiffer: false, levels };
  return {
    model: "m",
    adapter: "a",
    requests: 12,
    rounds: 2,
    typicalRows: 80,
    passes: [{ rows: 32, milliseconds: 10 }, { rows: 512, milliseconds: 80 }],
    shared: [
      { kind: WHOLE, sequences: 1, rows: 80, milliseconds: 20, gain: 1 },
      { kind: WHOLE, sequences: 4, rows: 320, milliseconds: 40, gain: 2 },
      { kind: BLOCK, sequences: 1, rows: 32, milliseconds: 10, gain: 1 },
      { kind: BLOCK, sequences: 4, rows: 128, milliseconds: 16, gain: 2.5 },
    ],
    settings: [{ ...plain, name: "plain", ...told }, {
      ...dual,
      name: "threshold+dual",
      ...told,
      different: 3,
    }],
  };
}

Deno.test("what was gained is held against what shared steps could gain", () => {
  const report = bench(LEVELS);
  const [plain, dual] = report.settings;
  assertEquals(LEVELS.map((level) => shareOfPossible(report, plain, level)), [undefined, 0.75]);
  assertEquals(LEVELS.map((level) => shareOfPossible(report, dual, level)), [undefined, 0.6]);
  // The work before the texts of all but one is six times the p95 of one, and goes twice as fast.
  assertEquals(leastFirstToAlone(report, plain), 6 / 2);
  const drafted = { ...plain, ...chosenSettings(["commit_verify"])[0] };
  assertEquals(shareOfPossible(report, drafted, LEVELS[1]), undefined);
  // Eight that gain nothing together can take turns as four and four.
  const eight = { kind: WHOLE, sequences: 8, rows: 640, milliseconds: 200, gain: 0.8 };
  assertEquals(possibleGain([...report.shared, eight], 8, [WHOLE]), 2);
  const text = servingTables(report);
  for (
    const part of [
      "threshold+dual: 45 of 48 answers were those of one alone, bit by bit",
      "512 rows does 2.00 x as many rows a second as one of 32",
      "can be 2.00 x as fast as one at a time, 2.50 x where the steps are of cached blocks",
    ]
  ) assertEquals(text.includes(part), true, `${part}\n${text}`);
  const panels = servingPanels(report);
  assertEquals(panels.map(({ y: { high } }) => high), [4, 4, 4]);
  assertEquals(panels[0].curves.map(({ points }) => points.map(({ y }) => y)), [
    [1, 2],
    [1, 2.5],
    [1, 1.5],
    [1, 1.5],
  ]);
});

Deno.test("auto is held against the fastest strategy of its kind, and its choices are told", () => {
  const report = bench(LEVELS);
  const [auto, lossless] = chosenSettings(["auto", "lossless"]).toSorted((a, b) =>
    a.strategy < b.strategy ? -1 : 1
  );
  const told = report.settings[0];
  const levels = levelsOf([1, 4], [
    [round(4, 90), round(4, 90)],
    [round(5, 90, { plain: 3, "self 2": 9 }), round(3, 90, { plain: 5 })],
  ], 12);
  const quick = levelsOf([1, 4], [[round(2, 9)], [round(6, 9)]], 12);
  const settings = [
    ...report.settings,
    { ...told, ...lossless, name: "lossless", levels: quick },
    { ...told, ...auto, name: "auto", levels },
  ];
  // The cached one is not of its kind.
  assertEquals(autoComparisons({ settings }), [
    { name: "auto", concurrency: 1, best: "lossless", ratio: 2 / 4 },
    { name: "auto", concurrency: 4, best: "plain", ratio: 4 / 3 },
  ]);
  const text = servingTables({ ...report, settings });
  for (
    const part of [
      "auto, 4 clients, chose self 2 (9 steps); plain (8 steps)",
      "auto, 1 client: 50% of the tokens/s of the best fixed strategy, lossless",
    ]
  ) assertEquals(text.includes(part), true, `${part}\n${text}`);
});

function engineOf(commits: readonly Partial<CommittedToken>[]): Pick<Engine, "generate"> {
  const events = [
    { type: "start", generationLength: 8 },
    ...commits.map((commit) => ({ type: "step", delta: "", commits: [commit] })),
    { type: "end", text: "x", usage: { promptTokens: 3, completionTokens: 2 }, stats: {} },
  ] as GenerateEvent[];
  return {
    async *generate() {
      yield* events;
    },
  };
}

Deno.test("answers differ by the last bit of a confidence; auto's only in what each choice gives", async () => {
  const [first, second, third] = [0, 1, 2].map((position) => ({
    position,
    token: 9,
    confidence: 0.5,
  }));
  const bits = async (commits: readonly Partial<CommittedToken>[], strategy: "plain" | "auto") =>
    (await serveAnswer(engineOf(commits), { strategy })).bits;
  const off = { ...second, confidence: second.confidence + 2 ** -25 };
  for (const strategy of ["plain", "auto"] as const) {
    const expected = await bits([first, second, third], strategy);
    assertEquals(await bits([first, second, third], strategy), expected);
    assertNotEquals(await bits([first, off, third], strategy), expected);
    const same = strategy === "auto";
    // In another order, and another token behind the end.
    assertEquals(await bits([second, first, third], strategy) === expected, same);
    assertEquals(await bits([first, second, { ...third, token: 8 }], strategy) === expected, same);
  }
});
