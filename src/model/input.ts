/** Checks the inputs of a forward pass before anything is sent to the GPU. */

import type { ForwardInput, TokenChoice, TokenSampling } from "../denoise/predictor.ts";
import { GpuError } from "../gpu/device.ts";
import { LIST_TOKENS, MEASURES, NO_TOKEN } from "../kernels/step_plan.ts";
import type { ModelConfig } from "./loading/config.ts";
import type { SequenceToPack } from "./rows.ts";

export { LIST_TOKENS } from "../kernels/step_plan.ts";

/**
 * Checks one sequence against the model.
 * @param name name of the input, for the error
 * @throws {RangeError} naming what is wrong, expected and found
 */
export function checkInput(
  config: ModelConfig,
  input: SequenceToPack & Partial<Pick<ForwardInput, "positions" | "judged">>,
  name: string,
): void {
  const { ids, attentionMask, guidance, positions, judged, shadows } = input;
  const { maxSequenceLength, embeddingSize } = config;
  if (ids.length === 0 || ids.length > maxSequenceLength) {
    throw new RangeError(
      `${name}.ids has ${ids.length} tokens, expected 1 to ${maxSequenceLength}`,
    );
  }
  const lists = { "ids": ids, "guidance.unconditionalIds": guidance?.unconditionalIds ?? [] };
  for (const [field, list] of Object.entries(lists)) {
    const wrong = list.findIndex((id) => id >= embeddingSize);
    if (wrong >= 0) {
      throw new RangeError(
        `${name}.${field}[${wrong}] is ${list[wrong]}, the model has ids below ${embeddingSize}`,
      );
    }
  }
  if (guidance && guidance.unconditionalIds.length !== ids.length) {
    throw new RangeError(
      `${name}.guidance has ${guidance.unconditionalIds.length} ids for ${ids.length}`,
    );
  }
  if (attentionMask) {
    if (attentionMask.length !== ids.length) {
      throw new RangeError(
        `${name}.attentionMask has ${attentionMask.length} entries for ${ids.length} ids`,
      );
    }
    if (!attentionMask.includes(1) || attentionMask.some((bit) => bit > 1)) {
      throw new RangeError(`${name}.attentionMask must hold 0 and 1, and at least one 1`);
    }
  }
  for (const [field, list] of Object.entries({ positions, shadows })) {
    list?.forEach((position, i) => {
      if (position < ids.length && attentionMask?.[position] !== 0) return;
      throw new RangeError(
        `${name}.${field}[${i}] is ${position}: ` +
          (position >= ids.length ? `there are ${ids.length}` : "the attention mask hides it"),
      );
    });
  }
  const unordered = shadows?.findIndex((position, i) => i > 0 && position <= shadows[i - 1]) ?? -1;
  if (unordered > 0) {
    throw new RangeError(
      `${name}.shadows[${unordered}] is ${shadows![unordered]}, expected more than the ` +
        `${shadows![unordered - 1]} before it`,
    );
  }
  if (judged && judged.length !== positions?.length) {
    throw new RangeError(
      `${name}.judged has ${judged.length} tokens for ${positions?.length ?? 0} positions`,
    );
  }
  judged?.forEach((token, i) => {
    if (token < embeddingSize || token === NO_TOKEN) return;
    throw new RangeError(
      `${name}.judged[${i}] is ${token}, the model has ids below ${embeddingSize}; ` +
        `${NO_TOKEN} asks for none`,
    );
  });
}

/** Limit of step numbers: the noise key has 16 bits for the step. */
const MOST_STEPS = 2 ** 16;

/**
 * Checks the settings of choosing tokens.
 * @throws {RangeError} naming what is wrong, expected and found
 */
export function checkChoice(choice: TokenChoice, name: string): void {
  const { temperature, seed, step, bannedTokens, unconfidentTokens, measure, sampling } = choice;
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new RangeError(`${name}.temperature is ${temperature}, expected a number from 0`);
  }
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`${name}.seed is ${seed}, expected a whole number in [0, 2^53)`);
  }
  if (!Number.isInteger(step) || step < 0 || step >= MOST_STEPS) {
    throw new RangeError(`${name}.step is ${step}, expected a whole number below ${MOST_STEPS}`);
  }
  if (measure !== undefined && !(measure in MEASURES)) {
    const known = Object.keys(MEASURES).join(", ");
    throw new RangeError(`${name}.measure is ${measure}, expected one of ${known}`);
  }
  for (const [list, tokens] of Object.entries({ bannedTokens, unconfidentTokens })) {
    if (tokens.length <= LIST_TOKENS) continue;
    throw new RangeError(
      `${name}.${list}: ${tokens.length} tokens, at most ${LIST_TOKENS} are possible`,
    );
  }
  if (sampling) checkSampling(sampling, `${name}.sampling`);
}

function checkSampling(sampling: TokenSampling, name: string): void {
  const { topK, topP, minP, changes, likeliest } = sampling;
  for (const [field, count, least] of [["topK", topK, 1], ["likeliest", likeliest, 0]] as const) {
    if (count === undefined || (Number.isInteger(count) && count >= least)) continue;
    throw new RangeError(`${name}.${field} is ${count}, expected a whole number from ${least}`);
  }
  for (const [field, share] of Object.entries({ topP, minP })) {
    if (share === undefined || (share >= 0 && share <= 1)) continue;
    throw new RangeError(`${name}.${field} is ${share}, expected a number from 0 to 1`);
  }
  for (const [i, { token, repetition, offset }] of changes.entries()) {
    if (Number.isInteger(token) && token >= 0 && repetition > 0 && offset < Infinity) continue;
    throw new RangeError(
      `${name}.changes[${i}] is token ${token}, repetition ${repetition}, offset ${offset}: ` +
        "expected a token, a number above 0, and a number below infinity",
    );
  }
}

/**
 * Checks a token that was read back from the GPU.
 * @throws {GpuError} when no token was chosen, because no logit of the row compared with another
 */
export function checkToken(token: number, { embeddingSize }: ModelConfig): number {
  if (token < embeddingSize) return token;
  throw new GpuError(
    "the model's logits are not numbers (NaN): its weights are damaged, or they overflow. " +
      "Download the folder again.",
  );
}
