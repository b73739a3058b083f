/** What is known of a request beside its answer: for the answer's headers, and for the log. */
import type { Context, MiddlewareHandler } from "hono";
import type { ChatMessage } from "../engine/request.ts";
import type { AnswerEvent } from "./answers.ts";
import type { ApiKey } from "./api_keys.ts";
import { GenerationSpan } from "./generation_span.ts";
import { IGNORED_HEADER, writtenNames } from "./ignored_fields.ts";
import { SCHEMA_HEADER } from "./messages_schema.ts";

/** Token counts of a request; those of several answers are added. */
export interface TokenCounts {
  readonly prompt: number;
  readonly completion: number;
}

/** A request whose answer is over. */
export interface LoggedRequest {
  readonly id: string;
  readonly method: string;
  /** Percent-encoded, because a line feed could forge a line; at most 200 characters. */
  readonly path: string;
  /** The name of its key, if the key has one. */
  readonly key?: string;
  /** HTTP status. */
  readonly status: number;
  /** From the request's header to the end of the answer. */
  readonly milliseconds: number;
  /** Absent if nothing was generated, or not to its end. */
  readonly tokens?: TokenCounts;
  /** Names of ignored fields, safe to print. */
  readonly ignored: readonly string[];
  /** The conversation, if there was one: private, unless the operator asks for it. */
  readonly messages?: readonly ChatMessage[];
  /** False if an answer was begun and not ended: the client left, or the engine failed. */
  readonly complete: boolean;
}

/** The header that carries a request's id, in and out. */
const ID_HEADER = "X-Request-Id";
/** Ids that a client may choose: they come back in a header, and stand in the log. */
const CLIENT_ID = /^[\w.:/+=-]{1,128}$/;

/** What routes tell of their request. */
export class RequestRecord {
  /** The client's `x-request-id`, or one that was made. */
  readonly id: string;
  /** Milliseconds on the clock of `performance` at which its header was read. */
  readonly arrived: number = performance.now();
  /** Paths of ignored fields. */
  ignored: readonly string[] = [];
  /** Where the schema stood to which the answer is held, if it is no field. */
  schema: "messages" | undefined;
  /** The conversation. */
  messages: readonly ChatMessage[] | undefined;
  /** What is known of the key that it came with. */
  key: ApiKey | undefined;
  /** A name that no other request has; clients choose ids. */
  readonly name: string = crypto.randomUUID();
  /** Whether one answer is asked for at a time, and others when the first has begun. */
  asksOthers = false;
  #tokens: TokenCounts | undefined;
  #spent = 0;
  readonly #begun = Promise.withResolvers<void>();
  #hasBegun = false;
  readonly #onOver: (() => void)[] = [];
  #running = 0;
  #complete = true;
  readonly #headers: Headers;

  constructor(headers: Headers) {
    this.#headers = headers;
    const sentId = headers.get(ID_HEADER);
    this.id = sentId !== null && CLIENT_ID.test(sentId)
      ? sentId
      : `req_${crypto.randomUUID().replaceAll("-", "")}`;
  }

  get tokens(): TokenCounts | undefined {
    return this.#tokens;
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** Tokens that were read and decided so far, for answers that were not ended too. */
  get spent(): number {
    return this.#spent;
  }

  /** Whether an answer has begun. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Fulfilled when the first answer begins. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Calls back once, when nothing of the answer is under way: at once if nothing is. */
  whenOver(callback: () => void): void {
    if (this.#running === 0) callback();
    else this.#onOver.push(callback);
  }

  /** The request is not over before the function that is returned was called. */
  hold(): () => void {
    this.#running++;
    return () => {
      if (--this.#running > 0) return;
      for (const callback of this.#onOver.splice(0)) callback();
    };
  }

  /** Passes the events of answers on, and takes their token counts. */
  async *watch(events: AsyncIterable<AnswerEvent>): AsyncGenerator<AnswerEvent, void, void> {
    const release = this.hold();
    const span = new GenerationSpan(this.id, this.#headers);
    /** Tokens that were decided for each answer that has not ended. */
    const decided = new Map<number, number>();
    let ended = false;
    try {
      for await (const event of events) {
        const { answer = 0 } = event;
        span.see(event);
        if (event.type === "start") {
          this.#spent += event.promptTokens;
          decided.set(answer, 0);
          this.#hasBegun = true;
          this.#begun.resolve();
        } else if (event.type === "step") {
          this.#spent += event.commits.length;
          decided.set(answer, (decided.get(answer) ?? 0) + event.commits.length);
        } else {
          const { promptTokens, completionTokens } = event.usage;
          // Not all that was decided is part of the answer.
          this.#spent += completionTokens - (decided.get(answer) ?? 0);
          decided.delete(answer);
          const { prompt, completion } = this.#tokens ?? { prompt: 0, completion: 0 };
          this.#tokens = {
            // Answers that come together share one prompt.
            prompt: prompt + (ended ? 0 : promptTokens),
            completion: completion + completionTokens,
          };
          ended = true;
        }
        yield event;
      }
    } finally {
      const isComplete = ended && decided.size === 0;
      this.#complete &&= isComplete;
      span.end(isComplete);
      release();
    }
  }
}

const records = new WeakMap<Context, RequestRecord>();

/** The record of the request that a route answers. */
export function recordOf(c: Context): RequestRecord {
  let record = records.get(c);
  if (record === undefined) {
    record = new RequestRecord(c.req.raw.headers);
    records.set(c, record);
  }
  return record;
}

/**
 * Names the request's id and its ignored fields in the answer, and logs it when it is over.
 * @param log what it throws changes no answer
 */
export function requestRecords(log?: (request: LoggedRequest) => void): MiddlewareHandler {
  return async (c, next) => {
    const record = recordOf(c);
    await next();
    const { headers, status } = c.res;
    headers.set("X-Content-Type-Options", "nosniff");
    headers.set(ID_HEADER, record.id);
    const ignored = writtenNames(record.ignored);
    if (ignored.length > 0) headers.set(IGNORED_HEADER, ignored.join(", "));
    if (record.schema) headers.set(SCHEMA_HEADER, record.schema);
    if (!log) return;
    // A method may be any word, of any length.
    const method = c.req.method.slice(0, 16);
    const path = new URL(c.req.url).pathname.slice(0, 200);
    record.whenOver(() => {
      const { id, tokens, messages, key } = record;
      const complete = record.complete || status >= 400;
      const milliseconds = performance.now() - record.arrived;
      try {
        log({
          id,
          method,
          path,
          key: key?.name,
          status,
          milliseconds,
          tokens,
          ignored,
          messages,
          complete,
        });
      } catch {
        // A full disk, or a reader that left, is no fault of this request.
      }
    });
  };
}
