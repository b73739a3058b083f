/**
 * Requests to the hub and to where it sends on: redirects followed by hand, so that the token stays
 * with the hub; a limit on silence; patience with what passes.
 */

/** The error of a request that would fail again. */
export class HubError extends Error {
  override readonly name = "HubError";
}

/** The error of a request that may succeed later: a cut connection, a busy server, a signed address that is too old. */
export class PassingError extends Error {
  override readonly name = "PassingError";

  /** @param after milliseconds that the server asks to wait; undefined if it does not say */
  constructor(message: string, readonly after?: number) {
    super(message);
  }
}

/** How to ask. */
export interface Asking {
  /** The hub's address, without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the hub's own origin only. */
  readonly token?: string;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** Milliseconds without a byte after which a connection is given up. */
  readonly silence?: number;
  /** Tries in a row that bring nothing before a request is given up. */
  readonly tries?: number;
  /** Milliseconds of the first wait; each further one is twice as long, with chance in it. */
  readonly firstWait?: number;
}

const SILENCE = 30_000;
const TRIES = 5;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** Milliseconds that a server may ask to wait. */
const LONGEST_ASKED = 300_000;
const MAX_REDIRECTS = 10;

/** An answer whose body must come without long silence. */
export class Answer implements AsyncDisposable {
  readonly #watch: Watch;

  /** @param url where it came from, after redirects */
  constructor(readonly url: URL, readonly response: Response, watch: Watch) {
    this.#watch = watch;
  }

  /** The body, piece by piece. @throws {PassingError} when the connection is cut or silent */
  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { body } = this.response;
    if (!body) return;
    try {
      for await (const piece of body) {
        this.#watch.alive();
        yield piece;
      }
    } catch (error) {
      throw this.#watch.told(error);
    }
  }

  /** The body as text. @throws {HubError} when it has more than `limit` bytes */
  async text(limit: number): Promise<string> {
    let text = "";
    let bytes = 0;
    const decoder = new TextDecoder();
    for await (const piece of this.pieces()) {
      bytes += piece.length;
      if (bytes > limit) {
        throw new HubError(`${this.url.host} answers with more than ${limit} bytes`);
      }
      text += decoder.decode(piece, { stream: true });
    }
    return text + decoder.decode();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch.stop();
    await this.response.body?.cancel().catch(() => {});
  }
}

/** Ends a request whose server is silent for too long. */
class Watch {
  readonly #silence: number;
  readonly #outer: AbortSignal;
  readonly #controller = new AbortController();
  readonly #onAbort = () => this.stop();
  #timer: ReturnType<typeof setTimeout>;

  constructor({ signal, silence = SILENCE }: Asking) {
    signal.throwIfAborted();
    this.#silence = silence;
    this.#outer = signal;
    signal.addEventListener("abort", this.#onAbort);
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  alive(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#onAbort);
    this.#controller.abort();
  }

  /** What an error of the connection means. */
  told(error: unknown, what = "the connection was cut"): unknown {
    this.#outer.throwIfAborted();
    if (this.#controller.signal.aborted) {
      return new PassingError(`nothing came for ${this.#silence / 1000} s`);
    }
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) return error;
    return new PassingError(`${what} (${reasonOf(error)})`);
  }

  #start(): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#controller.abort(), this.#silence);
  }
}

/**
 * Asks once, and follows redirects.
 * @param follow whether a redirect to another path is followed
 * @throws {PassingError} when there is no connection
 * @throws {HubError} when a host is not permitted, or a redirect leads nowhere
 */
export async function ask(
  asking: Asking,
  address: string | URL,
  { method = "GET", headers = {}, follow = () => true }: {
    readonly method?: "GET" | "HEAD";
    readonly headers?: Readonly<Record<string, string>>;
    readonly follow?: (location: URL, from: URL) => boolean;
  } = {},
): Promise<Answer> {
  const own = new URL(asking.endpoint).origin;
  let url = new URL(address);
  for (let redirects = 0;; redirects++) {
    const watch = new Watch(asking);
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        redirect: "manual",
        signal: watch.signal,
        headers: {
          // What is counted and hashed are the file's own bytes.
          "Accept-Encoding": "identity",
          "User-Agent": "unmask",
          ...headers,
          ...asking.token && url.origin === own ? { Authorization: `Bearer ${asking.token}` } : {},
        },
      });
    } catch (error) {
      const told = watch.told(error, `there is no connection to ${url.host}`);
      watch.stop();
      throw told instanceof Deno.errors.NotCapable ? notPermitted(url, own) : told;
    }
    const answer = new Answer(url, response, watch);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status > 399 || location === null) return answer;
    const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
    if (next && /^https?:$/.test(next.protocol) && !follow(next, url)) return answer;
    await answer[Symbol.asyncDispose]();
    if (!next || !/^https?:$/.test(next.protocol) || redirects >= MAX_REDIRECTS) {
      throw new HubError(`${url.host} sends on to ${location.slice(0, 200)}, which leads nowhere`);
    }
    // A page that was asked for in safety is not fetched in the open.
    if (url.protocol === "https:" && next.protocol === "http:") {
      throw new HubError(`${url.host} sends on from https to http://${next.host}`);
    }
    url = next;
  }
}

/** The innermost cause: what the system says, rather than "fetch failed". */
function reasonOf(error: Error): string {
  if (error.cause instanceof Error) return reasonOf(error.cause);
  return error.message.replace(
    /^error sending request for url \(\S*\): (client error \(\w+\): )?/,
    "",
  );
}

function notPermitted(url: URL, own: string): HubError {
  const how = url.origin === own
    ? `\`deno task pull\` may, or permit it by --allow-net=${url.host}`
    : `the hub sends on to it; permit it by --allow-net=${url.host} beside what the task permits`;
  return new HubError(`this program may not reach ${url.host}: ${how}`);
}

/**
 * Does a piece of work again after errors that pass, with longer and longer waits.
 * @param work told of each try; it says by `progress` that something came, and patience starts anew
 */
export async function patiently<T>(
  { signal, tries = TRIES, firstWait = FIRST_WAIT }: Asking,
  what: string,
  work: (progress: () => void) => Promise<T>,
): Promise<T> {
  for (let failed = 0;;) {
    try {
      return await work(() => failed = 0);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PassingError)) throw error;
      if (++failed >= tries) {
        throw new HubError(
          `${what}: ${error.message}, ${tries} times in a row. The same command goes on from here.`,
          { cause: error },
        );
      }
      const longest = Math.min(LONGEST_WAIT, firstWait * 2 ** (failed - 1));
      // Half of it by chance, so that connections do not all come back at one moment.
      const own = longest * (0.5 + Math.random() / 2);
      await pause(Math.max(own, Math.min(error.after ?? 0, LONGEST_ASKED)), signal);
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** Milliseconds that a server asks to wait; undefined if it does not say. */
export function waitOf(headers: Headers, now: number = Date.now()): number | undefined {
  const asked = headers.get("retry-after")?.trim();
  if (asked && /^\d+$/.test(asked)) return 1000 * Number(asked);
  const date = asked ? Date.parse(asked) : NaN;
  if (!Number.isNaN(date)) return Math.max(0, date - now);
  // The hub says when its window ends: `"api";r=0;t=55`.
  const [, seconds] = /(?:^|;)\s*r=0\s*;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "") ?? [];
  return seconds === undefined ? undefined : 1000 * Number(seconds);
}
