/**
 * `unmask bench serving`: the same requests by one client and by several at once, in one process. What
 * the passes of the model cost, measured in between, tells how much sharing them could gain.
 */

import { PLAIN } from "../denoise/strategy.ts";
import type { Engine } from "../engine/engine.ts";
import { loadEngine } from "../engine/load.ts";
import type { LoadFigures } from "../engine/load_figures.ts";
import type { GenerateRequest } from "../engine/request.ts";
import { sumsByName } from "../engine/stats.ts";
import type { AccuracyItem } from "../evaluate/accuracy.ts";
import type { DeviceChoice } from "../gpu/device_choice.ts";
import type { TunedTiles } from "../model/tiles/tuned_tiles.ts";
import { type ShowProgress, SILENT } from "./progress.ts";
import { serveAnswer, type ServedAnswer } from "./served_answer.ts";
import { PassClock, type PassTimes } from "./shared_pass.ts";
import { chosenSettings, type Setting, settingName } from "./strategies.ts";

/** What a client asks who wants an answer as data. */
const CONSTRAINT: GenerateRequest["constraint"] = {
  kind: "json_schema",
  schema: {
    type: "object",
    properties: {
      answer: { type: "integer", minimum: -9999, maximum: 9999 },
      unit: { type: "string", maxLength: 8 },
      sure: { type: "boolean" },
    },
    required: ["answer", "unit", "sure"],
    additionalProperties: false,
  },
};

/**
 * The settings of `--only`: those of `bench strategies`, and answers under a JSON schema.
 * @throws {Error} naming the unknown settings, and all that exist
 */
export function servedSettings(only: readonly string[]): readonly Setting[] {
  return chosenSettings(only, [
    { strategy: PLAIN, constraint: CONSTRAINT },
    { strategy: "threshold", constraint: CONSTRAINT },
  ]);
}

/** The middle and the tail of some times. */
export interface Spread {
  readonly p50: number;
  readonly p95: number;
}

/** All requests, answered once. */
export interface ServedRound {
  readonly seconds: number;
  readonly tokens: number;
  /** Forward passes of the target that the answers asked for. */
  readonly forwards: number;
  readonly firstMilliseconds: Spread;
  /** Sum of the times until first text of all but the slowest 5%. */
  readonly firstMillisecondsOf95: number;
  readonly totalMilliseconds: Spread;
  /** Requests and rows in a pass of the target, on average. */
  readonly requestsPerPass: number;
  readonly rowsPerPass: number;
  /** Steps by each choice of `auto`. */
  readonly choices: Readonly<Record<string, number>>;
}

/** What a number of clients came to. */
export interface ServedLevel {
  readonly concurrency: number;
  readonly rounds: readonly ServedRound[];
  /** Of these, the one that took the shortest; the other figures are its. */
  readonly fastest: ServedRound;
  readonly answersPerSecond: number;
  readonly tokensPerSecond: number;
  /** Answers per second to those of one client. */
  readonly toAlone: number;
  /** The same within each round. */
  readonly toAloneByRound: readonly number[];
  /** The p95 until first text to that of one client. */
  readonly firstToAlone: number;
}

/** A way to denoise, by so many clients. */
export interface ServedSetting extends Setting {
  readonly name: string;
  readonly answers: number;
  /** Of these, the ones that are not what the request was answered alone, bit by bit. */
  readonly different: number;
  /** Whether they may be: `auto` with quality `fast` follows measured times. */
  readonly mayDiffer: boolean;
  readonly levels: readonly ServedLevel[];
}

/** The report that `--json` writes. */
export interface ServingBench extends PassTimes {
  readonly model: string;
  readonly adapter: string;
  readonly requests: number;
  readonly rounds: number;
  /** Positions of a typical request: prompt and canvas, the middle of all. */
  readonly typicalRows: number;
  readonly settings: readonly ServedSetting[];
}

/** Options of {@linkcode benchServing}. */
export interface ServingOptions extends DeviceChoice {
  /** Numbers of clients; one is always measured. */
  readonly concurrency: readonly number[];
  /** Requests of each number of clients (default: as many as the most clients). */
  readonly limit?: number;
  /** Names of settings, as of {@linkcode servedSettings}. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly steps?: number;
  /** Tokens of a block (default: the model's): with short ones text comes early. */
  readonly blockLength?: number;
  readonly tuned?: TunedTiles;
  readonly progress?: ShowProgress;
  readonly onProvider?: (line: string) => void;
}

/**
 * Answers every prompt alone, for what must come out; then, in rounds, all of them by each number of
 * clients. A slow minute of the machine affects all of them alike.
 * @param items prompts; the first ones are repeated where there are too few
 */
export async function benchServing(
  dir: string,
  items: readonly AccuracyItem[],
  options: ServingOptions,
): Promise<ServingBench> {
  const { concurrency, limit, only, rounds, steps, blockLength, tuned, progress, ...device } =
    options;
  const settings = servedSettings(only);
  const levels = [...new Set([1, ...concurrency])].toSorted((a, b) => a - b);
  const count = limit ?? levels.at(-1)!;
  const prompts = Array.from({ length: count }, (_, i) => items[i % items.length].prompt);
  using engine = await loadEngine(dir, { ...device, tuned, maxWaiting: count });
  const requestsOf = (setting: Setting) =>
    prompts.map((content): GenerateRequest => ({
      messages: [{ role: "user", content }],
      maxTokens: engine.summary.defaultMaxTokens,
      seed: 0,
      steps,
      blockLength,
      ...setting,
    }));
  const report = (progress ?? SILENT)(
    "serving",
    (times) => `${times} times ${count} requests`,
    true,
  );
  const total = settings.length * (1 + rounds * levels.length);
  let done = 0;
  const tick = () => report.update(done++, total);
  try {
    const runs: SettingRun[] = [];
    for (const setting of settings) {
      tick();
      const requests = requestsOf(setting);
      const { answers } = await serveAll(engine, requests, 1);
      runs.push({ setting, requests, alone: answers, rounds: levels.map(() => []), different: 0 });
    }
    const lengths = runs.flatMap(({ alone }) =>
      alone.map(({ promptTokens, canvasTokens }) => promptTokens + canvasTokens)
    );
    const typicalRows = spreadOf(lengths).p50;
    const clock = new PassClock(engine.model, typicalRows, levels.at(-1)!);
    for (let round = 0; round < rounds; round++) {
      await clock.round();
      // Forth and back, so that what changes slowly harms no level more than another.
      const order = [...levels.keys()];
      if (round % 2 === 1) order.reverse();
      for (const run of runs) {
        for (const level of order) {
          tick();
          const served = await serveAll(engine, run.requests, levels[level]);
          run.rounds[level].push(served.round);
          run.different += served.answers.filter(({ bits }, i) =>
            bits !== run.alone[i].bits
          ).length;
        }
      }
    }
    report.update(total, total);
    return {
      model: engine.summary.id,
      adapter: engine.model.gpu.name,
      requests: count,
      rounds,
      typicalRows,
      ...clock.times,
      settings: runs.map(({ setting, rounds: byLevel, different }) => ({
        ...setting,
        name: settingName(setting),
        answers: rounds * levels.length * count,
        different,
        mayDiffer: setting.quality !== undefined,
        levels: levelsOf(levels, byLevel, count),
      })),
    };
  } finally {
    report.stop();
  }
}

interface SettingRun {
  readonly setting: Setting;
  readonly requests: readonly GenerateRequest[];
  /** The answers that each request got alone. */
  readonly alone: readonly ServedAnswer[];
  /** By level. */
  readonly rounds: readonly ServedRound[][];
  different: number;
}

/** So many clients share the requests; each asks for its next one as soon as it has an answer. */
async function serveAll(
  engine: Engine,
  requests: readonly GenerateRequest[],
  clients: number,
): Promise<{ readonly answers: readonly ServedAnswer[]; readonly round: ServedRound }> {
  const answers = new Array<ServedAnswer>(requests.length);
  const queue = requests.entries();
  const before = engine.load;
  const start = performance.now();
  await Promise.all(Array.from({ length: clients }, async () => {
    for (const [i, request] of queue) answers[i] = await serveAnswer(engine, request);
  }));
  const seconds = (performance.now() - start) / 1000;
  const sum = (of: (answer: ServedAnswer) => number) =>
    answers.reduce((total, answer) => total + of(answer), 0);
  const firsts = answers.map(({ firstMilliseconds }) => firstMilliseconds);
  return {
    answers,
    round: {
      seconds,
      tokens: sum(({ tokens }) => tokens),
      forwards: sum(({ forwards }) => forwards),
      firstMilliseconds: spreadOf(firsts),
      firstMillisecondsOf95: sumOf95(firsts),
      totalMilliseconds: spreadOf(answers.map(({ totalMilliseconds }) => totalMilliseconds)),
      ...perPass(before, engine.load),
      choices: sumsByName(answers.map(({ choices }) => choices)),
    },
  };
}

function perPass(before: LoadFigures, after: LoadFigures) {
  const passes = after.passes - before.passes;
  return {
    requestsPerPass: (after.passRequests - before.passRequests) / passes,
    rowsPerPass: (after.passRows - before.passRows) / passes,
  };
}

/** The figures of each number of clients; the first is one. */
export function levelsOf(
  levels: readonly number[],
  rounds: readonly (readonly ServedRound[])[],
  requests: number,
): ServedLevel[] {
  const fastest = rounds.map((one) => one.reduce((a, b) => b.seconds < a.seconds ? b : a));
  const [alone] = fastest;
  return levels.map((concurrency, i) => ({
    concurrency,
    rounds: rounds[i],
    fastest: fastest[i],
    answersPerSecond: requests / fastest[i].seconds,
    tokensPerSecond: fastest[i].tokens / fastest[i].seconds,
    toAlone: alone.seconds / fastest[i].seconds,
    toAloneByRound: rounds[i].map(({ seconds }, round) => rounds[0][round].seconds / seconds),
    firstToAlone: fastest[i].firstMilliseconds.p95 / alone.firstMilliseconds.p95,
  }));
}

/** The sum of so many of the least values that the last of them is the p95. */
export function sumOf95(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b).slice(0, Math.ceil(0.95 * values.length))
    .reduce((sum, value) => sum + value, 0);
}

/** By nearest rank: the least value that is not below so many of them. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  return { p50: at(0.5), p95: at(0.95) };
}
