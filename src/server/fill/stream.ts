/** A text that is filled, as a stream: the canvas as it resolves, then the whole answer. */
import type { GenerateEvent, TextEngine } from "../../engine/request.ts";
import {
  commitPrefixEvent,
  type DenoiseEvent,
  remaskEvent,
  startEvent,
  unmaskEvent,
} from "../denoise_events.ts";
import type { StreamMessage } from "../event_stream.ts";

/** A token that stands in the canvas before the first step. */
interface GivenEvent {
  readonly position: number;
  readonly token: number;
  /** The token alone as text; U+FFFD if it is only part of a character. */
  readonly text: string;
}

/**
 * Turns events into messages, named by their type: `start`, with the tokens that are given; `unmask`,
 * `remask` and `commit_prefix` of every step; the answer, named `name`; and `[DONE]`.
 * @param head fields that each message begins with
 * @param answer the whole answer, once the events are over; called with all of them
 * @throws whatever `events` throws
 */
export async function* fillStream(
  events: AsyncIterable<GenerateEvent>,
  { engine, name, head, answer }: {
    readonly engine: TextEngine;
    readonly name: string;
    readonly head: Readonly<Record<string, unknown>>;
    readonly answer: (events: AsyncIterable<GenerateEvent>) => Promise<string>;
  },
): AsyncGenerator<StreamMessage, void, void> {
  const typed = (diffusion: DenoiseEvent & { readonly given?: readonly GivenEvent[] }) => ({
    event: diffusion.type,
    data: JSON.stringify({ ...head, object: `${name}.chunk`, diffusion }),
  });
  const seen: GenerateEvent[] = [];
  let prefixLength = 0;
  for await (const event of events) {
    seen.push(event);
    if (event.type === "start") {
      yield typed({ ...startEvent(event), given: await givenOf(event, engine) });
    } else if (event.type === "step") {
      yield typed(unmaskEvent(event));
      const remask = remaskEvent(event);
      if (remask) yield typed(remask);
      if (event.prefixLength > prefixLength) {
        prefixLength = event.prefixLength;
        yield typed(commitPrefixEvent(event));
      }
    }
  }
  yield { event: name, data: await answer(again(seen)) };
  yield { data: "[DONE]" };
}

async function givenOf(
  { given = [] }: Extract<GenerateEvent, { type: "start" }>,
  engine: TextEngine,
): Promise<readonly GivenEvent[]> {
  const { pieces } = await engine.text({ type: "decode", ids: given.map(({ token }) => token) });
  return given.map(({ position, token }, i) => {
    const piece = pieces[i];
    return { position, token, text: typeof piece === "string" ? piece : "\ufffd" };
  });
}

async function* again(events: readonly GenerateEvent[]): AsyncGenerator<GenerateEvent> {
  yield* events;
}
