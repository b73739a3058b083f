import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  FastController,
  type FastWay,
  type Pass,
} from "../../../src/denoise/auto/fast_controller.ts";
import {
  answerAll,
  type DeviceProfile,
  drawAnswers,
  randomFrom,
  trueCost,
} from "./simulated_device.ts";

const pass = (name: string, ...contains: string[]): Pass => ({ name, contains });
const ALL: Pass = { ...pass("all", "rest", "block"), like: "kept" };
const KEPT: Pass = { ...pass("kept", "rest", "block"), like: "all" };
const CACHES: readonly (readonly [string, Pass, Pass])[] = [
  ["dual", KEPT, pass("block")],
  ["prefix", KEPT, pass("rest", "block")],
  ["none", ALL, ALL],
];
const BLOCK_WAYS = ["factor", "threshold"].flatMap((rule) =>
  CACHES.map(([cache, first, later]): FastWay => ({
    name: `${rule} ${cache}`,
    rule,
    first,
    later,
    drafts: false,
  }))
);
const DRAFT_WAYS = ["gate", "commit_verify"].map((name): FastWay => {
  const round = pass(name, "all", "kept");
  return { name, rule: name, first: round, later: round, drafts: true };
});
const WAYS = [...BLOCK_WAYS, ...DRAFT_WAYS];

/** A profile, the way that is best on it, and the most that 100 answers may cost beyond it. */
const PROFILES: Readonly<Record<string, readonly [DeviceProfile, string, number]>> = {
  "a pass is bound by its rows: the dual cache wins": [
    {
      passes: { all: 1, kept: 1.1, rest: 0.7, block: 0.35, gate: 1.65, commit_verify: 2.5 },
      rules: { threshold: 0.8, factor: 0.55, gate: 0.9, commit_verify: 0.8 },
      draft: 0.65,
    },
    "factor dual",
    0.03,
  ],
  "rows are cheap and keeping is dear: no cache wins": [
    {
      passes: { all: 1, kept: 1.3, rest: 1.2, block: 1.1, gate: 1.65, commit_verify: 2.5 },
      rules: { threshold: 0.8, factor: 0.75, gate: 0.8, commit_verify: 0.6 },
      draft: 0.65,
    },
    "factor none",
    0.05,
  ],
  "the other rule wins": [
    {
      passes: { all: 1, kept: 1.05, rest: 0.8, block: 0.5, gate: 1.65, commit_verify: 2 },
      rules: { threshold: 0.8, factor: 1.1, gate: 0.9, commit_verify: 0.8 },
      draft: 0.65,
    },
    "threshold dual",
    0.06,
  ],
  "rows are cheap, the draft is small and agrees: gate wins": [
    {
      passes: { all: 1, kept: 1, rest: 0.95, block: 0.9, gate: 1.1, commit_verify: 1.3 },
      rules: { threshold: 0.8, factor: 0.75, gate: 0.3, commit_verify: 0.6 },
      draft: 0.1,
    },
    "gate",
    0.08,
  ],
  "rows are cheap, the draft costs a quarter, its guesses are kept: commit_verify wins": [
    {
      passes: { all: 1, kept: 1, rest: 0.97, block: 0.95, gate: 1.25, commit_verify: 1.4 },
      rules: { threshold: 1.6, factor: 1.4, gate: 1.4, commit_verify: 0.2 },
      draft: 0.25,
    },
    "commit_verify",
    0.1,
  ],
  "ways are far apart: none but the best is used twice": [
    {
      passes: { all: 3, kept: 3.1, rest: 2.5, block: 0.2, gate: 5, commit_verify: 6 },
      rules: { threshold: 0.8, factor: 0.8, gate: 0.8, commit_verify: 0.8 },
      draft: 2,
    },
    "factor dual",
    0.05,
  ],
};
const SEEDS = 60;

for (const [name, [device, winner, most]] of Object.entries(PROFILES)) {
  Deno.test(`${name}; on average at most ${100 * most}% dearer than knowing it`, () => {
    let dearer = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = randomFrom(seed);
      const answers = drawAnswers(100, random);
      const cost = (way: FastWay) =>
        answers.flat().reduce((total, content) => total + trueCost(device, way, content), 0);
      const best = Math.min(...WAYS.map(cost));
      dearer += (answerAll(device, new FastController(), WAYS, answers, random) / best - 1) / SEEDS;
      if (seed === 0) assertEquals(cost(WAYS.find((way) => way.name === winner)!), best);
    }
    assert(dearer < most, `${(100 * dearer).toFixed(1)}% dearer`);
  });
}

/** Answers with the same way all the time. */
function use(controller: FastController, way: FastWay, costs: Record<string, number>, times = 6) {
  for (let i = 0; i < times; i++) {
    controller.learnSteps([way.first], costs[way.first.name]);
    controller.learnSteps([way.later, way.later], 2 * costs[way.later.name]);
    controller.learnBlock(way, { steps: 3, tokens: 32, open: 4 });
  }
}

const [FACTOR_DUAL, FACTOR_PREFIX, FACTOR_NONE] = BLOCK_WAYS;

Deno.test("what is dearer in the best of cases is not tried, what may be cheaper is", () => {
  const controller = new FastController();
  const costs = { kept: 10, block: 2 };
  use(controller, FACTOR_DUAL, costs);
  // Without a cache every pass costs about what the first one does with it.
  assert(controller.expected(FACTOR_NONE) > 1.5 * controller.expected(FACTOR_DUAL));
  assertEquals(controller.expected(FACTOR_DUAL), 14);
  // At best a strategy with a draft takes 0.3 of the two further steps: 1.6 (10 + draft).
  assertEquals(controller.choose([FACTOR_DUAL, ...DRAFT_WAYS], 6).name, "factor dual");
  assertEquals(controller.choose([FACTOR_DUAL, ...DRAFT_WAYS], 0.1).name, "factor dual");
  use(controller, { ...FACTOR_DUAL, later: KEPT }, costs, 20);
  assertEquals(
    controller.choose([{ ...FACTOR_DUAL, later: KEPT }, ...DRAFT_WAYS], 0.1).drafts,
    true,
  );
});

Deno.test("a way with a draft waits until one without was measured", () => {
  const controller = new FastController();
  assertEquals(controller.choose(WAYS).drafts, false);
  for (const way of DRAFT_WAYS) use(controller, way, { gate: 0.01, commit_verify: 0.01 });
  assertEquals(controller.choose(WAYS).drafts, false);
});

Deno.test("near ways are looked at again now and then, far ones hardly ever", () => {
  const controller = new FastController();
  const costs: Record<string, number> = { kept: 10, block: 4, rest: 4.4, all: 40 };
  for (const way of [FACTOR_DUAL, FACTOR_PREFIX, FACTOR_NONE]) use(controller, way, costs);
  const uses: Record<string, number> = {};
  for (let i = 0; i < 300; i++) {
    const way = controller.choose([FACTOR_DUAL, FACTOR_PREFIX, FACTOR_NONE]);
    uses[way.name] = (uses[way.name] ?? 0) + 1;
    use(controller, way, costs, 1);
  }
  assert(uses["factor prefix"] >= 10 && uses["factor prefix"] <= 60, JSON.stringify(uses));
  assert((uses["factor none"] ?? 0) <= 1, JSON.stringify(uses));
});

Deno.test("a way that becomes cheaper is found, and one that becomes dearer is left", () => {
  const controller = new FastController();
  const costs: Record<string, number> = { kept: 10, block: 4, rest: 5, all: 9 };
  const ways = [FACTOR_DUAL, FACTOR_PREFIX, FACTOR_NONE];
  for (const way of ways) use(controller, way, costs);
  const cheapest = () =>
    ways.reduce((a, b) => controller.expected(b) < controller.expected(a) ? b : a).name;
  assertEquals(cheapest(), "factor dual");
  Object.assign(costs, { kept: 15, block: 12, rest: 15 });
  for (let i = 0; i < 40; i++) use(controller, controller.choose(ways), costs, 1);
  assertEquals(cheapest(), "factor none");
  Object.assign(costs, { kept: 6, block: 2, rest: 3 });
  // Behind looks at both other ways.
  for (let i = 0; i < 600; i++) use(controller, controller.choose(ways), costs, 1);
  assertEquals(cheapest(), "factor dual");
});

Deno.test("passes that ran together share their time as they usually do", () => {
  const controller = new FastController();
  const [, , later] = CACHES[0];
  const measuredCost = () => controller.expected({ ...FACTOR_DUAL, first: later });
  // The first block's passes run alone, the second's together.
  for (let i = 0; i < 3; i++) controller.learnSteps([KEPT], 10);
  assertEquals(measuredCost(), 0);
  for (let i = 0; i < 3; i++) controller.learnSteps([KEPT, later, later], 16);
  assertEquals(measuredCost(), 3);
  // Both became twice as dear.
  for (let i = 0; i < 20; i++) controller.learnSteps([KEPT, later, later], 32);
  assertAlmostEquals(measuredCost(), 6, 0.6);
  assertAlmostEquals(controller.expected(FACTOR_DUAL), 20, 2);
});

Deno.test("rates are tokens per millisecond and row of what was measured", () => {
  const controller = new FastController();
  assertEquals(controller.rates, {});
  use(controller, FACTOR_DUAL, { kept: 10, block: 3 });
  assertEquals(controller.rates, { "factor dual": 2 });
});
