/** What a client's cases know of the server that they ask. */

/** A server that runs, and a question whose answer is known. */
export interface ClientServer {
  /** Without a path. */
  readonly url: string;
  /** The model's name. */
  readonly model: string;
  readonly prompt: string;
  /** The answer to it. */
  readonly text: string;
  /** Limit of tokens with which it is given. */
  readonly limit: number;
}

/** A call of a client as its documentation shows it, and what comes back. */
export type ClientCase = readonly [name: string, run: (server: ClientServer) => Promise<void>];
