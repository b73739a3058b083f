/** A gap between two texts, on the ground of the chat route: a completion with a suffix. */
import type {
  AnswerToken,
  GenerateEvent,
  GenerateRequest,
  TextEngine,
} from "../../engine/request.ts";
import { engineWith } from "../engine_with.ts";

/** Most tokens of a gap: its length is searched, and each length that is tried costs a state. */
const MOST_TOKENS = 256;
/** The same where the request has no limit. */
const DEFAULT_MOST_TOKENS = 64;

/**
 * The same engine for requests whose prompt stands before a gap. The model sees both sides, and the
 * answer is the gap's text alone, shown as far as it is decided from its left side on.
 * @param engine takes the request's prompt
 * @param suffix the text behind the gap
 */
export function infillEngine(engine: TextEngine, suffix: string): TextEngine {
  return engineWith(engine, async function* (request, signal) {
    const { stop = [], keepStop } = request;
    const shown = new ShownGap(stop.filter((text) => text !== ""), keepStop);
    let length = 0;
    for await (const event of engine.generate(withGap(request, suffix), signal)) {
      if (event.type === "start") {
        // The first token that is given is the suffix's, or the end behind an empty one.
        length = Math.min(...event.given?.map(({ position }) => position) ?? []);
        yield event;
      } else if (event.type === "step") {
        const { delta, tokens, prefixLength, ...step } = event;
        // With the gap's last token comes the suffix: what is left of the gap is in the end.
        const gained = prefixLength < length ? shown.add(delta, tokens) : { delta: "" };
        yield { ...step, ...gained, prefixLength: Math.min(prefixLength, length) };
      } else yield gapOf(event, shown);
    }
  });
}

/** A template fixes the canvas, and ends by itself. */
function withGap(request: GenerateRequest, suffix: string): GenerateRequest {
  const { length: _1, genLength: _2, blockLength: _3, steps: _4, stop: _5, ...rest } = request;
  const mostTokens = Math.min(request.maxTokens ?? DEFAULT_MOST_TOKENS, MOST_TOKENS);
  return { ...rest, template: [{ mostTokens }, suffix] };
}

type End = Extract<GenerateEvent, { type: "end" }>;

/** The text of a gap as far as it may be shown, and its tokens. */
class ShownGap {
  readonly #stop: readonly string[];
  readonly #keepStop: boolean;
  /** Units that are held back, since they may begin a stop string. */
  readonly #held: number;
  #text = "";
  #sent = 0;
  readonly #waiting: AnswerToken[] = [];
  /** Bytes of the tokens that were shown. */
  #bytes = 0;

  constructor(stop: readonly string[], keepStop = false) {
    this.#stop = stop;
    this.#keepStop = keepStop;
    this.#held = Math.max(0, ...stop.map((text) => text.length - 1));
  }

  /** Adds text and its tokens. @returns the text that may be shown now, with its own tokens */
  add(delta: string, tokens?: readonly AnswerToken[]) {
    this.#text += delta;
    this.#waiting.push(...tokens ?? []);
    const { text, found } = this.cut(this.#text);
    let end = found === undefined ? Math.max(this.#sent, text.length - this.#held) : text.length;
    if (!text.slice(0, end).isWellFormed()) end--;
    const gained = text.slice(this.#sent, end);
    this.#sent = Math.max(this.#sent, end);
    return { delta: gained, ...tokens && { tokens: this.#shown(text.slice(0, end)) } };
  }

  /** The text up to the first stop string in it, or with it if it is kept; and that string. */
  cut(text: string): { readonly text: string; readonly found?: string } {
    const found = this.#stop.filter((one) => text.includes(one))
      .toSorted((a, b) => text.indexOf(a) - text.indexOf(b))[0];
    if (found === undefined) return { text };
    const end = text.indexOf(found) + (this.#keepStop ? found.length : 0);
    return { text: text.slice(0, end), found };
  }

  #shown(text: string): readonly AnswerToken[] {
    const most = byteLength(text);
    let count = 0;
    for (const { bytes } of this.#waiting) {
      if (this.#bytes + bytes.length > most) break;
      this.#bytes += bytes.length;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** The end of the answer that is the gap's text, up to the first stop string in it. */
function gapOf(end: End, shown: ShownGap): End {
  const hole = end.filled?.holes[0];
  if (hole === undefined) throw new Error("the engine ended without a filled text");
  const { text, found } = shown.cut(hole.text);
  let before = 0;
  // A token that the stop string cuts is there whole.
  const tokens = found === undefined ? end.tokens : end.tokens?.filter(({ bytes }) => {
    before += bytes.length;
    return before - bytes.length < byteLength(text);
  });
  return {
    ...end,
    text,
    ...tokens && { tokens },
    stopText: found,
    finishReason: "stop",
    usage: { ...end.usage, completionTokens: hole.tokens.length },
  };
}
