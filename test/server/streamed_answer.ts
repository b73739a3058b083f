/** A streamed answer as a client reads it, piece by piece. */
import { parseEvents } from "./sse.ts";

/** What came of one request; times in milliseconds. */
export interface StreamedAnswer {
  /** 0: there was no response, or it broke off. */
  readonly status: number;
  /** Seconds to wait, of an answer that says so. */
  readonly retryAfter: number | undefined;
  readonly first: number;
  readonly total: number;
  /**
   * Its text; with `stream_events` also its commits, bits of confidences included. Of what is no whole
   * answer what came.
   */
  readonly bits: string;
}

/** Milliseconds after which an answer that has not ended is given up. */
const PATIENCE = 300_000;
/** Text of a delta; what opens a stream has none. */
const TEXT = /"content":"[^"]/;
/** Characters of a piece that are looked at again with the next one. */
const OVERLAP = 16;

/** Asks for a chat completion that streams, and reads it to its end. */
export async function streamedAnswer(url: string, body: unknown): Promise<StreamedAnswer> {
  const start = performance.now();
  const since = () => performance.now() - start;
  let first: number | undefined;
  let whole = "";
  // Not `AbortSignal.timeout`, which is kept until its time has come.
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE);
  let status = 0;
  let retryAfter: number | undefined;
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: patience.signal,
    });
    const told = response.headers.get("Retry-After");
    retryAfter = told === null ? undefined : Number(told);
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      const seen = Math.max(0, whole.length - OVERLAP);
      whole += piece;
      if (TEXT.test(whole.slice(seen))) first ??= since();
    }
    status = response.status;
  } catch (error) {
    whole += ` broken off: ${error}`;
  } finally {
    clearTimeout(timer);
  }
  const total = since();
  if (status !== 200) return { status, retryAfter, first: total, total, bits: whole };
  return { status, retryAfter, first: first ?? total, total, bits: bitsOf(whole) };
}

/** The text and the commits of a stream, which must have ended well. */
function bitsOf(body: string): string {
  const events = parseEvents(body);
  if (events.at(-1)?.data !== "[DONE]") return `cut: ${body}`;
  const chunks = events.slice(0, -1).map(({ data }) => JSON.parse(data));
  const wrong = chunks.find(({ error }) => error);
  if (wrong) return `error: ${JSON.stringify(wrong)}`;
  const text = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
  const steps = chunks.map(({ diffusion }) => diffusion).filter((one) =>
    one?.type === "unmask" || one?.type === "remask"
  );
  return `${text}${steps.length > 0 ? `\n${JSON.stringify(steps)}` : ""}`;
}
