/** One turn of the chat: a question, and an answer that can be asked anew and mended. */
import type { Api, ApiRequest } from "./api.ts";
import { ask, tracedRequest } from "./ask.ts";
import type { Turn } from "./conversations.ts";
import { type EditAnswer, spanOf, wholePositions, withEdit, withMasks } from "./edit.ts";
import { Replay } from "./replay.ts";
import { fieldsOf, type Settings } from "./settings.ts";
import { type Cell, type Trace } from "./trace.ts";

/** A message, as requests have it. */
export interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** What a turn needs of the chat that it belongs to. */
export interface TurnHost {
  readonly api: Api;
  /** The choices, as they are now. */
  readonly settings: () => Settings;
  /** The messages before this turn's question. */
  readonly before: (turn: ChatTurn) => readonly Message[];
  /** The turn has begun, ended or failed. */
  readonly changed: (turn: ChatTurn) => void;
  readonly announce: (sentence: string) => void;
}

/** A request, and the choices that it came of. */
interface Asked {
  readonly request: ApiRequest;
  readonly settings: Settings;
}

/** A turn, with the canvas of its answer. */
export class ChatTurn {
  readonly question: string;
  readonly replay: Replay;
  /** Why there is no answer, or no whole one. */
  problem = "";
  readonly #host: TurnHost;
  /** The text of an answer whose record was dropped. */
  readonly #text: string;
  #controller: AbortController | undefined;
  #asked: Asked | undefined;

  constructor({ question, answer, trace }: Turn, host: TurnHost) {
    this.question = question;
    this.#text = answer;
    this.#host = host;
    this.replay = new Replay({
      of: "the answer",
      legend: true,
      onMask: (cell) => this.maskAgain(cell),
    });
    if (trace) this.replay.update(trace, false);
  }

  get running(): boolean {
    return this.#controller !== undefined;
  }

  /** Whether the answer's steps can be seen. */
  get hasTrace(): boolean {
    return this.running || this.replay.trace.steps.length > 0;
  }

  get answer(): string {
    return this.hasTrace ? this.replay.trace.text : this.#text;
  }

  /** As it is kept. */
  get kept(): Turn {
    const { trace } = this.replay;
    return { question: this.question, answer: this.answer, ...this.hasTrace ? { trace } : {} };
  }

  /** What was asked for its answer; after a reload, what would be. */
  get asked(): Asked {
    return this.#asked ?? this.#ask();
  }

  #ask(): Asked {
    const settings = this.#host.settings();
    const request = tracedRequest({ messages: this.#messages(), ...fieldsOf(settings) });
    return { request, settings };
  }

  /** Asks for the answer; one that still comes is stopped. */
  async ask(): Promise<void> {
    const { request } = this.#asked = this.#ask();
    await this.#run(async (signal) => {
      const draw = (trace: Trace) => {
        if (this.#controller?.signal === signal) {
          this.replay.update(trace, trace.finish === undefined);
        }
      };
      const { text, finish } = await ask(this.#host.api, request, draw, signal);
      return finish === "stopped" ? "Stopped." : `The answer: ${text}`;
    });
  }

  /** Puts a mask back at a token, and has it denoised again. */
  async maskAgain(cell: Cell): Promise<void> {
    const { trace } = this.replay;
    const positions = wholePositions(trace, cell.position);
    const masked = withMasks(trace, positions);
    const { temperature, seed, seedPinned } = this.#host.settings();
    await this.#run(async (signal) => {
      this.replay.extend(masked, true);
      const body = {
        messages: this.#messages(),
        text: trace.text,
        spans: [{ ...spanOf(trace, positions), tokens: positions.length }],
        temperature,
        ...seedPinned ? { seed } : {},
      };
      try {
        const edit = await this.#host.api.post<EditAnswer>({ path: "/v1/edits", body }, signal);
        this.replay.extend(withEdit(masked, edit), false);
        return `There now stands '${edit.edits[0].text}'.`;
      } catch (error) {
        this.replay.update(trace, false);
        throw error;
      }
    });
  }

  /** Ends what is under way. */
  stop(): void {
    this.#controller?.abort();
  }

  #messages(): readonly Message[] {
    return [...this.#host.before(this), { role: "user", content: this.question }];
  }

  async #run(work: (signal: AbortSignal) => Promise<string>): Promise<void> {
    this.stop();
    const controller = new AbortController();
    this.#controller = controller;
    this.problem = "";
    this.#host.changed(this);
    let told = "";
    try {
      told = await work(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) this.problem = (error as Error).message;
    }
    // Another request may have taken its place.
    if (this.#controller !== controller) return;
    this.#controller = undefined;
    if (this.problem !== "") this.replay.update(this.replay.trace, false);
    this.#host.changed(this);
    if (told !== "") this.#host.announce(told);
  }
}
