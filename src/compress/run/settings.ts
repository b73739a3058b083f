/**
 * Settings of a run: what a file of settings and the options of a command give, completed by
 * defaults. Everything that decides a bit of the result is here, so that a run which goes on can be
 * held to them.
 */

import { z } from "zod";
import { DRAFT_RATIOS } from "../../evaluate/draft_agreement.ts";
import { DISTIL_MASKING, type MaskingOptions, TRAIN_MASKING } from "../data/masking.ts";
import { CARD_TERMS, KL_DIRECTIONS } from "../../kernels/distil_loss.ts";
import { MOST_TOP_TOKENS } from "../../kernels/top_tokens.ts";
import { ADAPTED_MODULES } from "../pass/adapters.ts";
import { QUANTISED } from "../../quant/scheme.ts";
import { START_NAMES } from "./start.ts";
import { DECAYS } from "./schedule.ts";

/** Types of the weights that are written. */
export const RESULT_TYPES = ["bf16", "f16", "f32"] as const;
/** Optimisers of hidden matrices; everything else always has AdamW. */
export const OPTIMISERS = ["adamw", "muon"] as const;

const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(least).max(most);
const share = z.number().min(0).max(1);
const kept = z.number().min(0).lt(1);
const positive = z.number().positive();

const dataFile = z.strictObject({ path: z.string().min(1), share: positive.optional() });

/** Mask ratios and weights; see src/compress/data/masking.ts. */
function maskingOf(defaults: MaskingOptions) {
  const { ratio } = defaults;
  return z.strictObject({
    ratio: z.strictObject({
      shape: z.enum(["beta", "uniform"]).default(ratio.shape),
      low: share.default(ratio.low),
      high: share.default(ratio.high),
    }).prefault({}),
    floor: share.default(defaults.floor),
    blockShare: share.default(defaults.blockShare),
    blockLength: whole(1).default(defaults.blockLength),
    prefixShare: share.default(defaults.prefixShare),
    wholeShare: share.default(defaults.wholeShare),
    plainShare: share.default(defaults.plainShare),
    paddingWeight: z.number().min(0).default(defaults.paddingWeight),
    weighting: z.enum(["one", "inverse"]).default(defaults.weighting),
    // JSON has no Infinity: null stands for no limit.
    mostWeight: positive.nullable().default(null),
    divideBy: z.enum(["weights", "length"]).default(defaults.divideBy),
    complementary: z.boolean().default(defaults.complementary),
  }).prefault({});
}

const length = z.union([
  z.strictObject({ steps: whole(1) }),
  z.strictObject({ tokens: whole(1) }),
  z.strictObject({ epochs: positive }),
], { error: "expected one of steps, tokens and epochs" });

interface Defaults {
  readonly rate: number;
  readonly beta2: number;
  readonly masking: MaskingOptions;
}

function commonOf({ rate, beta2, masking }: Defaults) {
  return {
    data: z.array(dataFile).min(1),
    heldOut: z.string().min(1).optional(),
    sequence: whole(2).default(512),
    batch: z.union([
      z.strictObject({ samples: whole(1) }),
      z.strictObject({ tokens: whole(1) }),
    ]).default({ samples: 16 }),
    rows: whole(2).optional(),
    keepActivations: z.boolean().optional(),
    length,
    schedule: z.strictObject({
      rate: positive.default(rate),
      warmUp: share.default(0.05),
      decay: z.enum(DECAYS).default("cosine"),
    }).prefault({}),
    optimizer: z.strictObject({
      name: z.enum(OPTIMISERS).default("adamw"),
      beta1: kept.default(0.9),
      beta2: kept.default(beta2),
      epsilon: positive.default(1e-8),
      weightDecay: z.number().min(0).default(0.01),
      clip: positive.nullable().default(1),
      momentum: kept.default(0.95),
      otherRate: positive.default(0.1),
      average: kept.nullable().default(null),
    }).prefault({}),
    padding: z.strictObject({
      long: z.enum(["cut", "refuse"]).default("cut"),
      toShare: share.default(1),
      to: z.array(whole(1)).min(1).default([64]),
      by: z.tuple([whole(0), whole(0)]).default([1, 6]),
    }).prefault({}),
    masking: maskingOf(masking),
    evaluation: z.strictObject({
      every: whole(1).default(500),
      examples: whole(1).default(64),
      response: whole(1).default(64),
      ratios: z.array(positive.max(1)).min(1).default([...DRAFT_RATIOS]),
      seed: whole(0).default(0),
    }).prefault({}),
    seed: whole(0).default(1),
    dtype: z.enum(RESULT_TYPES).default("bf16"),
  };
}

/** Settings of `unmask distil`, with the defaults of the published draft's card. */
export const distilSettings = z.strictObject({
  teacher: z.string().min(1),
  student: z.string().min(1),
  ...commonOf({ rate: 5e-5, beta2: 0.999, masking: DISTIL_MASKING }),
  loss: z.strictObject({
    ce: z.number().min(0).default(CARD_TERMS.ce),
    kl: z.number().min(0).default(CARD_TERMS.kl),
    mse: z.number().min(0).default(CARD_TERMS.mse),
    direction: z.enum(KL_DIRECTIONS).default(CARD_TERMS.direction),
    temperature: positive.default(CARD_TERMS.temperature),
    top: whole(1, MOST_TOP_TOKENS).default(32),
  }).prefault({}),
  lora: z.strictObject({
    rank: whole(1),
    alpha: positive.optional(),
    modules: z.array(z.enum(ADAPTED_MODULES)).min(1).optional(),
    /** Bits of the matrices beside the adapters while these are trained; absent: as stored. */
    weights: z.enum(QUANTISED).optional(),
  }).optional(),
});
/** Settings of `unmask distil`. */
export type DistilSettings = z.output<typeof distilSettings>;

/** Settings of `unmask train`, with LLaDA's own objective. */
export const trainSettings = z.strictObject({
  from: z.string().min(1),
  start: z.enum(START_NAMES).default("folder"),
  ...commonOf({ rate: 1e-3, beta2: 0.98, masking: TRAIN_MASKING }),
  lora: distilSettings.shape.lora,
});
/** Settings of `unmask train`. */
export type TrainSettings = z.output<typeof trainSettings>;

/** What both commands have. */
export type CommonSettings = Omit<TrainSettings, "from" | "start">;

/** Masking as the data takes it. */
export function maskingFrom({ masking }: CommonSettings): MaskingOptions {
  return { ...masking, mostWeight: masking.mostWeight ?? Infinity };
}

/** JSON without a fixed form. */
export type Given = { readonly [name: string]: unknown };

/** Lays given values over others, object by object; a list replaces a list. */
export function overlaid(under: Given, over: Given): Given {
  const isObject = (value: unknown): value is Given =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const result: Record<string, unknown> = { ...under };
  for (const [name, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const before = result[name];
    // A batch or a length has one of several fields: a new one replaces the other.
    const merges = isObject(value) && isObject(before) && !["batch", "length"].includes(name);
    result[name] = merges ? overlaid(before, value) : value;
  }
  return result;
}

/** What to give where a setting is missing that has no default. */
const REMEDIES: Readonly<Record<string, string>> = {
  teacher: "--teacher DIR, the model to learn from",
  student: "--student DIR, the model to train, such as prune apply writes",
  from: "--from DIR, the model to train, such as synth writes",
  data: "--data FILE, a jsonl file of messages or texts",
  length: "one of --steps N, --tokens N and --epochs X",
  "lora.rank": "--lora RANK",
};

/**
 * Completes settings.
 * @param where they come from, for errors
 * @throws {Error} naming the field that is wrong, and what is expected of it
 */
export function completed<T extends z.ZodType>(
  schema: T,
  given: Given,
  where: string,
): z.output<T> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  // A name with a typo goes first: what it stands for is then missing, too.
  const { issues } = result.error;
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  const field = issue.path.join(".");
  const value = issue.path.reduce(
    (value, name) => (value as Record<PropertyKey, unknown> | undefined)?.[name],
    given as unknown,
  );
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => JSON.stringify(field === "" ? key : `${field}.${key}`));
    throw new Error(
      `${where}: there is no setting ${names.join(", ")}${knownNames(schema, issue.path)}`,
    );
  }
  if (value === undefined && Object.hasOwn(REMEDIES, field)) {
    throw new Error(`${where}: ${field} is missing. Give ${REMEDIES[field]}.`);
  }
  throw new Error(`${where}: ${field}: ${issue.message}; found ${JSON.stringify(value)}`);
}

/** The names that an object of settings may have. */
function knownNames(schema: z.ZodType, path: readonly PropertyKey[]): string {
  let at: unknown = schema;
  for (const name of [...path, undefined]) {
    while (
      at instanceof z.ZodPrefault || at instanceof z.ZodDefault || at instanceof z.ZodOptional
    ) {
      at = at.unwrap();
    }
    if (!(at instanceof z.ZodObject)) return "";
    if (name === undefined) return `, expected one of ${Object.keys(at.shape).join(", ")}`;
    at = at.shape[name as string];
  }
  return "";
}

/** The first difference between two settings; undefined where they are equal. */
export function differenceOf(there: Given, here: Given): string | undefined {
  const flat = (value: unknown, path: string): [string, string][] =>
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([name, inner]) =>
        flat(inner, path === "" ? name : `${path}.${name}`)
      )
      : [[path, JSON.stringify(value)]];
  const before = new Map(flat(there, ""));
  const now = new Map(flat(JSON.parse(JSON.stringify(here)), ""));
  for (const field of new Set([...before.keys(), ...now.keys()])) {
    const [one, other] = [before.get(field) ?? "absent", now.get(field) ?? "absent"];
    if (one !== other) return `${field} is ${one} there and ${other} here`;
  }
}
