/** Fields of a request about where an answer may end, and about its prompt; and their plan. */

import type { LikelyToken } from "./told_tokens.ts";
import { FIRST_CANVAS } from "../denoise/free_canvas.ts";
import { RequestError } from "./request_errors.ts";

/** Fields that few requests have. */
export interface AnswerFields {
  /**
   * Tokens that an answer has before one may end it; default 0. No block that begins before that
   * position holds an end, so it may have up to a block more. Stop strings end it all the same.
   */
  readonly minTokens?: number;
  /** Whether the text keeps the stop string that ended it (default false). */
  readonly keepStop?: boolean;
  /** Tokens that end the text, besides the model's own ends; they are not in it. */
  readonly stopTokenIds?: readonly number[];
  /** Whether the events carry the answer's tokens though no log-probabilities are asked for. */
  readonly reportsTokens?: boolean;
  /** Whether the start has the prompt's token ids (default false). */
  readonly reportsPrompt?: boolean;
  /**
   * If given, the start has the prompt's tokens with log-probabilities, each beside as many of the
   * likeliest at its place, 0 to 20: one pass more, of twice the prompt's rows.
   */
  readonly promptLogprobs?: number;
}

/** A token of a prompt, with its log-softmax where it alone is masked. */
export interface PromptToken extends LikelyToken {
  /** The likeliest tokens there, the first first. */
  readonly likeliest: readonly LikelyToken[];
}

/** What the start tells of a prompt. */
export interface PromptReport {
  /** Its token ids; only with `reportsPrompt`. */
  readonly promptIds?: readonly number[];
  /** Its tokens; only with `promptLogprobs`. */
  readonly prompt?: readonly PromptToken[];
}

/** What a plan says of these fields. */
export interface AnswerPlan {
  readonly keepStop?: boolean;
  readonly stopTokenIds?: readonly number[];
  readonly reportsPrompt?: boolean;
  readonly promptLogprobs?: number;
  /** First position, of prompt and answer together, at which a block may begin that has an end. */
  readonly endsFrom?: number;
  /** Positions of the first canvas, if it is to be longer than usual. */
  readonly first?: number;
  /** Whether only the prompt is read: an answer of no tokens. */
  readonly isEmpty?: boolean;
}

/** Most likeliest tokens beside one. */
const MOST_LIKELIEST = 20;

/** The context in tokens, and how many tokens have an id. */
interface ModelSizes {
  readonly contextLength: number;
  readonly embeddingSize: number;
}

/** What these fields are of a request that is planned. */
interface Asked extends AnswerFields {
  readonly maxTokens?: number;
  readonly genLength?: number;
  readonly constraint?: unknown;
  readonly template?: unknown;
  readonly revise?: unknown;
}

/**
 * Checks the fields and plans them.
 * @param promptTokens tokens before the answer
 * @param model its context in tokens, and the ids that it has
 * @throws {RequestError} naming the field that is out of range or does not fit the others
 */
export function planAnswer(
  request: Asked,
  promptTokens: number,
  { contextLength, embeddingSize }: ModelSizes,
): AnswerPlan {
  const { minTokens = 0, promptLogprobs, keepStop, reportsPrompt, maxTokens } = request;
  const { stopTokenIds, genLength } = request;
  checkWhole("minTokens", minTokens, contextLength);
  for (const [name, most = Infinity] of Object.entries({ maxTokens, genLength })) {
    if (minTokens <= most) continue;
    throw new RequestError("minTokens", `minTokens is ${minTokens}, more than ${name} ${most}`);
  }
  const isHeld = request.constraint ?? request.template ?? request.revise;
  if (minTokens > 0 && isHeld !== undefined) {
    throw new RequestError(
      "minTokens",
      "minTokens is not for an answer whose form is given: it ends where the form does",
    );
  }
  const wrong = stopTokenIds?.find((id) => !Number.isInteger(id) || id < 0 || id >= embeddingSize);
  if (wrong !== undefined) {
    throw new RequestError(
      "stopTokenIds",
      `stopTokenIds holds ${wrong}, expected ids of the model's ${embeddingSize} tokens, from 0`,
    );
  }
  if (stopTokenIds?.length && isHeld !== undefined) {
    throw new RequestError(
      "stopTokenIds",
      "stopTokenIds could cut an answer short whose form is given: leave it out",
    );
  }
  if (promptLogprobs !== undefined) {
    checkWhole("promptLogprobs", promptLogprobs, MOST_LIKELIEST);
    if (2 * promptTokens > contextLength) {
      throw new RequestError(
        "promptLogprobs",
        `promptLogprobs takes a row more for each of the prompt's ${promptTokens} tokens, ` +
          `together more than the model's ${contextLength}: leave it out, or shorten the prompt`,
      );
    }
  }
  return {
    keepStop,
    stopTokenIds,
    reportsPrompt,
    promptLogprobs,
    ...minTokens > 0 && { endsFrom: promptTokens + minTokens },
    ...minTokens > FIRST_CANVAS && { first: minTokens },
    isEmpty: maxTokens === 0,
  };
}

function checkWhole(field: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return;
  throw new RequestError(
    field,
    `${field} is ${value}, expected a whole number from 0 to ${most}`,
  );
}

/** The request as lengths are planned: an answer of no tokens has the room of one. */
export function withRoom<T extends { readonly maxTokens?: number }>(request: T): T {
  return request.maxTokens === 0 ? { ...request, maxTokens: 1 } : request;
}
