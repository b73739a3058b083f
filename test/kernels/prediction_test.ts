import { assert, assertEquals } from "@std/assert";
import { GREEDY, type TokenChoice } from "../../src/denoise/predictor.ts";
import { forms } from "../gpu/device.ts";
import { assertPredictions, predictRows } from "./prediction_rows.ts";
import { Random } from "./random.ts";

const SEEDS = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 12345, 2 ** 53 - 1];

Deno.test("with noise, head and predict choose the tokens of predictRow", async () => {
  const random = new Random("noise");
  for (const temperature of [0.3, 1, 4]) {
    const count = 56;
    await assertPredictions({
      logits: Array.from({ length: count }, () => random.floats(200, 2)),
      positions: Array.from(random.integers(count, 2 ** 16)),
      choices: Array.from({ length: count }, (_, i) => ({
        ...GREEDY,
        temperature,
        seed: SEEDS[i % SEEDS.length],
        step: random.integer(2 ** 16),
      })),
    }, 2e-5);
  }
});

Deno.test("equal logits: the noise alone decides", async () => {
  const count = 64;
  await assertPredictions({
    logits: Array.from({ length: count }, () => new Float32Array(129).fill(0.5)),
    positions: Array.from({ length: count }, (_, i) => i),
    choices: Array.from({ length: count }, (_, i) => ({
      ...GREEDY,
      temperature: 1,
      seed: 3,
      step: i >> 3,
    })),
  }, 1e-5);
});

Deno.test("without noise, ties go to the lower token, across lanes, tiles and parts", async () => {
  const random = new Random("ties");
  const count = 24;
  const logits = Array.from(
    { length: count },
    () => Float32Array.from({ length: 520 }, () => random.integer(3)),
  );
  // The only two maxima of a row: in one lane, in two, in two tiles, in two parts.
  [[3, 35], [3, 4], [127, 128], [255, 256], [0, 519]].forEach((pair, i) => {
    for (const token of pair) logits[i][token] = 9;
  });
  const rows = {
    logits,
    positions: Array.from({ length: count }, (_, i) => i),
    choices: Array.from({ length: count }, () => GREEDY),
  };
  await assertPredictions(rows, 1e-5);
  await assertPredictions({ ...rows, partColumns: 256 }, 1e-5);
});

Deno.test("odds against keep their digits where p rounds to 1, and where it is small", async () => {
  const gaps = [0, 1e-3, 0.5, 5, 16, 20, 24, 27.6, 40, 60, 80];
  const sure = gaps.map((gap) => {
    const row = new Float32Array(140).fill(-gap);
    row[131] = 0;
    return row;
  });
  // Much noise also chooses tokens far below the largest logit.
  const choices = sure.map((_, i): TokenChoice =>
    i % 2 === 0 ? GREEDY : { ...GREEDY, temperature: 50, seed: i, step: 1 }
  );
  await assertPredictions(
    { logits: sure, positions: sure.map((_, i) => i), choices },
    2e-5,
  );
  // Sure rows are told apart although p is 1 for all of them.
  const [, gpu] = [...forms][0];
  const surest = sure.filter((_, i) => gaps[i] >= 24);
  const found = await predictRows(gpu, {
    logits: surest,
    positions: surest.map((_, i) => i),
    choices: surest.map(() => GREEDY),
  });
  const odds = found.map(({ oddsAgainst }) => oddsAgainst);
  assertEquals(odds, odds.toSorted((a, b) => b - a));
  assertEquals(new Set(odds).size, odds.length);
  assert(found.every(({ confidence }) => Math.fround(confidence) === 1));
  assert(odds.at(-1)! > 0 && odds.at(-1)! < 1e-30);
});

Deno.test("banned tokens are never chosen; unconfident ones count as p = 0", async () => {
  const random = new Random("hidden");
  const count = 40;
  const logits = Array.from({ length: count }, () => random.floats(129, 3));
  logits.forEach((row, i) => {
    if (i % 2 === 0) row[128] = 20; // the likeliest, alone in its tile
    if (i % 3 === 0) row[5] = 21;
  });
  const choices = logits.map((_, i): TokenChoice => ({
    temperature: i < 20 ? 0 : 0.8,
    seed: 10 + i,
    step: 2,
    bannedTokens: i % 4 < 2 ? [128] : [5, 6, 7, 8],
    unconfidentTokens: i % 5 < 2 ? [5] : i % 5 === 2 ? [128, 5] : [],
  }));
  await assertPredictions({ logits, positions: logits.map((_, i) => i), choices }, 2e-5);
});

Deno.test("a judged token has its probability, however close to 1 or 0, and 0 if hidden", async () => {
  const tokens = [0, 3, 35, 127, 128, 255, 256, 519];
  const gaps = [0, 1e-4, 3, 12, 17, 30, 60];
  const logits = tokens.flatMap((top) =>
    gaps.map((gap) => {
      const row = new Float32Array(520).fill(-gap - 1);
      row[top] = 0;
      row[(top + 1) % 520] = -gap;
      return row;
    })
  );
  // The likeliest token, and the one behind it.
  for (const next of [0, 1]) {
    const rows = {
      logits,
      positions: logits.map((_, i) => i),
      choices: logits.map(() => GREEDY),
      judged: logits.map((_, i) => (tokens[Math.floor(i / gaps.length)] + next) % 520),
    };
    await assertPredictions(rows, 2e-5);
    await assertPredictions({ ...rows, partColumns: 256 }, 2e-5);
    const hide = (bannedTokens: number[], unconfidentTokens: number[]) =>
      logits.map(() => ({ ...GREEDY, bannedTokens, unconfidentTokens }));
    await assertPredictions({ ...rows, choices: hide(tokens.slice(0, 4), []) }, 2e-5);
    await assertPredictions({ ...rows, choices: hide([], tokens.slice(4)) }, 2e-5);
  }
});

Deno.test("guidance combines the pair before choice and softmax", async () => {
  const random = new Random("guided");
  for (const [entries, guidance] of [[3, 1.5], [20, 3]]) {
    const rows = {
      logits: Array.from({ length: 2 * entries }, () => random.floats(150, 2)),
      positions: Array.from({ length: entries }, (_, i) => 7 * i),
      choices: Array.from({ length: entries }, (_, i): TokenChoice => ({
        temperature: i % 2,
        seed: i,
        step: 0,
        bannedTokens: [i],
        unconfidentTokens: [149],
      })),
      guidance,
    };
    await assertPredictions(rows, 4e-5);
  }
});
