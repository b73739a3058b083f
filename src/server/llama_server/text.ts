/** `POST /tokenize`, `/detokenize` and `/apply-template`: the tokenizer and the chat template. */
import type { Context } from "hono";
import type { z } from "zod";
import type { TextEngine } from "../../engine/request.ts";
import { ApiError } from "../errors.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { readBody } from "../translated/body.ts";
import { detokenizeSchema, templateSchema, tokenizeSchema, turnsOf } from "./schema.ts";

interface Options {
  readonly body: BodyLimits;
}

/**
 * Makes the handler of `/tokenize`. A body with `content` gets llama-server's answer, `tokens`
 * alone; one with `prompt` or `messages` vLLM's, which counts them too.
 */
export function tokenize(engine: TextEngine, options: Options): (c: Context) => Promise<Response> {
  return async (c) => {
    const { contextLength } = loadedModel(engine);
    const request = await readBody(c, tokenizeSchema, options.body);
    const { content, prompt, messages, parse_special = true, with_pieces } = request;
    const text = content ?? prompt;
    if (text === undefined && messages === undefined) {
      const message = "Missing required parameter: 'content'; expected text.";
      throw new ApiError(400, "missing_required_parameter", message, { param: "content" });
    }
    const asked = conversationOf(request);
    const { ids, pieces } = await engine.text(
      text === undefined
        ? { type: "render", ...asked }
        : { type: "encode", text, control: parse_special },
    );
    if (content !== undefined) {
      const named = () => ids.map((id, i) => ({ id, piece: pieces[i] }));
      return c.json({ tokens: with_pieces ? named() : ids });
    }
    return c.json({
      count: ids.length,
      max_model_len: contextLength,
      tokens: ids,
      token_strs: request.return_token_strs
        ? pieces.map((piece) => typeof piece === "string" ? piece : "\ufffd")
        : null,
    });
  };
}

/** How the conversation is rendered that `/tokenize` got, in vLLM's fields. */
function conversationOf(
  { messages = [], add_generation_prompt, continue_final_message }: z.output<typeof tokenizeSchema>,
) {
  const turns = turnsOf(messages);
  if (!continue_final_message) return { messages: turns, opens: add_generation_prompt ?? true };
  if (add_generation_prompt) {
    const message =
      "'continue_final_message' stands beside add_generation_prompt: send one of them.";
    throw new ApiError(400, "invalid_value", message, { param: "continue_final_message" });
  }
  return { messages: turns.slice(0, -1), begun: turns.at(-1)?.content };
}

/** Makes the handler of `/detokenize`; control tokens have no text. */
export function detokenize(
  engine: TextEngine,
  options: Options,
): (c: Context) => Promise<Response> {
  return async (c) => {
    loadedModel(engine);
    const { tokens } = await readBody(c, detokenizeSchema, options.body);
    const { text } = await engine.text({ type: "decode", ids: tokens });
    // llama-server's name and vLLM's.
    return c.json({ content: text, prompt: text });
  };
}

/** Makes the handler of `/apply-template`. */
export function applyTemplate(
  engine: TextEngine,
  options: Options,
): (c: Context) => Promise<Response> {
  return async (c) => {
    loadedModel(engine);
    const { messages } = await readBody(c, templateSchema, options.body);
    const { text } = await engine.text({ type: "render", messages: turnsOf(messages) });
    return c.json({ prompt: text });
  };
}

/** How many answers are denoised at once at most, as far as the engine tells. */
function places({ load }: TextEngine): number {
  return Math.max(1, load?.places ?? 1);
}

/** Makes the handler of `GET /props`: what llama-server's clients ask before they begin. */
export function props(engine: TextEngine, version: string): (c: Context) => Response {
  return (c) => {
    const { id, contextLength, folder } = loadedModel(engine);
    return c.json({
      default_generation_settings: { n_ctx: contextLength, params: { n_predict: -1, seed: -1 } },
      total_slots: places(engine),
      chat_template: folder?.chatTemplate ?? "",
      model_alias: id,
      // Where a model lies is nobody's business: its name stands for it.
      model_path: id,
      modalities: { vision: false, audio: false },
      build_info: `unmask ${version}`,
    });
  };
}

/**
 * Makes the handler of `GET /slots`: a slot for each answer that may be denoised at once.
 * @param running how many answers are under way
 */
export function slots(engine: TextEngine, running: () => number): (c: Context) => Response {
  return (c) => {
    const { contextLength } = loadedModel(engine);
    const busy = running();
    return c.json(
      Array.from({ length: places(engine) }, (_, id) => {
        return { id, n_ctx: contextLength, is_processing: id < busy };
      }),
    );
  };
}

/** Makes the handler of vLLM's `GET /load`. @param running how many answers are under way */
export function load(running: () => number): (c: Context) => Response {
  return (c) => c.json({ server_load: running() });
}

/** Handler of `GET /lora-adapters`: there are none. */
export function loraAdapters(c: Context): Response {
  return c.json([]);
}
