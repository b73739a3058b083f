/** A TextEngine without a model: plausible events, delays, and failures on demand. */
import {
  type CommittedToken,
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  RequestError,
  type TextEngine,
  type TextQuestion,
  type TokenizedText,
} from "../../src/engine/request.ts";

import { NO_ACCEPTANCE } from "../../src/denoise/strategies/acceptance.ts";
import { addAnswer, NO_TOTALS } from "../../src/engine/stats.ts";

/** How a fake engine behaves. */
export interface FakeOptions {
  /** The answer to everything, one token per UTF-16 unit (default: a sentence). */
  readonly answer?: string;
  /** Milliseconds before the first event (default 0). */
  readonly startDelay?: number;
  /** Milliseconds before each step (default 0). */
  readonly stepDelay?: number;
  /** What the first event waits for, on top of its delay: an answer that surely has not begun. */
  readonly mayStart?: Promise<unknown>;
  /** What the first step waits for: an answer that surely is under way. */
  readonly mayStep?: Promise<unknown>;
  /** Thrown before the first event. */
  readonly startError?: Error;
  /** Thrown before this step (from 0), when given. */
  readonly stepError?: { readonly step: number; readonly error: Error };
  /** Where the engine stands (default ready). */
  readonly state?: TextEngine["state"];
  /** Overrides of the model. */
  readonly model?: Partial<ModelSummary>;
  /** Held back from the deltas: as many of the answer's last characters come only with the end. */
  readonly unshown?: number;
}

/** What a request without `max_tokens` gets, in tokens. */
const DEFAULT_MAX_TOKENS = 64;
const END_TOKEN = 0;
const MASK_TOKEN = 1;

/** Answers everything with one text, a token per character, in a fixed shuffled order. */
export class FakeEngine implements TextEngine {
  state: TextEngine["state"];
  failure?: string;
  readonly ready: Promise<void> = Promise.resolve();
  readonly #model: ModelSummary;
  /** Every request that came, in order. */
  readonly requests: GenerateRequest[] = [];
  /** How many generations their signal ended. */
  aborted = 0;
  totals = NO_TOTALS;
  /** How many generations are under way. */
  running = 0;

  constructor(readonly options: FakeOptions = {}) {
    this.state = options.state ?? "ready";
    if (this.state === "failed") this.failure = "no GPU adapter was found";
    this.#model = {
      id: "fake-llada",
      created: 1_700_000_000,
      contextLength: 256,
      defaultMaxTokens: DEFAULT_MAX_TOKENS,
      defaultBlockLength: 32,
      ...options.model,
    };
  }

  get model(): ModelSummary | undefined {
    return this.state === "ready" ? this.#model : undefined;
  }

  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    this.requests.push(request);
    this.running++;
    try {
      yield* this.#denoise(request, signal);
    } catch (error) {
      if (signal?.aborted) this.aborted++;
      throw error;
    } finally {
      this.running--;
    }
  }

  async *#denoise(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    const { startDelay = 0, stepDelay = 0, startError, stepError, unshown = 0 } = this.options;
    await allowed(this.options.mayStart, signal);
    await sleep(startDelay, signal);
    if (startError) throw startError;
    const maxTokens = request.maxTokens ?? this.#model.defaultMaxTokens;
    const blockLength = request.blockLength ?? Math.min(this.#model.defaultBlockLength, maxTokens);
    const blocks = Math.ceil(maxTokens / blockLength);
    const length = blocks * blockLength;
    const steps = request.steps ?? length;
    if (steps % blocks !== 0) {
      throw new RequestError("steps", `steps is ${steps}: expected a multiple of ${blocks} blocks`);
    }
    const { messages = [], prompt = "" } = request;
    const promptTokens = messages.reduce((sum, one) => sum + one.content.length + 4, prompt.length);
    const room = this.#model.contextLength - promptTokens;
    const fits = room < blockLength ? room : room - room % blockLength;
    if (length > room && request.fitTokens && fits > 0) {
      yield* this.#denoise({ ...request, maxTokens: fits, fitTokens: false }, signal);
      return;
    }
    if (length > room) {
      throw new RequestError(
        "messages",
        `${promptTokens} prompt tokens and maxTokens ${length} exceed the context`,
        "context_length_exceeded",
      );
    }
    yield {
      type: "start" as const,
      promptTokens,
      generationLength: length,
      blockLength,
      steps,
      seed: request.seed ?? 7,
      strategy: "plain" as const,
      cache: "none" as const,
      maskToken: MASK_TOKEN,
    };

    const { text, tokens, finishReason, stopText } = this.#answer(request, maxTokens, length);
    const ids = new Array<number>(length).fill(MASK_TOKEN);
    const perStep = Math.ceil(length / steps);
    const shown = text.slice(0, Math.max(0, text.length - unshown));
    let prefix = 0;
    await allowed(this.options.mayStep, signal);
    for (let step = 0; step < steps; step++) {
      await sleep(stepDelay, signal);
      if (stepError?.step === step) throw stepError.error;
      const block = Math.floor(step / (steps / blocks));
      const masked = order(ids, block * blockLength, blockLength).slice(0, perStep);
      const commits = masked.sort((a, b) => a - b).map((position): CommittedToken => {
        ids[position] = tokens[position];
        const confidence = 1 / (1 + (position % 4));
        return {
          position,
          token: tokens[position],
          text: tokens[position] === END_TOKEN ? "" : String.fromCharCode(tokens[position]),
          confidence,
          logProbability: Math.log(confidence),
        };
      });
      const before = prefix;
      while (prefix < length && ids[prefix] !== MASK_TOKEN) prefix++;
      yield {
        type: "step" as const,
        nfe: step + 1,
        step,
        block,
        commits,
        delta: shown.slice(before, prefix),
        prefixLength: prefix,
      };
    }
    const end = {
      type: "end" as const,
      finishReason,
      stopText,
      text,
      ids,
      usage: { promptTokens, completionTokens: Math.min(maxTokens, text.length + 1) },
      stats: {
        seed: request.seed ?? 7,
        forwards: steps,
        strategy: "plain" as const,
        cache: "none" as const,
        targetStates: steps,
        draftForwards: 0,
        idleForwards: 0,
        proposed: 0,
        accepted: 0,
        acceptedLengths: [],
        cacheRefreshes: 0,
        acceptance: NO_ACCEPTANCE,
        readbacks: Math.ceil(steps / 4),
        targetSeconds: 0.75,
        draftSeconds: 0,
        readbackSeconds: 0.5,
        seconds: 1,
      },
    };
    this.totals = addAnswer(this.totals, end);
    yield end;
  }

  #answer(request: GenerateRequest, maxTokens: number, length: number) {
    const whole = this.options.answer ?? "Masks fall away in any order.";
    const stops = (request.stop ?? []).map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
    const cut = Math.min(whole.length, ...stops);
    const text = whole.slice(0, Math.min(cut, maxTokens));
    const tokens = Array.from(
      { length },
      (_, position) => position < text.length ? text.charCodeAt(position) : END_TOKEN,
    );
    const finishReason = cut < maxTokens ? "stop" as const : "length" as const;
    const stopText = request.stop?.find((stop) => cut < maxTokens && whole.startsWith(stop, cut));
    return { text, tokens, finishReason, stopText };
  }

  /** A token per UTF-16 unit; a conversation is a line for each message. */
  text(question: TextQuestion): Promise<TokenizedText> {
    const text = question.type === "encode"
      ? question.text
      : question.type === "decode"
      ? String.fromCharCode(...question.ids)
      : question.messages.map(({ role, content }) => `${role}: ${content}\n`).join("");
    const pieces = text.split("");
    return Promise.resolve({ text, ids: pieces.map((unit) => unit.charCodeAt(0)), pieces });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The block's masked positions, in an order that is neither ascending nor descending. */
function order(ids: readonly number[], start: number, blockLength: number): number[] {
  const masked: number[] = [];
  for (let i = 0; i < blockLength; i++) if (ids[start + i] === MASK_TOKEN) masked.push(start + i);
  const key = (position: number) => (position * 7) % 5;
  return masked.sort((a, b) => key(a) - key(b) || a - b);
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    if (ms === 0) return resolve();
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

async function allowed(permission?: Promise<unknown>, signal?: AbortSignal): Promise<void> {
  if (!permission) return;
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal!.reason);
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  try {
    await Promise.race([permission, left.promise]);
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}
