/** Conversations that go on behind token ids, as ollama's `context` gives them. */
import { RequestError, type TextEngine } from "../../engine/request.ts";
import { engineWith } from "../engine_with.ts";

/**
 * The same engine for chats, whose turns it takes as what follows some ids: those of a prompt and its
 * answer. A turn's end stands between.
 * @param context the ids
 */
export function contextEngine(engine: TextEngine, context: readonly number[]): TextEngine {
  return engineWith(engine, async function* ({ messages = [], ...request }, signal) {
    const turns = await engine.text({ type: "render", messages });
    const [first] = turns.ids;
    // The template opens a conversation with a token of its own, which stands in the context already.
    const ids = first === context[0] ? turns.ids.slice(1) : turns.ids;
    const end = await endOfTurn(engine);
    try {
      yield* engine.generate({ ...request, prompt: [...context, ...end, ...ids] }, signal);
    } catch (error) {
      if (!(error instanceof RequestError) || error.field !== "prompt") throw error;
      throw new RequestError("context", error.message, error.code, error.promptTokens);
    }
  });
}

/** What the template puts behind an answer, before the next turn. */
async function endOfTurn(engine: TextEngine): Promise<readonly number[]> {
  const asked = [{ role: "user", content: "a" }];
  const answered = [...asked, { role: "assistant", content: "b" }];
  const open = await engine.text({ type: "render", messages: asked, begun: "b" });
  const closed = await engine.text({ type: "render", messages: answered, opens: false });
  return open.ids.every((id, i) => id === closed.ids[i]) ? closed.ids.slice(open.ids.length) : [];
}
