/** A few clients that stream one answer after another while something goes wrong, and look at each. */

import { parseEvents } from "../sse.ts";
import type { ServedProcess } from "./served_process.ts";

/** Milliseconds after which an answer counts as one that never ends. */
const PATIENCE = 120_000;

const PROMPTS = [
  "What is 7 times 8?",
  "What is 3 plus 4?",
  "What is 9 times 6?",
  "What is 12 plus 30?",
  "Define a function add in Python that adds a and b.",
];
/** Ways to denoise whose text no clock chooses. */
const WAYS: readonly Readonly<Record<string, unknown>>[] = [
  { strategy: "threshold" },
  { strategy: "plain", max_tokens: 12 },
  { strategy: "threshold", cache: "dual" },
  { strategy: "lossless", max_tokens: 12 },
  { strategy: "self", max_tokens: 12 },
];

/** What is asked, in turn: each prompt in one of the ways. */
export const ASKED: readonly Readonly<Record<string, unknown>>[] = PROMPTS.map((content, i) => ({
  messages: [{ role: "user", content }],
  max_tokens: 16,
  temperature: 0,
  seed: 1,
  ...WAYS[i % WAYS.length],
}));

/** How one answer ended. */
export interface Answered {
  /** The text, if the answer was whole; a sign of failure (`code: …`) otherwise. */
  readonly text: string;
  /**
   * The error's code. Where the connection was: `refused`, `cut`, or `broken off` for an answer in one
   * piece, which cannot tell its error once it has begun. Undefined for answers that are there.
   */
  readonly told?: string;
  readonly milliseconds: number;
}

/** Asks for the answer to one of {@linkcode ASKED}, as a stream or whole. */
export async function ask(
  url: string,
  question: number,
  { stream = true, client }: { readonly stream?: boolean; readonly client?: Deno.HttpClient } = {},
): Promise<Answered> {
  const begun = performance.now();
  const answered = (text: string, told?: string): Answered => {
    return { text, told, milliseconds: performance.now() - begun };
  };
  let begins = false;
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...ASKED[question % ASKED.length], stream }),
      signal: AbortSignal.timeout(PATIENCE),
      client,
    });
    begins = true;
    const body = await response.text();
    if (!response.ok) return answered(body, JSON.parse(body).error.code);
    if (!stream) return answered(JSON.parse(body).choices[0].message.content);
    const events = parseEvents(body);
    const last = events.at(-1)?.data;
    if (last !== "[DONE]") {
      const code = last?.startsWith('{"error"') ? JSON.parse(last).error.code : "cut";
      return answered(body.slice(-200), code);
    }
    const texts = events.slice(0, -1).map(({ data }) =>
      JSON.parse(data).choices[0]?.delta?.content ?? ""
    );
    return answered(texts.join(""));
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    return answered(
      String(error),
      isLate ? "never ended" : !begins ? "refused" : stream ? "cut" : "broken off",
    );
  }
}

/** What came of a load. */
export interface LoadOutcome {
  /** Answers that were the same as those alone. */
  readonly right: number;
  /** Errors that clients were told and that were to be expected, by their code. */
  readonly told: Readonly<Record<string, number>>;
  /** What should not have come. */
  readonly wrong: readonly string[];
  /** Milliseconds of the slowest right answer. */
  readonly slowest: number;
}

/** Clients that ask until they are told to stop. */
export class LightLoad {
  readonly #server: ServedProcess;
  readonly #expected: readonly string[];
  readonly #allowed: ReadonlySet<string>;
  readonly #client = Deno.createHttpClient({ poolMaxIdlePerHost: 8 });
  readonly #clients: Promise<void>[];
  readonly #told: Record<string, number> = {};
  readonly #wrong: string[] = [];
  #right = 0;
  #slowest = 0;
  #over = false;

  /**
   * @param expected the answers alone, in the order of {@linkcode ASKED}
   * @param allowed codes of errors that clients may be told
   */
  constructor(
    server: ServedProcess,
    expected: readonly string[],
    clients: number,
    allowed: readonly string[] = [],
  ) {
    this.#server = server;
    this.#expected = expected;
    this.#allowed = new Set(allowed);
    this.#clients = Array.from({ length: clients }, (_, i) => this.#askOn(i));
  }

  /** The answers alone, of a server without load. @throws {Error} when one is no answer */
  static async learn(server: ServedProcess): Promise<readonly string[]> {
    const texts: string[] = [];
    for (let question = 0; question < ASKED.length; question++) {
      const { text, told } = await ask(server.url, question);
      if (told !== undefined) throw new Error(`alone, without any fault: ${told}: ${text}`);
      texts.push(text);
    }
    return texts;
  }

  /** Right answers so far. */
  get right(): number {
    return this.#right;
  }

  /** Waits for so many more right answers. */
  async more(answers: number): Promise<void> {
    const wanted = this.#right + answers;
    const end = performance.now() + PATIENCE;
    while (this.#right < wanted) {
      if (performance.now() > end) {
        this.#wrong.push(`no ${answers} right answers in ${PATIENCE / 1000} s`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Lets the clients have their last answers. */
  async stop(): Promise<LoadOutcome> {
    this.#over = true;
    await Promise.all(this.#clients);
    this.#client.close();
    return {
      right: this.#right,
      told: this.#told,
      wrong: this.#wrong,
      slowest: this.#slowest,
    };
  }

  async #askOn(first: number): Promise<void> {
    for (let question = first; !this.#over; question++) {
      const { text, told, milliseconds } = await ask(this.#server.url, question, {
        stream: question % 3 !== 0,
        client: this.#client,
      });
      if (told === undefined && text === this.#expected[question % ASKED.length]) {
        this.#right++;
        this.#slowest = Math.max(this.#slowest, milliseconds);
      } else if (told !== undefined && this.#allowed.has(told)) {
        this.#told[told] = (this.#told[told] ?? 0) + 1;
        // As clients do that are told to come again.
        await new Promise((resolve) => setTimeout(resolve, 100));
      } else this.#wrong.push(`${told ?? "other text"}: ${text.slice(0, 300)}`);
    }
  }
}
