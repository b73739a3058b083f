/** Logits of the asked rows, reduced to a candidate for each row and tile of 128 tokens. */

import { gumbel } from "../../src/denoise/noise.ts";
import { head } from "../../src/kernels/head.ts";
import {
  ASKED_WORDS,
  NO_TOKEN,
  STEP_PLAN_WORDS,
  type StepPlan,
  writeStepPlan,
} from "../../src/kernels/step_plan.ts";
import type { stripHead } from "../../src/kernels/strip_head.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import {
  dot,
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  uploadMatrix,
} from "./matrix.ts";

export interface Size {
  readonly name: string;
  readonly entries: number;
  readonly vocabulary: number;
  readonly inner: number;
  readonly scheme: QuantScheme["name"];
  /** `cfg_scale + 1`; rows then come in pairs. */
  readonly guidance?: number;
  /** Of each sequence; entries are dealt to the sequences in turn. */
  readonly plans?: readonly Partial<StepPlan>[];
  readonly partColumns?: number;
}

export interface Inputs extends Omit<Size, "scheme" | "plans"> {
  readonly plans: readonly StepPlan[];
  readonly x: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
  /** Position of each entry. */
  readonly positions: Uint32Array;
  /** Judged token of each entry. */
  readonly judged: Uint32Array;
}

/** Stands for -inf (candidate.wgsl). */
export const HIDDEN = Math.fround(-1e38);

/** Score, token, logit, maximum, others, judged, aside. */
export const CANDIDATE_FORM = ["f32", "u32", "f32", "f32", "f32", "f32", "f32"] as const;

/** Greedy, nothing hidden. */
export const PLAN: StepPlan = {
  candidateFirst: 0,
  candidateEnd: 0,
  commits: 0,
  step: 3,
  temperature: 0,
  seed: 0,
  banned: [],
  unconfident: [],
};

const TILE = 128;
/** Plans of another step stand before those of this one. */
const PLAN_OFFSET = 2;

/** First token and end of every tile, part by part. */
export function tilesOf(vocabulary: number, partColumns = vocabulary): [number, number][] {
  const tiles: [number, number][] = [];
  for (let part = 0; part < vocabulary; part += partColumns) {
    const end = Math.min(part + partColumns, vocabulary);
    for (let first = part; first < end; first += TILE) {
      tiles.push([first, Math.min(first + TILE, end)]);
    }
  }
  return tiles;
}

/**
 * What a row of logits comes to between two tokens. NaN where rounding may decide.
 * @param cutoff the least logit that may be chosen
 */
export function candidate(
  logits: Float64Array,
  [first, end]: readonly [number, number],
  plan: StepPlan,
  position: number,
  judged: number,
  cutoff = -Infinity,
): number[] {
  const tokens = Array.from({ length: end - first }, (_, i) => first + i);
  const { banned, unconfident, temperature, seed, step } = plan;
  const score = (token: number) =>
    logits[token] + (temperature > 0 ? temperature * gumbel(seed, step, position, token) : 0);
  const [best, second] = tokens
    .filter((token) => !banned.includes(token) && logits[token] >= cutoff)
    .sort((a, b) => score(b) - score(a) || a - b);
  const confident = tokens.filter((token) =>
    !banned.includes(token) && !unconfident.includes(token)
  );
  const [maximum, runnerUp = HIDDEN] = confident.map((token) => logits[token])
    .sort((a, b) => b - a);
  const others = confident.reduce((sum, token) => sum + Math.exp(logits[token] - maximum), -1);
  const weighted = confident.reduce(
    (sum, token) => sum + Math.exp(logits[token] - maximum) * (maximum - logits[token]),
    0,
  );
  const clear = best !== undefined &&
    (second === undefined || score(best) - score(second) > 1e-5);
  return [
    best === undefined ? HIDDEN : score(best),
    clear ? best : NaN,
    best === undefined || unconfident.includes(best) ? HIDDEN : clear ? logits[best] : NaN,
    confident.length > 0 ? maximum : HIDDEN,
    confident.length > 0 ? others : NaN,
    confident.includes(judged) ? logits[judged] : HIDDEN,
    plan.measure === "margin" ? runnerUp : plan.measure === "entropy" ? weighted : 0,
  ];
}

/** Tokens around the borders of lanes, tiles and parts, hidden ones, and none. */
function judgedTokens(
  entries: number,
  vocabulary: number,
  plans: readonly Partial<StepPlan>[],
): Uint32Array {
  const hidden = plans.flatMap(({ banned = [], unconfident = [] }) => [...banned, ...unconfident]);
  const tokens = [0, vocabulary - 1, NO_TOKEN, 127, 128, 256, 33, ...hidden]
    .filter((token) => token < vocabulary || token === NO_TOKEN);
  return Uint32Array.from({ length: entries }, (_, entry) => tokens[entry % tokens.length]);
}

/** Every logit in f64, then tile by tile. */
export function reference(inputs: Inputs) {
  const { entries, vocabulary, guidance, partColumns, plans, x, matrix, positions, judged } =
    inputs;
  const tiles = tilesOf(vocabulary, partColumns);
  const candidates: number[] = [];
  for (let entry = 0; entry < entries; entry++) {
    const logits = Float64Array.from({ length: vocabulary }, (_, token) => {
      if (guidance === undefined) return dot(x, entry, matrix, token);
      const unconditional = dot(x, 2 * entry + 1, matrix, token);
      return unconditional + guidance * (dot(x, 2 * entry, matrix, token) - unconditional);
    });
    const plan = plans[entry % plans.length];
    for (const tile of tiles) {
      candidates.push(...candidate(logits, tile, plan, positions[entry], judged[entry]));
    }
  }
  const length = candidates.length + CANDIDATE_FORM.length * GUARD_ROWS * tiles.length;
  const all = untouchedReference(length, CANDIDATE_FORM);
  all.set(candidates);
  return { candidates: all };
}

/** Vocabularies around tiles and parts; seeds beyond 32 bits; hidden tokens, in a tile alone too. */
export const declared = (call: typeof stripHead): CaseDeclaration<Size, Inputs> => ({
  kernel: "head",
  tolerance: 1e-5,
  sizes: [
    { name: "of one", entries: 1, vocabulary: 1, inner: 1, scheme: "f32" },
    { name: "8 rows, odd", entries: 8, vocabulary: 131, inner: 13, scheme: "bf16" },
    { name: "17 rows, f16", entries: 17, vocabulary: 300, inner: 40, scheme: "f16" },
    {
      name: "9 rows, noise",
      entries: 9,
      vocabulary: 257,
      inner: 24,
      scheme: "f32",
      plans: [{ temperature: 0.7, seed: 5 }, { temperature: 1.5, seed: 2 ** 52 + 7, step: 900 }],
    },
    {
      // The best of so many tokens have uniform numbers down to 1e-5, where f32 is coarse near 1.
      name: "noise alone, many tokens",
      entries: 8,
      vocabulary: 5000,
      inner: 1,
      scheme: "f32",
      plans: [{ temperature: 1, seed: 1 }],
    },
    {
      name: "hidden tokens",
      entries: 8,
      vocabulary: 386,
      inner: 16,
      scheme: "f32",
      plans: [{ banned: [384, 385, 0, 1] }, { unconfident: [3, 127, 384] }, {
        banned: [7],
        unconfident: [8, 9, 385],
        temperature: 2,
      }],
    },
    {
      name: "measures",
      entries: 17,
      vocabulary: 300,
      inner: 40,
      scheme: "f32",
      plans: [{ measure: "margin" }, { measure: "entropy" }, {}],
    },
    {
      // Tokens alone in the last tile: both, one, or none of them hidden.
      name: "measures, hidden tokens",
      entries: 12,
      vocabulary: 386,
      inner: 16,
      scheme: "bf16",
      partColumns: 200,
      plans: (["margin", "entropy"] as const).flatMap((measure) => [
        { measure },
        { measure, banned: [384], unconfident: [385, 0, 1] },
        { measure, unconfident: [385], temperature: 1, seed: 3 },
      ]),
    },
    {
      name: "measures, guided",
      entries: 6,
      vocabulary: 129,
      inner: 9,
      scheme: "f32",
      guidance: 1.5,
      plans: [{ measure: "entropy", banned: [128] }, { measure: "margin" }],
    },
    {
      name: "measure of one",
      entries: 2,
      vocabulary: 1,
      inner: 3,
      scheme: "f32",
      plans: [{ measure: "margin" }, { measure: "entropy" }],
    },
    {
      name: "guided, 4 rows",
      entries: 4,
      vocabulary: 129,
      inner: 9,
      scheme: "f32",
      guidance: 1.5,
      plans: [{}, { temperature: 1, seed: 9, banned: [2] }],
    },
    {
      name: "guided, 9 rows",
      entries: 9,
      vocabulary: 70,
      inner: 24,
      scheme: "f32",
      guidance: 3,
    },
    {
      name: "in parts",
      entries: 3,
      vocabulary: 400,
      inner: 17,
      scheme: "f32",
      partColumns: 256,
      plans: [{ temperature: 0.5, seed: 77 }],
    },
  ],
  modelSizes: [32, 128].flatMap((entries) =>
    (["probability", "margin", "entropy"] as const).map((measure) => ({
      name: `${entries} rows, 1024 to 32768, bf16, ${measure}`,
      entries,
      vocabulary: 32768,
      inner: 1024,
      scheme: "bf16",
      plans: [{ measure }],
    }))
  ),
  inputs: ({ scheme, plans = [{}], ...size }, random) => ({
    ...size,
    plans: plans.map((plan) => ({ ...PLAN, ...plan })),
    x: paddedRows(random, size.entries * (size.guidance === undefined ? 1 : 2), size.inner, 2),
    matrix: randomMatrix(random, scheme, size.vocabulary, size.inner),
    positions: random.integers(size.entries, 2 ** 16),
    judged: judgedTokens(size.entries, size.vocabulary, plans),
  }),
  upload(tensors, inputs) {
    const { entries, vocabulary, guidance, partColumns, plans, x, matrix, positions } = inputs;
    const words = new Uint32Array(STEP_PLAN_WORDS * (PLAN_OFFSET + plans.length));
    plans.forEach((plan, i) => writeStepPlan(words, STEP_PLAN_WORDS * (PLAN_OFFSET + i), plan));
    const asked = new Uint32Array(ASKED_WORDS * entries);
    positions.forEach((position, i) =>
      asked.set([i, position, i % plans.length, inputs.judged[i]], ASKED_WORDS * i)
    );
    const tiles = tilesOf(vocabulary, partColumns).length;
    const length = CANDIDATE_FORM.length * (entries + GUARD_ROWS) * tiles;
    const candidates = tensors.untouched("candidates", length, CANDIDATE_FORM);
    const weights = uploadMatrix(tensors, matrix, partColumns);
    const bound = {
      x: tensors.of("x", x),
      asked: tensors.of("asked", asked),
      plans: tensors.of("plans", words),
      candidates: candidates.tensor,
    };
    return {
      record: (recorder) =>
        call(recorder, bound, weights, {
          entries,
          planOffset: PLAN_OFFSET,
          guidance,
          measured: plans.some(({ measure }) => measure !== undefined),
          noisy: plans.some(({ temperature }) => temperature > 0),
        }),
      outputs: { candidates },
    };
  },
  reference,
  cost: ({ entries, vocabulary, inner, scheme, guidance }) => ({
    multiplyAdds: entries * (guidance === undefined ? 1 : 2) * vocabulary * inner,
    bytes: matrixBytes(scheme, vocabulary, inner) + 4 * entries * paddedInner(inner),
  }),
});

/** Compared with the reference. */
export const kernelCase = defineCase<Size, Inputs>(declared(head));
