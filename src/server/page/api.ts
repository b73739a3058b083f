/** Requests to the server that the page came from. */
import type { Chunk } from "./trace.ts";

/** Where the key is kept until the tab is closed. */
const KEY = "unmask.key";

/** Why a request has no answer; the message is a sentence for the user. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  /** Of the response; 0 where there was none. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** A request as it goes to the server. */
export interface ApiRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The server, with the key that it may ask for. */
export class Api {
  /** Called when the server asks for a key, or refuses the one that it got. */
  onKeyWanted: (message: string) => void = () => {};

  /** The key that goes with every request; empty for none. */
  get key(): string {
    return sessionStorage.getItem(KEY) ?? "";
  }

  set key(key: string) {
    if (key === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, key);
  }

  /** @throws {ApiError} */
  async get<T>(path: string): Promise<T> {
    return await (await this.#send(path, {})).json();
  }

  /** @throws {ApiError}, or the signal's reason */
  async post<T>({ path, body }: ApiRequest, signal?: AbortSignal): Promise<T> {
    return await (await this.#post(path, body, signal)).json();
  }

  /**
   * The chunks of a streamed answer, as they come; of a server that does not stream it, the whole.
   * @throws {ApiError} also where the answer breaks off; or the signal's reason
   */
  async *stream<T = Chunk>({ path, body }: ApiRequest, signal?: AbortSignal): AsyncGenerator<T> {
    const response = await this.#post(path, body, signal);
    if (response.headers.get("Content-Type")?.startsWith("application/json")) {
      return yield await response.json();
    }
    let done = false;
    for await (const data of dataOf(response.body!, signal)) {
      // The response ends behind it; to leave before would break it off.
      done ||= data === "[DONE]";
      if (done) continue;
      const chunk = JSON.parse(data) as T & { readonly error?: { readonly message: string } };
      if (chunk.error) throw new ApiError(chunk.error.message, response.status);
      yield chunk as Awaited<T>;
    }
    if (done) return;
    signal?.throwIfAborted();
    throw new ApiError("The answer broke off before its end. Ask again.", response.status);
  }

  #post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    return this.#send(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.key !== "") headers.set("Authorization", `Bearer ${this.key}`);
    let response: Response;
    try {
      // Beside the page, wherever a proxy puts it.
      response = await fetch(`.${path}`, { ...init, headers });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new ApiError(
        `The server cannot be reached. Is it still running? (${(error as Error).message})`,
        0,
      );
    }
    if (response.ok) return response;
    const message = await messageOf(response);
    if (response.status === 401) this.onKeyWanted(message);
    throw new ApiError(message, response.status);
  }
}

async function messageOf(response: Response): Promise<string> {
  try {
    const { error } = await response.json();
    if (typeof error?.message === "string") return error.message;
  } catch {
    // What stands before the server may answer with a page.
  }
  return `The server answered ${response.status} ${response.statusText}.`;
}

/** The `data` of server-sent events, each of one line, as this server writes them. */
async function* dataOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (left + value).split("\n");
      left = lines.pop()!;
      for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw new ApiError(`The answer broke off: ${(error as Error).message}. Ask again.`, 0);
  } finally {
    reader.cancel().catch(() => {});
  }
}
