/**
 * The engine: turns conversations into streams of denoising steps, with one model and tokenizer.
 */

import { Controller } from "../denoise/auto/controller.ts";
import { NO_CACHE } from "../denoise/cache_plan.ts";
import type { ForwardInput, Prediction } from "../denoise/predictor.ts";
import { forwardSteps } from "../denoise/forward_steps.ts";
import type { DenoiseStep } from "../denoise/denoise_step.ts";
import { denoiseFreely, firstCanvas } from "../denoise/free_canvas.ts";
import { newSequence, withGiven } from "../denoise/sequence.ts";
import { strategyOf } from "../denoise/strategy.ts";
import { tracedStep } from "../denoise/trace.ts";
import type { GenerationDefaults } from "../model/loading/generation_defaults.ts";
import { LIST_TOKENS } from "../model/input.ts";
import {
  type ForwardResult,
  GpuMemoryError,
  type Model,
  type RankedToken,
} from "../model/model.ts";
import { type ChatTemplate, encodeChat } from "../text/chat_template.ts";
import { TextStream } from "../text/text_stream.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import { Deadline, likeliest, tokensAtDeadline } from "./deadline.ts";
import { fillingOf, searchLayout, templateRequest } from "./fill_template.ts";
import { defaultLengths, type GenerationPlan, planGeneration } from "./generation_plan.ts";
import { continued } from "./prefill.ts";
import { EventBuffer } from "./event_buffer.ts";
import type { LoadedModel, ModelFacts } from "./loaded_model.ts";
import { endTokenIds, factsOf } from "./model_facts.ts";
import {
  type CommittedToken,
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  RequestError,
  UnavailableError,
} from "./request.ts";
import { RequestQueue } from "./request_queue.ts";
import { addAnswer, AnswerMeter, type EngineTotals, NO_TOTALS, withPasses } from "./stats.ts";
import { filledText } from "./template.ts";

/** Settings of an engine besides its model and tokenizer. */
export interface EngineFolder {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly defaults: GenerationDefaults;
  /** Limit of requests that wait for their turn. */
  readonly maxWaiting: number;
  /** A warning to users of this model. */
  readonly warning?: string;
  /** Totals of the engine that this one replaces; counting goes on from them. */
  readonly totals?: EngineTotals;
}

/** A draft and the name of its folder. */
export interface NamedDraft {
  readonly id: string;
  readonly model: Model;
}

/** A model with its tokenizer. It answers requests one at a time, in the order they came. */
export class Engine implements LoadedModel {
  /** What `GET /v1/models` returns about the model. */
  readonly summary: ModelSummary;
  readonly facts: ModelFacts;
  /** The folder's defaults for generating. */
  readonly defaults: GenerationDefaults;
  readonly #queue: RequestQueue;
  /** Learns from every answer which choices are fastest on this device. */
  readonly #controller = new Controller();
  #totals: EngineTotals;

  /** Use `loadEngine` of load.ts. */
  constructor(
    readonly model: Model,
    readonly tokenizer: TextTokenizer,
    readonly template: ChatTemplate,
    folder: EngineFolder,
    readonly draft?: NamedDraft,
  ) {
    const { defaults, id, created, maxWaiting, warning } = folder;
    this.#queue = new RequestQueue(maxWaiting);
    this.#totals = folder.totals ?? NO_TOTALS;
    this.defaults = defaults;
    const { config } = model;
    this.facts = factsOf(config, endTokenIds(config, defaults, this.eotToken));
    const lengths = defaultLengths(defaults, config);
    this.summary = {
      id,
      created,
      contextLength: this.facts.contextLength,
      defaultMaxTokens: lengths.maxTokens,
      defaultBlockLength: lengths.blockLength,
      draft: draft?.id,
      warning,
    };
  }

  /** Totals of all answers so far. */
  get totals(): EngineTotals {
    return this.#totals;
  }

  /** The end-of-turn token, if the folder names one. */
  get eotToken(): number | undefined {
    return this.defaults.eotTokenId ?? this.tokenizer.idOf("<|eot_id|>");
  }

  /**
   * Denoises one answer.
   * @throws {RequestError} before the first event, when the request does not fit the model
   * @throws {BusyError} before the first event, when too many requests wait
   * @throws the signal's reason at the next step after it was aborted
   */
  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    this.#queue.checkRoom();
    request = continued(request);
    const begun = this.tokenizer.encode(request.prefill ?? "");
    const text = fillingOf(request, this.tokenizer);
    const planned = planGeneration(
      text ? templateRequest(request, text, this.facts.contextLength) : request,
      this.model.config,
      this.defaults,
      ({ messages }) => Uint32Array.from([...this.encodeChat(messages), ...begun]),
      this.draft !== undefined,
    );
    const plan = { ...planned, text };
    const deadline = new Deadline(plan.deadlineMs);
    const leave = await this.#queue.enter(signal);
    // The steps run without waiting for the reader. A reader that stops, or calls this model
    // between two steps, would otherwise block every request behind it.
    const left = new AbortController();
    const both = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    const events = new EventBuffer<GenerateEvent>();
    const answer = this.#counted(
      this.#withinMemory(this.#denoise(plan, begun.length, deadline, both)),
    );
    const pump = events.fill(answer).finally(leave);
    try {
      yield* events;
    } finally {
      left.abort();
      await pump;
    }
  }

  encode(text: string): number[] {
    return this.tokenizer.encode(text);
  }

  decode(ids: Iterable<number>): string {
    return this.tokenizer.decode(ids);
  }

  forward(
    ids: Uint32Array,
    options?: { readonly attentionMask?: Uint8Array },
  ): Promise<ForwardResult> {
    return this.#alone(() => this.model.forward(ids, options));
  }

  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    return this.#alone(() => this.model.predict(inputs));
  }

  topTokens(
    input: Pick<ForwardInput, "ids" | "attentionMask" | "positions" | "guidance">,
    k: number,
  ): Promise<RankedToken[][]> {
    return this.#alone(() => this.model.topTokens(input, k));
  }

  /** Frees the model, and the device if it was acquired for this model. */
  [Symbol.dispose](): void {
    this.draft?.model[Symbol.dispose]();
    this.model[Symbol.dispose]();
  }

  /**
   * Token ids of a conversation, ready for an answer.
   * @throws {RequestError} when it is too long, or the model's template refuses it
   */
  encodeChat(messages: GenerateRequest["messages"]): Uint32Array {
    try {
      return encodeChat(this.tokenizer, this.template, messages, this.facts.contextLength);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const code = error instanceof RangeError ? "context_length_exceeded" : "invalid_value";
      throw new RequestError("messages", message, code);
    }
  }

  async #alone<T>(body: () => Promise<T>): Promise<T> {
    const leave = await this.#queue.enter();
    try {
      return await body();
    } finally {
      leave();
    }
  }

  /** Adds an answer to the totals when it ends or fails. */
  async *#counted(
    events: AsyncIterable<GenerateEvent>,
  ): AsyncGenerator<GenerateEvent, void, void> {
    let ended = false;
    try {
      for await (const event of events) {
        if (event.type === "end") {
          this.#totals = addAnswer(this.#totals, event);
          ended = true;
        }
        yield event;
      }
    } finally {
      if (!ended) this.#totals = { ...this.#totals, unfinished: this.#totals.unfinished + 1 };
    }
  }

  /**
   * Frees scratch memory when the GPU's runs out, and throws an error that a client understands.
   */
  async *#withinMemory(
    events: AsyncIterable<GenerateEvent>,
  ): AsyncGenerator<GenerateEvent, void, void> {
    try {
      yield* events;
    } catch (error) {
      if (!(error instanceof GpuMemoryError)) throw error;
      await this.model.freeScratch();
      await this.draft?.model.freeScratch();
      throw new UnavailableError(
        "The GPU has too little memory for this request. Shorten the conversation, ask for " +
          "fewer tokens, or load the model in fewer bits (--weights).",
        "out_of_memory",
        error.message,
      );
    }
  }

  async *#denoise(
    asked: GenerationPlan,
    begun: number,
    deadline: Deadline,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const { config } = this.model;
    const { promptIds } = asked;
    const meter = new AnswerMeter(this.model, this.draft?.model);
    const maskToken = config.maskTokenId;
    const endToken = this.eotToken ?? config.eosTokenId;
    const searched = asked.text &&
      await searchLayout(asked.text, meter.target, { promptIds, maskToken, endToken, signal });
    const plan = searched
      ? { ...asked, ...searched.shape, stopAtEnd: false, banEnds: true }
      : asked;
    const isFree = plan.length === "auto";
    const most = plan.genLength;
    const genLength = isFree ? firstCanvas({ ...plan, most }) : most;
    const promptLength = promptIds.length;
    const stream = new TextStream(this.tokenizer, {
      endTokens: this.facts.endTokenIds,
      stop: plan.stop,
      maxTokens: plan.maxTokens,
    });
    yield {
      type: "start",
      promptTokens: promptLength,
      generationLength: genLength,
      blockLength: plan.blockLength,
      ...plan.given.length > 0 && { given: plan.given },
      steps: isFree ? genLength : plan.steps,
      seed: plan.seed,
      strategy: plan.strategy,
      cache: plan.cache ?? NO_CACHE,
      maskToken: config.maskTokenId,
    };
    const ids = new Array<number>(genLength).fill(config.maskTokenId);
    for (const { position, token } of plan.given) ids[position] = token;
    // Text of tokens that are given is shown with the first step.
    let given = stream.commit(plan.given);
    const answerStart = promptLength - begun;
    const prompt = {
      ...newSequence(promptIds, isFree ? 0 : genLength, config.maskTokenId),
      ...begun > 0 && { answerStart },
    };
    const strategy = strategyOf(plan.strategy);
    const models = { target: meter.target, draft: meter.draft };
    deadline.start(this.model.pace.millisecondsPerRow * (promptLength + genLength));
    const options = {
      ...plan,
      controller: this.#controller,
      seeds: [plan.seed],
      eosToken: config.eosTokenId,
      eotToken: this.eotToken,
      // As many as a shader takes; the text ends at each of them all the same.
      endTokens: this.facts.endTokenIds.slice(0, LIST_TOKENS),
      // A stop string or the token limit settles the text as an end token does.
      finished: () => deadline.comes() || (plan.stopAtEnd && stream.finishReason !== undefined),
      stepsPerReadback: plan.deadlineMs === undefined ? undefined : 1,
      signal,
    };
    const steps = isFree
      ? denoiseFreely(prompt, strategy, models, { ...options, most })
      : strategy.run(withGiven(prompt, plan.given), models, options);
    let nextStep = 0;
    const placed: CommittedToken[] = [];
    const stepEvent = (step: DenoiseStep): Extract<GenerateEvent, { type: "step" }> => {
      deadline.step();
      nextStep = step.step + 1;
      while (ids.length < (step.grown ?? 0)) ids.push(config.maskTokenId);
      // A position committed as the mask token is still masked, and is committed again later.
      const decided = step.commits[0].filter(({ token }) => token !== config.maskTokenId);
      const commits = decided.map((commit): CommittedToken => ({
        position: commit.position - promptLength,
        token: commit.token,
        text: this.tokenizer.tokenText(commit.token),
        confidence: commit.confidence,
        logProbability: commit.logProbability,
      }));
      for (const { position, token } of commits) ids[position] = token;
      placed.push(...commits);
      const delta = given + stream.commit(commits);
      given = "";
      const { proposed, ...traced } = tracedStep(step, promptLength, config.maskTokenId);
      return {
        ...traced,
        ...step.grown !== undefined && { grown: step.grown },
        type: "step",
        commits,
        ...proposed && {
          proposed: proposed.map((guess) => ({
            ...guess,
            text: this.tokenizer.tokenText(guess.token),
          })),
        },
        delta,
        prefixLength: stream.prefixLength,
      };
    };
    let result = yield* forwardSteps(steps, stepEvent);
    const late = deadline.came && stream.finishReason === undefined;
    const sure = placed.length;
    if (late) {
      const bannedTokens = searched
        ? options.endTokens
        : plan.logitsEosInf
        ? [config.eosTokenId]
        : [];
      const guesses = await likeliest(result.sequence, meter.target, { bannedTokens });
      const nfe = result.targetForwards + 1;
      result = withPasses(result, 1);
      const step = { step: nextStep, block: 0, nfe, commits: [guesses] };
      if (guesses.length > 0) yield { ...stepEvent(step), provisional: true };
    }
    stream.finish();
    if (searched) result = withPasses(result, searched.passes);
    yield {
      type: "end",
      finishReason: late ? "length" : stream.finishReason ?? "length",
      text: stream.text,
      ids,
      ...late && { deadline: tokensAtDeadline(placed, sure, stream.completionTokens) },
      ...searched && {
        filled: filledText(searched.pieces, searched.shape, ids, placed, this.tokenizer),
      },
      usage: { promptTokens: promptLength, completionTokens: stream.completionTokens },
      stats: {
        ...meter.stats(result),
        seed: plan.seed,
        strategy: plan.strategy,
        cache: plan.cache ?? NO_CACHE,
        choices: result.choices,
        figures: result.choices && this.#controller.figures,
      },
    };
  }
}
