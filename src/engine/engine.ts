/**
 * The engine: turns conversations into streams of denoising steps, with one model and tokenizer.
 */

import { Controller } from "../denoise/auto/controller.ts";
import { planAnswer, withRoom } from "./answer_fields.ts";
import { NO_CACHE } from "../denoise/cache_plan.ts";
import type { ForwardInput, Prediction } from "../denoise/predictor.ts";
import { forwardSteps } from "../denoise/forward_steps.ts";
import type { DenoiseStep } from "../denoise/denoise_step.ts";
import { denoiseFreely, firstCanvas } from "../denoise/free_canvas.ts";
import { newSequence, withGiven } from "../denoise/sequence.ts";
import { strategyOf } from "../denoise/strategy.ts";
import type { GenerationDefaults } from "../model/loading/generation_defaults.ts";
import { LIST_TOKENS } from "../model/input.ts";
import { type ForwardResult, type Model, type RankedToken } from "../model/model.ts";
import { type ChatTemplate, encodeChat } from "../text/chat_template.ts";
import { TextStream } from "../text/text_stream.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import { AnswerTokens } from "./answer_tokens.ts";
import { timeFirstPasses } from "./batching/first_passes.ts";
import type { Lane } from "./batching/lane.ts";
import { MOST_PRIORITY } from "./batching/policy.ts";
import { pagesOf } from "./batching/pages_of.ts";
import { Scheduler } from "./batching/scheduler.ts";
import { type ConstrainedRequest, openConstrained } from "./constrained_answer.ts";
import { Constraints } from "./constraints.ts";
import { Deadline, likeliest, tokensAtDeadline } from "./deadline.ts";
import { fillingOf, searchLayout, templateRequest } from "./fill_template.ts";
import { defaultLengths, type GenerationPlan, planGeneration } from "./generation_plan.ts";
import { checkPassRows, draftFits } from "./pass_rows.ts";
import { continued } from "./prefill.ts";
import type { EngineFolder, NamedDraft } from "./engine_folder.ts";
import { EventBuffer } from "./event_buffer.ts";
import { addLoad, type LoadFigures, NO_LOAD } from "./load_figures.ts";
import type { LoadedModel, ModelFacts } from "./loaded_model.ts";
import { promptIds } from "./prompt.ts";
import { turnOf } from "./queue_fields.ts";
import { endTokenIds, factsOf } from "./model_facts.ts";
import {
  type ChatMessage,
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  RequestError,
  type TextQuestion,
  type TokenizedText,
} from "./request.ts";
import { answerAboutText } from "./text_answers.ts";
import { withinMemory } from "./within_memory.ts";
import { samplingOptions, withTokenBiases } from "./sampling_plan.ts";
import { counted } from "./counted_answers.ts";
import {
  addAnswer,
  AnswerMeter,
  type EngineTotals,
  NO_TOTALS,
  withPasses,
  withUnfinished,
} from "./stats.ts";
import { noSteps, startEvent } from "./start_event.ts";
import { type StepEvent, StepEvents } from "./step_events.ts";
import { filledText } from "./template.ts";

/** A model with its tokenizer. Requests that run at the same time share forward passes. */
export class Engine implements LoadedModel {
  /** What `GET /v1/models` returns about the model. */
  readonly summary: ModelSummary;
  readonly facts: ModelFacts;
  /** The folder's defaults for generating. */
  readonly defaults: GenerationDefaults;
  readonly #scheduler: Scheduler;
  /** Learns from every answer which choices are fastest on this device. */
  readonly #controller = new Controller();
  readonly #constraints: Constraints;
  /** The same for answers with sampling, whose steps take other times. */
  readonly #samplingController = new Controller();
  #totals: EngineTotals;
  /** The load of the engines before this one. */
  readonly #loadBefore: LoadFigures;

  /** Use `loadEngine` of load.ts. */
  constructor(
    readonly model: Model,
    readonly tokenizer: TextTokenizer,
    readonly template: ChatTemplate,
    folder: EngineFolder,
    readonly draft?: NamedDraft,
  ) {
    const { defaults, id, created, maxRunning, maxWaiting, warning } = folder;
    const models = { target: model, draft: draft?.model };
    this.#scheduler = new Scheduler(models, { maxRunning, maxWaiting });
    this.#totals = folder.totals ?? NO_TOTALS;
    this.#loadBefore = folder.load ?? NO_LOAD;
    this.defaults = defaults;
    const { config } = model;
    this.facts = factsOf(config, endTokenIds(config, defaults, this.eotToken));
    this.#constraints = new Constraints(tokenizer, this.facts);
    const lengths = defaultLengths(defaults, config);
    this.summary = {
      id,
      created,
      contextLength: this.facts.contextLength,
      defaultMaxTokens: lengths.maxTokens,
      defaultBlockLength: lengths.blockLength,
      draft: draft?.id,
      warning,
      folder: folder.facts,
      endTokens: this.facts.endTokenIds,
    };
  }

  /** Totals of all answers so far. */
  get totals(): EngineTotals {
    return this.#totals;
  }

  /** How busy it is, and how well its requests share forward passes. */
  get load(): LoadFigures {
    return addLoad(this.#loadBefore, this.#scheduler.figures);
  }

  /** The end-of-turn token, if the folder names one. */
  get eotToken(): number | undefined {
    return this.defaults.eotTokenId ?? this.tokenizer.idOf("<|eot_id|>");
  }

  /**
   * Denoises one answer.
   * @throws {RequestError} before the first event, when the request does not fit the model
   * @throws {BusyError} before the first event, when too many requests wait, or it still waits when
   * its deadline comes
   * @throws the signal's reason at the next step after it was aborted
   */
  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const called = performance.now();
    this.#scheduler.checkRoom(turnOf(request, called));
    request = this.#constraints.held(continued(request));
    const begun = this.tokenizer.encode(request.prefill ?? "");
    const encode = (asked: GenerateRequest) =>
      Uint32Array.from([...promptIds(asked, this), ...begun]);
    const text = fillingOf(request, this.tokenizer);
    const planned = planGeneration(
      withTokenBiases(
        text ? templateRequest(request, text, this.facts.contextLength) : withRoom(request),
        (text) => this.encode(text),
      ),
      this.model.config,
      this.defaults,
      (asked) => encode(this.#constraints.told(asked)),
      this.draft !== undefined,
    );
    checkPassRows(planned, this.model.widestPass);
    const own = planAnswer(request, planned.promptIds.length, this.facts);
    const plan = { ...planned, text, ...own };
    const constrained = await this.#constraints.checked(request, plan, encode, signal);
    const deadline = new Deadline(plan.deadlineMs, called);
    const left = new AbortController();
    const both = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    const turn = turnOf(request, called, plan.deadlineMs);
    const pages = pagesOf(plan, this.model.pages, this.draft?.model.pages);
    const lane = await this.#scheduler.enter({ ...pages, ...turn, signal: both });
    // The steps run without waiting for the reader. A reader that stops, or calls this model
    // between two steps, would otherwise hold its place and its pages.
    const events = new EventBuffer<GenerateEvent>();
    const denoised = this.#denoise(plan, begun.length, deadline, lane, constrained);
    const answer = counted(
      withinMemory(denoised, () => this.#scheduler.freeScratch()),
      (end) => this.#count(end),
    );
    const pump = events.fill(answer).finally(() => lane.close());
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
    return this.#visit((lane) => lane.alone(() => this.model.forward(ids, options)));
  }

  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    return this.#visit((lane) => lane.target.predict(inputs));
  }

  topTokens(
    input: Pick<ForwardInput, "ids" | "attentionMask" | "positions" | "guidance">,
    k: number,
  ): Promise<RankedToken[][]> {
    return this.#visit((lane) => lane.alone(() => this.model.topTokens(input, k)));
  }

  /**
   * Times a few passes, so that the first requests that come at once share passes as well as later
   * ones. Requests that come meanwhile go first.
   * @throws the signal's reason, when it is aborted
   */
  async timePasses(signal?: AbortSignal): Promise<void> {
    if ((this.#scheduler.figures.places ?? 1) < 2) return;
    using lane = this.#scheduler.visit({ priority: -MOST_PRIORITY, signal });
    await timeFirstPasses(lane.target, this.facts);
    if (lane.draft) await timeFirstPasses(lane.draft, this.facts);
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
  encodeChat(messages: readonly ChatMessage[]): Uint32Array {
    try {
      return encodeChat(this.tokenizer, this.template, messages, {
        most: this.facts.contextLength,
      });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const code = error instanceof RangeError ? "context_length_exceeded" : "invalid_value";
      throw new RequestError("messages", message, code);
    }
  }

  /**
   * Answers a question about text.
   * @throws {RequestError} when the text is too long, or the chat template refuses the messages
   */
  text(question: TextQuestion): TokenizedText {
    return answerAboutText(question, this.tokenizer, this.template, this.facts.embeddingSize);
  }

  async #visit<T>(body: (lane: Lane) => Promise<T>): Promise<T> {
    using lane = this.#scheduler.visit();
    return await body(lane);
  }

  #count(end: Extract<GenerateEvent, { type: "end" }> | undefined): void {
    this.#totals = end ? addAnswer(this.#totals, end) : withUnfinished(this.#totals);
    if (end) this.#scheduler.meter.proposed(end.stats.proposed, end.stats.accepted);
  }

  async *#denoise(
    asked: GenerationPlan,
    begun: number,
    deadline: Deadline,
    lane: Lane,
    bound?: ConstrainedRequest,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const { config } = this.model;
    const { signal } = lane;
    const meter = new AnswerMeter(lane.target, lane.draft);
    const { tokenizer, facts } = this;
    const parts = { target: lane.logits, meter, tokenizer, facts, deadline };
    const constrained = bound && await openConstrained(parts, bound, signal);
    if (constrained?.steps) asked = bound!.plan;
    const { promptIds } = asked;
    const maskToken = config.maskTokenId;
    const endToken = this.eotToken ?? config.eosTokenId;
    const searched = asked.text &&
      await searchLayout(asked.text, meter.target, { promptIds, maskToken, endToken, signal });
    const plan = searched
      ? { ...asked, ...searched.shape, stopAtEnd: false, banEnds: true }
      : asked;
    const isFree = plan.length === "auto" && !constrained?.steps;
    const most = plan.genLength;
    const genLength = isFree ? firstCanvas({ ...plan, most }) : most;
    const promptLength = promptIds.length;
    const isConstrained = constrained && { constrained: constrained.steps !== undefined };
    const stream = new TextStream(this.tokenizer, {
      endTokens: [...this.facts.endTokenIds, ...plan.stopTokenIds ?? []],
      stop: plan.stop,
      keepStop: plan.keepStop,
      maxTokens: constrained?.steps ? undefined : plan.maxTokens,
    });
    const started = { promptIds, genLength, maskToken, ...isConstrained };
    yield await startEvent(
      plan,
      { ...started, steps: isFree ? genLength : plan.steps },
      meter.target,
      this.tokenizer,
    );
    const tokens = plan.reportsTokens ? new AnswerTokens(this.tokenizer) : undefined;
    const { given } = plan;
    const shown = { tokenizer, stream, tokens, given, promptLength, genLength, maskToken };
    const events = new StepEvents(shown);
    const { ids, placed } = events;
    const answerStart = promptLength - begun;
    const prompt = {
      ...newSequence(promptIds, isFree ? 0 : genLength, config.maskTokenId),
      ...begun > 0 && { answerStart },
    };
    const sampled = samplingOptions(plan, this.facts.endTokenIds);
    const controller = sampled.sampling ? this.#samplingController : this.#controller;
    const strategy = strategyOf(plan.strategy);
    const draft = draftFits(plan, this.model.widestPass) ? meter.draft : undefined;
    const models = { target: meter.target, draft };
    const step = this.model.pace.millisecondsPerRow * (promptLength + genLength);
    deadline.start(Math.max(step, lane.turnaround));
    const options = {
      ...plan,
      ...sampled,
      controller,
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
    const steps = plan.isEmpty ? noSteps(prompt) : constrained?.steps ??
      (isFree
        ? denoiseFreely(prompt, strategy, models, { ...options, most })
        : strategy.run(withGiven(prompt, plan.given), models, options));
    const stepEvent = (step: DenoiseStep): StepEvent => {
      deadline.step();
      const event = events.of(step);
      this.#scheduler.meter.committed(event.commits.length);
      if (event.delta !== "") lane.begun();
      return event;
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
      const rest = constrained?.rest();
      const guesses = rest ?? await likeliest(result.sequence, meter.target, { bannedTokens });
      const grown = rest &&
        Math.max(ids.length, ...rest.map((one) => one.position - promptLength + 1));
      const { targetForwards: nfe } = result = withPasses(result, rest ? 0 : 1);
      const step = { step: events.nextStep, block: 0, nfe, grown, commits: [guesses] };
      if (guesses.length > 0) yield { ...events.of(step), provisional: true };
    }
    stream.finish();
    const scored = plan.promptLogprobs === undefined ? 0 : 1;
    const before = (searched?.passes ?? constrained?.passes ?? 0) + scored;
    if (before > 0) result = withPasses(result, before);
    yield {
      type: "end",
      // A constrained text is complete where it ends, with or without an end token behind it.
      finishReason: late ? "length" : constrained?.steps ? "stop" : stream.finishReason ?? "length",
      stopText: stream.stopText,
      text: stream.text,
      ...tokens && { tokens: tokens.end(stream.text.length) },
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
        figures: result.choices && controller.figures,
      },
      ...isConstrained,
    };
  }
}
