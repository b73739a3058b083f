/** A gap between two texts, on the ground of the chat route: a completion with a suffix. */
import type { GenerateEvent, GenerateRequest, TextEngine } from "../../engine/request.ts";
import { engineWith } from "../engine_with.ts";

/** Most tokens of a gap: its length is searched, and each length that is tried costs a state. */
const MOST_TOKENS = 256;
/** The same where the request has no limit. */
const DEFAULT_MOST_TOKENS = 64;

/**
 * The same engine for requests whose prompt stands before a gap. The model sees both sides, and the
 * answer is the gap's text alone. It comes in one piece, since tokens behind it are there already.
 * @param engine takes the request's prompt
 * @param suffix the text behind the gap
 */
export function infillEngine(engine: TextEngine, suffix: string): TextEngine {
  return engineWith(engine, async function* (request, signal) {
    const { stop = [] } = request;
    for await (const event of engine.generate(withGap(request, suffix), signal)) {
      if (event.type === "step") yield { ...event, delta: "" };
      else if (event.type === "end") yield gapOf(event, stop);
      else yield event;
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

/** The end of the answer that is the gap's text, up to the first stop string in it. */
function gapOf(end: End, stop: readonly string[]): End {
  const hole = end.filled?.holes[0];
  if (hole === undefined) throw new Error("the engine ended without a filled text");
  const found = stop.filter((text) => text !== "" && hole.text.includes(text))
    .toSorted((a, b) => hole.text.indexOf(a) - hole.text.indexOf(b))[0];
  return {
    ...end,
    text: found === undefined ? hole.text : hole.text.slice(0, hole.text.indexOf(found)),
    stopText: found,
    finishReason: "stop",
    usage: { ...end.usage, completionTokens: hole.tokens.length },
  };
}
