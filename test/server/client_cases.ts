/** What the real `openai` client must get from a server, whatever model it runs. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import OpenAI, { APIError, APIUserAbortError, BadRequestError, NotFoundError } from "openai";
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import type { DenoiseEvent } from "../../src/server/denoise_events.ts";
import type { CompletionUsage } from "../../src/server/openai.ts";

/** A running server, and what to ask and expect of it. */
export interface ClientTarget {
  /** Ends in `/v1`. */
  readonly baseURL: string;
  /** The loaded model's id. */
  readonly model: string;
  readonly messages: { role: "system" | "user" | "assistant"; content: string }[];
  /** Tokens to ask for: two blocks of `blockLength`. */
  readonly maxTokens: number;
  readonly blockLength: number;
  /** The greedy answer with one step per token, when it is known. */
  readonly text?: string;
  /** Sent as `Authorization: Bearer`. */
  readonly apiKey?: string;
}

/** One case; throws when the server does not hold up. */
export type ClientCase = (target: ClientTarget) => Promise<void>;

type ExtraFields = {
  steps?: number;
  block_length?: number;
  remasking?: "low_confidence" | "random";
  cfg_scale?: number;
  include_diffusion?: boolean;
  stream_events?: boolean;
};
type DiffusionChunk = ChatCompletionChunk & { diffusion?: DenoiseEvent };

// Without retries an error shows at once, instead of after the client's own patience.
function client(target: ClientTarget): OpenAI {
  return new OpenAI({ baseURL: target.baseURL, apiKey: target.apiKey ?? "none", maxRetries: 0 });
}

/** Greedy, two blocks; `more` may hold fields that the client has no type for. */
function params<T extends ExtraFields & Partial<OpenAI.ChatCompletionCreateParams>>(
  target: ClientTarget,
  more: T,
) {
  return {
    model: target.model,
    messages: target.messages,
    max_tokens: target.maxTokens,
    block_length: target.blockLength,
    ...more,
  };
}

async function wholeAnswer(target: ClientTarget, more: ExtraFields = {}) {
  return await client(target).chat.completions.create(params(target, { ...more, stream: false }));
}

function pieces(chunks: readonly ChatCompletionChunk[]): string {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
}

/** A whole answer: shape, reason, counts, and the known text. */
export async function answersWhole(target: ClientTarget): Promise<void> {
  const answer = await wholeAnswer(target, { include_diffusion: true });
  assertMatch(answer.id, /^chatcmpl-/);
  assertEquals(answer.object, "chat.completion");
  assertEquals(answer.model, target.model);
  assertEquals(answer.choices.length, 1);
  const [{ message, finish_reason }] = answer.choices;
  assertEquals(message.role, "assistant");
  assert(finish_reason === "stop" || finish_reason === "length", finish_reason);
  if (target.text !== undefined) assertEquals(message.content, target.text);
  const usage = answer.usage as CompletionUsage;
  assert(usage.prompt_tokens > 0 && usage.completion_tokens <= target.maxTokens);
  assertEquals(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert(usage.diffusion && usage.diffusion.forwards > 0);
  assert(Number.isSafeInteger(usage.diffusion.seed));
}

/** The answer's own message can be sent back as history. */
export async function takesItsAnswerBack(target: ClientTarget): Promise<void> {
  const { choices: [{ message }] } = await wholeAnswer(target);
  const again = await client(target).chat.completions.create({
    model: target.model,
    messages: [...target.messages, message, { role: "user", content: "And now?" }],
    max_completion_tokens: 1,
  });
  assertEquals(again.usage?.completion_tokens, 1);
}

/** A streamed answer is the whole answer in pieces. */
export async function streams(target: ClientTarget): Promise<void> {
  const stream = await client(target).chat.completions.create(params(target, { stream: true }));
  const chunks = await Array.fromAsync(stream);
  assertEquals(chunks[0].choices[0].delta, { role: "assistant", content: "" });
  assertEquals(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  assertEquals(chunks.filter((chunk) => "usage" in chunk).length, 0);
  const { choices: [choice] } = await wholeAnswer(target);
  assertEquals(pieces(chunks), choice.message.content);
  assertEquals(chunks.at(-1)?.choices[0].finish_reason, choice.finish_reason);
}

/** Counts come in a last chunk of their own. */
export async function streamsUsage(target: ClientTarget): Promise<void> {
  const stream = await client(target).chat.completions.create(
    params(target, { stream: true, stream_options: { include_usage: true } }),
  );
  const chunks = await Array.fromAsync(stream);
  const last = chunks.pop();
  assertEquals(last?.choices, []);
  assert(last?.usage && last.usage.total_tokens > last.usage.completion_tokens);
  for (const chunk of chunks) assertEquals([chunk.usage, chunk.choices.length], [null, 1]);
}

/** Chunks of several answers come among each other, and the client sorts them by their index. */
export async function streamsSeveral(target: ClientTarget): Promise<void> {
  const asked = params(target, { n: 3, stream: true, stream_options: { include_usage: true } });
  const chunks = await Array.fromAsync(await client(target).chat.completions.create(asked));
  const own = [0, 1, 2].map((index) =>
    chunks.filter(({ choices: [choice] }) => choice?.index === index)
  );
  const { choices: [{ message, finish_reason }], usage } = await wholeAnswer(target);
  for (const some of own) {
    assertEquals(some[0].choices[0].delta, { role: "assistant", content: "" });
    assertEquals(pieces(some), message.content);
    assertEquals(some.at(-1)?.choices[0].finish_reason, finish_reason);
  }
  assert(chunks.indexOf(own[2][0]) < chunks.indexOf(own[0].at(-1)!), "one after another");
  const counts = chunks.at(-1)?.usage;
  assertEquals(counts?.completion_tokens, 3 * usage!.completion_tokens);
  assertEquals(counts?.prompt_tokens, usage!.prompt_tokens);
  const helped = await client(target).chat.completions.stream(params(target, { n: 3 }))
    .finalChatCompletion();
  assertEquals(helped.choices.map((one) => [one.index, one.message.content]), [
    [0, message.content],
    [1, message.content],
    [2, message.content],
  ]);
}

/** The diffusion fields, as the client's extra body fields, take effect. */
export async function takesDiffusionFields(target: ClientTarget): Promise<void> {
  const steps = 4;
  const fields = {
    steps,
    remasking: "random",
    cfg_scale: 0,
    seed: 11,
    include_diffusion: true,
  } as const;
  const [one, two] = [await wholeAnswer(target, fields), await wholeAnswer(target, fields)];
  const usage = one.usage as CompletionUsage;
  assert(
    usage.diffusion && usage.diffusion.forwards <= steps,
    `${usage.diffusion?.forwards} forwards in 4 steps`,
  );
  assertEquals(usage.diffusion.seed, 11);
  assertEquals(one.choices[0].message.content, two.choices[0].message.content);
}

/** Typed events pass through the client, account for every step, and leave its text alone. */
export async function streamsTypedEvents(target: ClientTarget): Promise<void> {
  const stream = await client(target).chat.completions.create(
    params(target, { stream: true, stream_events: true }),
  );
  const chunks: DiffusionChunk[] = await Array.fromAsync(stream);
  const events = chunks.flatMap((chunk) => chunk.diffusion ?? []);
  const [start] = events;
  assert(start.type === "start");
  assertEquals(start.generation_length, target.maxTokens);
  assertEquals(start.block_length, target.blockLength);
  const committed = new Set<number>();
  let prefix = 0;
  let step = -1;
  for (const event of events.slice(1)) {
    assert(event.type !== "start");
    if (event.type === "unmask") {
      assertEquals(event.step, ++step);
      for (const { position, confidence, logprob } of event.commits) {
        assert(!committed.has(position) && position < target.maxTokens);
        committed.add(position);
        assert(confidence >= 0 && confidence <= 1 && logprob <= 0);
      }
    } else if (event.type === "commit_prefix") {
      assert(event.length > prefix && event.step === step);
      prefix = event.length;
      for (let i = 0; i < prefix; i++) assert(committed.has(i), `position ${i} is masked`);
    }
  }
  assert(prefix > 0);
  const { choices: [choice] } = await wholeAnswer(target);
  assertEquals(pieces(chunks), choice.message.content);
}

/** The client's accumulating helper works too, with typed events and counts in the stream. */
export async function accumulates(target: ClientTarget): Promise<void> {
  const runner = client(target).chat.completions.stream(
    params(target, { stream_events: true, stream_options: { include_usage: true } }),
  );
  const whole = await runner.finalChatCompletion();
  const { choices: [choice] } = await wholeAnswer(target);
  assertEquals(whole.choices[0].message.content, choice.message.content);
  assertEquals(whole.choices[0].finish_reason, choice.finish_reason);
  assert((whole.usage?.total_tokens ?? 0) > 0);
}

/** An abort in mid-stream ends the client's loop, and the next request is answered right. */
export async function survivesAbort(target: ClientTarget): Promise<void> {
  const before = await wholeAnswer(target);
  const stream = await client(target).chat.completions.create(
    params(target, { stream: true, stream_events: true }),
  );
  let seen = 0;
  for await (const _ of stream) if (++seen === 3) stream.controller.abort();
  assert(seen >= 3, "what was already received may still come");
  const cut = new AbortController();
  const pending = client(target).chat.completions.create(
    params(target, { stream: false }),
    { signal: cut.signal },
  );
  setTimeout(() => cut.abort(), 10);
  // Where the answer is quicker than the abort there is nothing to abort.
  await pending.catch((error) => assert(error instanceof APIUserAbortError, String(error)));
  const after = await wholeAnswer(target);
  assertEquals(after.choices[0].message.content, before.choices[0].message.content);
}

/** The one model, listed and retrieved. */
export async function listsModels(target: ClientTarget): Promise<void> {
  const { models } = client(target);
  const list = await Array.fromAsync(models.list());
  assertEquals(list.map(({ id, object }) => [id, object]), [[target.model, "model"]]);
  const model = await models.retrieve(target.model);
  assertEquals(model.id, target.model);
  assert(Number.isSafeInteger(model.created) && model.created > 0);
}

/** Errors arrive as the client's own classes, with status, code and field. */
export async function mapsErrors(target: ClientTarget): Promise<void> {
  const { chat, models } = client(target);
  const check = (error: APIError, status: number, code: string, param: string) =>
    assertEquals([error.status, error.code, error.param], [status, code, param]);
  const create = (more: Record<string, unknown>) =>
    chat.completions.create({ ...params(target, {}), stream: false, ...more });
  check(
    await assertRejects(() => create({ temperature: 3 }), BadRequestError),
    400,
    "invalid_value",
    "temperature",
  );
  check(
    await assertRejects(() => create({ audio: { voice: "alloy" }, stream: true }), BadRequestError),
    400,
    "unsupported_parameter",
    "audio",
  );
  const other = `${target.model}-other`;
  check(
    await assertRejects(() => models.retrieve(other), NotFoundError),
    404,
    "model_not_found",
    "model",
  );
}

/** All cases by name. */
export const CLIENT_CASES: readonly (readonly [string, ClientCase])[] = [
  ["answers whole", answersWhole],
  ["takes its answer back", takesItsAnswerBack],
  ["streams", streams],
  ["streams usage", streamsUsage],
  ["streams several answers", streamsSeveral],
  ["takes the diffusion fields", takesDiffusionFields],
  ["streams typed events", streamsTypedEvents],
  ["works with the accumulating helper", accumulates],
  ["survives aborts", survivesAbort],
  ["lists models", listsModels],
  ["maps errors", mapsErrors],
];
