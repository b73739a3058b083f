/** Takes connections, no more than so many, and listens anew where the system has ended that. */

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** Whether this program may listen there. @param hostname without brackets */
export function mayListen(hostname: string, port: number): boolean {
  const host = `${inUrl(hostname)}:${port}`;
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}

/** A host as it stands before a port: an IPv6 address in brackets. */
export function inUrl(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Where to listen, and how much to take. */
export interface ConnectionOptions {
  readonly hostname: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Most connections at once; what comes beyond is closed at once. */
  readonly connections: number;
  /** Connections that the system keeps until they are taken; beyond, clients try again. */
  readonly backlog: number;
  /** Told when listening anew fails. */
  readonly onError: (error: Error) => void;
}

/** What an HTTP server of Node asks of its connections. */
const LIKE_HTTP = { allowHalfOpen: true, noDelay: true };
/** Milliseconds between two looks whether connections were too many. */
const LOOK = 1000;

/**
 * The connections of a server. A connection that cannot be taken, for want of an open file, ends the
 * listening in Deno 2.9, without a word. That comes of too many connections only: when some were too
 * many, it listens anew within a second.
 */
export class Connections {
  #server: Server;
  #port: number;
  #open = 0;
  #beyond = 0;
  #looking: ReturnType<typeof setInterval> | undefined;
  #stopped: PromiseWithResolvers<void> | undefined;
  readonly #take: (socket: Socket) => void;
  readonly #options: ConnectionOptions;

  /** Use {@linkcode Connections.open}. */
  private constructor(options: ConnectionOptions, take: (socket: Socket) => void) {
    this.#options = options;
    this.#take = take;
    this.#port = options.port;
    this.#server = this.#make();
  }

  /**
   * Listens.
   * @param take given every connection that is not too many
   * @throws the system's error, with its `code`, where it cannot
   */
  static async open(
    options: ConnectionOptions,
    take: (socket: Socket) => void,
  ): Promise<Connections> {
    const connections = new Connections(options, take);
    await connections.#listen();
    connections.#port = (connections.#server.address() as AddressInfo).port;
    connections.#looking = setInterval(() => connections.#look(), LOOK);
    return connections;
  }

  /** The port that it listens on. */
  get port(): number {
    return this.#port;
  }

  /** Takes no more; over when all are closed. */
  async stop(): Promise<void> {
    clearInterval(this.#looking);
    this.#server.close();
    this.#stopped = Promise.withResolvers();
    if (this.#open === 0) this.#stopped.resolve();
    await this.#stopped.promise;
  }

  #make(): Server {
    const server = createServer(LIKE_HTTP, (socket) => {
      // A client that breaks off is no event of its own.
      socket.on("error", () => {});
      if (this.#open >= this.#options.connections) {
        this.#beyond++;
        socket.destroy();
        return;
      }
      this.#open++;
      socket.on("close", () => {
        this.#open--;
        if (this.#open === 0) this.#stopped?.resolve();
      });
      this.#take(socket);
    });
    server.on("error", (error) => {
      if (server.listening) this.#options.onError(error);
    });
    return server;
  }

  async #listen(): Promise<void> {
    const { hostname: host, backlog } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port: this.#port, host, backlog }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  async #look(): Promise<void> {
    if (this.#beyond === 0) return;
    this.#beyond = 0;
    // Where it may not listen any more, node:net throws where nobody can catch it.
    if (!mayListen(this.#options.hostname, this.#port)) return;
    this.#server.close();
    this.#server = this.#make();
    try {
      await this.#listen();
      if (this.#stopped) this.#server.close();
    } catch (error) {
      // It is tried again: the old one may not have left the port yet.
      this.#beyond = 1;
      if ((error as { readonly code?: string }).code === "EADDRINUSE") return;
      this.#options.onError(error as Error);
    }
  }
}
