/** How far a quantised or pruned model departs from its original, for `unmask eval agreement`. */

import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { defaultLengths, folderDefaults } from "../engine/generation_plan.ts";
import {
  type Agreement,
  compare,
  keeping,
  MASK_RATIOS,
  maskedStates,
  type StateError,
  stateError,
  SURE,
  total,
} from "../evaluate/agreement.ts";
import type { Arithmetic, Element } from "../gpu/kernel.ts";
import { readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import { checkRoom } from "../model/memory/memory_room.ts";
import type { Model } from "../model/model.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { readEvaluationData } from "./eval_data.ts";
import { refuseIgnored } from "./ignored_options.ts";
import { measuredTuning, precisionOf, type QuantisationFlags, quantisationOf } from "./options.ts";
import { FittedTable } from "../bench/fitted_table.ts";

/** Tokens of a random prompt. */
const RANDOM_LENGTH = 24;
/** Prompts whose hidden states are compared. Few, because every state is read back in full. */
const COMPARED_STATES = 4;

/** Length of prompt plus answer that memory is planned for; compared ones are seldom longer. */
const ROOM_TOKENS = 512;

const KEPT = "keys and values kept in";

/** Options of the command, as commander parses them. */
export interface AgainstFlags extends QuantisationFlags, DeviceFlags {
  readonly model: string;
  readonly against?: string;
  readonly arithmetic?: Arithmetic;
  readonly kvCache?: Element;
  readonly data: readonly string[];
  readonly random?: number;
  readonly limit?: number;
  readonly maxTokens?: number;
  readonly steps?: number;
  readonly json?: boolean;
  readonly tuning?: string;
}

/**
 * Compares a model with its original, at masked positions of the states that the original meets while it
 * answers.
 */
export async function runAgainst(flags: AgainstFlags, command: Command): Promise<void> {
  if (flags.random !== undefined) {
    refuseIgnored(command, ["data", "limit"], "with --random, which makes the prompts");
  }
  const quantisation = quantisationOf(flags);
  const { kvCache } = flags;
  if (!flags.against && !quantisation && !flags.arithmetic && kvCache !== "f16") {
    throw new Error(
      "eval agreement: expected --draft DIR, --against DIR, --weights, --arithmetic or " +
        "--kv-cache f16",
    );
  }
  const precision = { ...precisionOf(quantisation), arithmetic: flags.arithmetic };
  const against = flags.against ?? flags.model;
  const keptAs = kvCache && "f32";
  const tuned = measuredTuning(flags.tuning);
  using gpu = await openDevice(deviceOf(flags));
  const tiles = tuned && tileLookup(tuned, gpu);
  {
    using first = openCheckpoint(against);
    using second = openCheckpoint(flags.model);
    await checkRoom(gpu, [
      { name: against, config: readConfig(against), checkpoint: first, kvCache: keptAs },
      {
        name: flags.model,
        config: readConfig(flags.model),
        checkpoint: second,
        precision,
        kvCache,
      },
    ], ROOM_TOKENS);
  }
  using original = await loadModel(gpu, against, { kvCache: keptAs, tiles });
  using model = await loadModel(gpu, flags.model, { precision, kvCache, tiles });
  checkComparable(original, model, flags);
  const { agreements, errors } = await measure(original, model, against, flags);
  const byRatio = MASK_RATIOS.map((ratio) =>
    agreements.filter(({ maskRatio }) => maskRatio === ratio)
  ).filter((some) => some.length > 0).map(total);
  const all = total(agreements);
  const error = {
    hidden: rootMeanSquare(errors.map(({ hidden }) => hidden)),
    logits: rootMeanSquare(errors.map(({ logits }) => logits)),
  };
  if (flags.json) {
    console.log(JSON.stringify({ model: describe(flags), against, by_mask: byRatio, all, error }));
  } else {
    const original = `${basename(resolve(against))} as it is stored`;
    console.log(`${describe(flags)} against ${original}${kvCache ? `, ${KEPT} f32` : ""}`);
    console.log(table([...byRatio, all]));
    console.log(
      `relative error of hidden states after the last layer ${error.hidden.toPrecision(2)}, ` +
        `of logits ${error.logits.toPrecision(2)}`,
    );
  }
}

function checkComparable(original: Model, model: Model, { model: dir }: AgainstFlags): void {
  for (const field of ["embeddingSize", "maskTokenId"] as const) {
    if (model.config[field] === original.config[field]) continue;
    throw new Error(
      `${dir}: ${field} is ${model.config[field]}, expected ${original.config[field]} as in the ` +
        "original. Compare models of one vocabulary.",
    );
  }
}

async function measure(original: Model, model: Model, dir: string, flags: AgainstFlags) {
  const { config } = original;
  const lengths = defaultLengths(folderDefaults(dir, config), config);
  const genLength = flags.maxTokens ?? lengths.maxTokens;
  const blockLength = Math.min(genLength, lengths.blockLength);
  const blocks = genLength / blockLength;
  const steps = flags.steps ?? Math.max(1, Math.ceil(blockLength / 4)) * blocks;
  const prompts = flags.random === undefined
    ? promptsOf(dir, config, flags)
    : randomPrompts(flags.random, config.maskTokenId);
  const kept = flags.kvCache !== undefined;
  const [one, other] = kept ? [keeping(original), keeping(model)] : [original, model];
  const agreements: Agreement[] = [];
  const errors: StateError[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const plan = { genLength, blockLength, steps };
    const states = await Array.fromAsync(maskedStates(original, prompt, plan, config));
    agreements.push(...await compare(one, other, states));
    if (i < COMPARED_STATES) errors.push(await stateError(original, model, states[0], kept));
    if (Deno.stderr.isTerminal()) console.error(`prompt ${i + 1} of ${prompts.length}`);
  }
  return { agreements, errors };
}

function promptsOf(
  dir: string,
  { maxSequenceLength }: Model["config"],
  { data, limit = Infinity }: AgainstFlags,
): Uint32Array[] {
  const wanted = { most: limit, context: maxSequenceLength };
  return readEvaluationData(data, dir, wanted).examples.map(({ prompt }) => prompt);
}

/** Prompts of random ids below the mask's, from a linear congruential generator. */
function randomPrompts(count: number, maskTokenId: number): Uint32Array[] {
  let state = 1;
  return Array.from({ length: count }, () =>
    Uint32Array.from({ length: RANDOM_LENGTH }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor(state / 2 ** 32 * maskTokenId);
    }));
}

function describe(
  { model, weights, group, head, arithmetic, kvCache }: AgainstFlags,
): string {
  const scheme = weights ? [`${weights} in groups of ${group}${head ? ", head too" : ""}`] : [];
  const products = arithmetic ? [`${arithmetic} products`] : [];
  const kept = kvCache ? [`${KEPT} ${kvCache}`] : [];
  return [basename(resolve(model)), ...scheme, ...products, ...kept].join(", ");
}

function rootMeanSquare(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

function table(agreements: readonly Agreement[]): string {
  const result = new FittedTable({
    head: [
      "masked",
      "positions",
      "same token",
      `where p >= ${SURE}`,
      `where p < ${SURE}`,
      "same next commit",
      "confidence error",
      "largest",
    ],
  });
  const percent = (part: number, whole: number) =>
    whole === 0 ? "-" : `${(100 * part / whole).toFixed(2)} %`;
  for (const row of agreements) {
    result.push([
      Number.isNaN(row.maskRatio) ? "all" : `${100 * row.maskRatio} %`,
      row.positions,
      percent(row.sameToken, row.positions),
      percent(row.sameSure, row.sure),
      percent(row.sameToken - row.sameSure, row.positions - row.sure),
      percent(row.sameCommit, row.states),
      (row.confidenceError / row.positions).toPrecision(2),
      row.largestConfidenceError.toPrecision(2),
    ]);
  }
  return `${result}`;
}
