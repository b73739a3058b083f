/** The part of a plan that says how long the canvas is, and what of it is decided beforehand. */

import { defaultStrategy, strategyOf } from "../denoise/strategy.ts";
import { isExact } from "../denoise/strategy_options.ts";
import type { ModelConfig } from "../model/loading/config.ts";
import {
  CANVAS_LENGTHS,
  type CanvasLength,
  type GenerateRequest,
  type GivenToken,
  RequestError,
} from "./request.ts";

/**
 * Tokens per block with length auto, if the request does not say. A block's text is shown when the
 * block is done, so a short one shows it early; of the lengths that its authors tried, LLaDA scores
 * best with 8 (GSM8K, 256 positions). A strategy that commits several tokens a step is early anyway,
 * and takes fewer steps with the folder's longer blocks.
 */
const FREE_BLOCK = 8;

/** The block length of a request that gives none. @param usual the folder's default */
export function defaultBlock(request: GenerateRequest, usual: number): number {
  const { length, strategy = defaultStrategy(request), quality } = request;
  const oneByOne = strategyOf(strategy)?.lossless && isExact(quality);
  return length === "auto" && oneByOne ? Math.min(FREE_BLOCK, usual) : usual;
}

/** @throws {RequestError} for an unknown length, or a field that another length needs */
export function checkLength(request: GenerateRequest): CanvasLength {
  const { length = "fixed", genLength, steps, fixed } = request;
  if (!CANVAS_LENGTHS.includes(length)) {
    const known = CANVAS_LENGTHS.join(" or ");
    throw new RequestError("length", `length is ${length}, expected ${known}`);
  }
  if (length === "fixed") return length;
  for (const [field, value] of Object.entries({ genLength, steps, fixed })) {
    if (value === undefined) continue;
    throw new RequestError(field, `${field} is of a fixed canvas: leave it out, or length auto`);
  }
  return length;
}

/**
 * Lengths of an answer whose canvas may grow.
 * @param room positions that the context leaves
 * @throws {RequestError} when there is no room
 */
export function freeLengths(
  maxTokens: number,
  blockLength: number,
  room: number,
  promptLength: number,
): { readonly maxTokens: number; readonly genLength: number; readonly blockLength: number } {
  if (room < 1) {
    throw new RequestError(
      "messages",
      `the prompt has ${promptLength} tokens, which leaves no room for an answer in the model's ` +
        `${promptLength + room}: shorten the conversation`,
      "context_length_exceeded",
      promptLength,
    );
  }
  const block = Math.min(blockLength, room);
  const most = Math.min(Math.ceil(maxTokens / block), Math.floor(room / block)) * block;
  return { maxTokens: Math.min(maxTokens, most), genLength: most, blockLength: block };
}

/** @throws {RequestError} for a token or position that is out of range, or a position given twice */
export function checkGiven(
  given: readonly GivenToken[],
  genLength: number,
  { embeddingSize, maskTokenId }: ModelConfig,
): readonly GivenToken[] {
  const positions = new Set<number>();
  for (const { position, token } of given) {
    const whole = Number.isInteger(position) && position >= 0 && position < genLength;
    if (!whole || positions.has(position)) {
      const expected = `a position from 0 to ${genLength - 1}, each once`;
      throw new RequestError("fixed", `fixed holds position ${position}, expected ${expected}`);
    }
    positions.add(position);
    if (Number.isInteger(token) && token >= 0 && token < embeddingSize && token !== maskTokenId) {
      continue;
    }
    throw new RequestError("fixed", `fixed holds token ${token}, expected one of the vocabulary`);
  }
  return given;
}
