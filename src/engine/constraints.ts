/** Constraints of requests, made ready for the model's tokens and kept for the next request. */

import { Allowance, SizeError } from "../constraint/allowance.ts";
import { Automaton } from "../constraint/automaton.ts";
import { type Constraint, constraintWork } from "../constraint/constraint.ts";
import { GrammarError } from "../constraint/grammar.ts";
import { PatternError } from "../constraint/pattern.ts";
import { SchemaError } from "../constraint/schema_error.ts";
import { TokenAutomaton, UnwritableError } from "../constraint/token_automaton.ts";
import { type TokenSource, Vocabulary } from "../constraint/vocabulary.ts";
import type { Work } from "../constraint/work.ts";
import {
  checkConstrained,
  type ConstrainedRequest,
  heldPlan,
  heldRequest,
  mayBeText,
} from "./constrained_answer.ts";
import { withConstraint } from "./constraint_prompt.ts";
import type { GenerationPlan } from "./generation_plan.ts";
import type { ModelFacts } from "./loaded_model.ts";
import { type GenerateRequest, RequestError } from "./request.ts";

/** Kilobytes of all kept automata together: one a state, and what they are known by. */
const MOST_KILOBYTES = 40_000;

/** Makes constraints ready, once each. */
export class Constraints {
  #vocabulary: Vocabulary | undefined;
  /** By the constraint's JSON, the oldest first. */
  readonly #kept = new Map<string, TokenAutomaton>();
  /** Resolves when the last one that was asked for is made. */
  #making: Promise<void> = Promise.resolve();

  /** Takes the model's tokens; nothing is made before it is asked for. */
  constructor(readonly tokens: TokenSource, readonly facts: ModelFacts) {}

  /** The request as its constraint lets it be; as it is where its answer may be without one. */
  held(request: GenerateRequest): GenerateRequest {
    return !request.constraint || mayBeText(request.constraint) ? request : heldRequest(request);
  }

  /** The request as the model sees it: its messages tell a constraint that holds in any case. */
  told(request: GenerateRequest): GenerateRequest {
    return mayBeText(request.constraint) ? request : this.#withConstraint(request);
  }

  /**
   * What a request's constraint needs; undefined without one.
   * @param plan the request's, whose prompt is that of {@linkcode told}
   * @throws {RequestError} naming what cannot be served, and where it stands
   */
  async checked(
    request: GenerateRequest,
    plan: GenerationPlan,
    encode: (request: GenerateRequest) => Uint32Array,
    signal?: AbortSignal,
  ): Promise<ConstrainedRequest | undefined> {
    const { constraint } = request;
    if (!constraint) return undefined;
    const automaton = await this.#ready(request, signal);
    const promptIds = mayBeText(constraint)
      ? encode(this.#withConstraint(request))
      : plan.promptIds;
    const made = { request, plan: { ...heldPlan(plan), promptIds }, automaton };
    await checkConstrained(made, this.facts.contextLength, signal);
    return made;
  }

  /** A schema takes an eighth of the context or so. A prompt without messages stays as it is. */
  #withConstraint(request: GenerateRequest): GenerateRequest {
    const { messages, constraint, constraintTold } = request;
    if (!messages || constraintTold) return request;
    const most = this.facts.contextLength / 2;
    return { ...request, messages: withConstraint(messages, constraint, most) };
  }

  /** One is made at a time: who waits for the same one, or for its slices, waits here. A kept one is there. */
  async #ready(request: GenerateRequest, signal?: AbortSignal): Promise<TokenAutomaton> {
    const made = this.#found(JSON.stringify(request.constraint));
    if (made) return made;
    const before = this.#making;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#making = promise;
    try {
      await before;
      signal?.throwIfAborted();
      return await this.#known(request, signal);
    } finally {
      resolve();
    }
  }

  async #known(
    { constraint, constraintField = "constraint" }: GenerateRequest,
    signal?: AbortSignal,
  ): Promise<TokenAutomaton> {
    const key = JSON.stringify(constraint);
    const known = this.#found(key);
    if (known) return known;
    try {
      const allowance = new Allowance();
      const made = await allowance.run(this.#make(constraint!, allowance), signal);
      this.#kept.set(key, made);
      this.#forget();
      return made;
    } catch (error) {
      const isOurs = [SchemaError, PatternError, GrammarError, SizeError, UnwritableError]
        .some((kind) => error instanceof kind);
      if (!isOurs) throw error;
      throw new RequestError(
        constraintField,
        `${constraintField} cannot be served: ${(error as Error).message}`,
      );
    }
  }

  /** One that is kept, which becomes the newest. */
  #found(key: string): TokenAutomaton | undefined {
    const known = this.#kept.get(key);
    if (!known) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, known);
    return known;
  }

  *#make(constraint: Constraint, allowance: Allowance): Work<TokenAutomaton> {
    const language = yield* constraintWork(constraint, allowance);
    if (language === undefined) throw new SchemaError("", "allows no text");
    const automaton = yield* Automaton.of(language, allowance);
    const { maskTokenId, endTokenIds, vocabSize } = this.facts;
    const without = [maskTokenId, ...endTokenIds];
    this.#vocabulary ??= yield* Vocabulary.of(this.tokens, vocabSize, without);
    return yield* TokenAutomaton.of(automaton, this.#vocabulary, endTokenIds);
  }

  #forget(): void {
    const all = [...this.#kept];
    // A schema of a megabyte may have few states: what it only describes takes none.
    const size = ([key, { automaton }]: readonly [string, TokenAutomaton]) =>
      automaton.size + key.length / 500;
    let kilobytes = all.reduce((sum, one) => sum + size(one), 0);
    for (const one of all.slice(0, -1)) {
      if (kilobytes <= MOST_KILOBYTES) return;
      this.#kept.delete(one[0]);
      kilobytes -= size(one);
    }
  }
}
