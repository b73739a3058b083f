/**
 * The events of a streamed response, in the order that OpenAI's clients insist on: `created` first,
 * an item is added before its parts, and each is done before the next is added.
 */
import type { AnswerChunk, ToolCall } from "../translated/chat_answer.ts";
import { newId } from "../translated/body.ts";
import { type ErrorFields, sentEvent } from "../translated/translation.ts";
import {
  callItem,
  messageItem,
  type OutputItem,
  outputText,
  type ResponseHead,
  responseObject,
  type ResponseState,
  statusOf,
} from "./response.ts";
import type { ResponsesRequest } from "./schema.ts";

/** Writes the events of one response. */
export class ResponseEvents {
  readonly #request: ResponsesRequest;
  #head: ResponseHead | undefined;
  #number = 0;
  readonly #output: OutputItem[] = [];
  /** The item that is being written. */
  #message: { readonly id: string; text: string; readonly logprobs: unknown[] } | undefined;
  #call: { readonly id: string; readonly index: number; call: ToolCall } | undefined;

  constructor(request: ResponsesRequest) {
    this.#request = request;
  }

  /** The events of a chat stream. */
  async *of(chunks: AsyncIterable<AnswerChunk>): AsyncGenerator<string, void, void> {
    let end: string | null = null;
    let usage: AnswerChunk["usage"];
    for await (const chunk of chunks) {
      if (this.#head === undefined) yield* this.#begin(chunk);
      usage = chunk.usage ?? usage;
      for (const { delta, logprobs, finish_reason } of chunk.choices) {
        if (delta.content) yield* this.#text(delta.content, logprobs?.content ?? []);
        for (const call of delta.tool_calls ?? []) yield* this.#piece(call);
        end = finish_reason ?? end;
      }
    }
    // An answer without text has an item all the same.
    if (this.#output.length === 0 && !this.#message && !this.#call) yield* this.#text("", []);
    const status = statusOf(end);
    yield* this.#close(status);
    yield this.#whole(`response.${status}`, {
      status,
      output: this.#output,
      usage: usage ?? undefined,
    });
  }

  /** What ends a stream that broke. */
  broken({ message, code, param }: ErrorFields): string {
    const error = { code: "server_error", message };
    const failed = this.#head &&
      this.#whole("response.failed", { status: "failed", output: this.#output, error });
    const fields = { code: code ?? "server_error", message, param };
    return this.#event("error", fields) + (failed ?? "");
  }

  *#begin({ created, model }: AnswerChunk): Generator<string, void, void> {
    this.#head = { id: newId("resp_"), created, model };
    const state: ResponseState = { status: "in_progress", output: [] };
    yield this.#whole("response.created", state);
    yield this.#whole("response.in_progress", state);
  }

  *#text(delta: string, logprobs: readonly unknown[]): Generator<string, void, void> {
    if (!this.#message) {
      yield* this.#close("completed");
      this.#message = { id: newId("msg_"), text: "", logprobs: [] };
      const { id } = this.#message;
      const item = messageItem(id, "in_progress", []);
      yield this.#event("response.output_item.added", { output_index: this.#index, item });
      yield this.#event("response.content_part.added", {
        ...this.#place(id),
        part: outputText(""),
      });
    }
    if (delta === "") return;
    this.#message.text += delta;
    this.#message.logprobs.push(...logprobs);
    yield this.#event("response.output_text.delta", {
      ...this.#place(this.#message.id),
      delta,
      logprobs,
    });
  }

  *#piece(piece: ToolCall): Generator<string, void, void> {
    const index = piece.index ?? 0;
    if (this.#call?.index !== index) {
      yield* this.#close("completed");
      const call = { id: piece.id ?? newId("call_"), function: { name: piece.function?.name } };
      this.#call = { id: newId("fc_"), index, call };
      const item = { ...callItem(this.#call.id, call), status: "in_progress" };
      yield this.#event("response.output_item.added", { output_index: this.#index, item });
    }
    const delta = piece.function?.arguments ?? "";
    if (delta === "") return;
    const { id, call } = this.#call!;
    const written = (call.function?.arguments ?? "") + delta;
    this.#call = {
      id,
      index,
      call: { ...call, function: { ...call.function, arguments: written } },
    };
    yield this.#event("response.function_call_arguments.delta", {
      item_id: id,
      output_index: this.#index,
      delta,
    });
  }

  /** Ends the item that is being written, if there is one. */
  *#close(status: "completed" | "incomplete"): Generator<string, void, void> {
    const output_index = this.#index;
    if (this.#message) {
      const { id, text, logprobs } = this.#message;
      const part = { ...outputText(text), logprobs };
      const item = messageItem(id, status, [part]);
      yield this.#event("response.output_text.done", { ...this.#place(id), text, logprobs });
      yield this.#event("response.content_part.done", { ...this.#place(id), part });
      yield this.#event("response.output_item.done", { output_index, item });
      this.#output.push(item);
    }
    if (this.#call) {
      const { id, call } = this.#call;
      const item = callItem(id, call);
      yield this.#event("response.function_call_arguments.done", {
        item_id: id,
        output_index,
        name: call.function?.name,
        arguments: call.function?.arguments ?? "",
      });
      yield this.#event("response.output_item.done", { output_index, item });
      this.#output.push(item);
    }
    this.#message = this.#call = undefined;
  }

  get #index(): number {
    return this.#output.length;
  }

  #place(item_id: string) {
    return { item_id, output_index: this.#index, content_index: 0 };
  }

  #whole(type: string, state: ResponseState): string {
    return this.#event(type, { response: responseObject(this.#request, this.#head!, state) });
  }

  #event(type: string, fields: object): string {
    return sentEvent({ type, sequence_number: this.#number++, ...fields }, type);
  }
}
