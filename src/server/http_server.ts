/** Listens for HTTP on node:http, which bounds what a connection may take; `Deno.serve` has no such bounds. */

import { createAdaptorServer } from "@hono/node-server";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { type ConnectionOptions, Connections, mayListen } from "./connections.ts";

/** Bounds on connections. */
export interface ConnectionLimits extends Pick<ConnectionOptions, "connections" | "backlog"> {
  /** Seconds from a connection, or from an answer's end, until a request's header must be there. */
  readonly headerSeconds: number;
  /** Seconds from the first byte of a request to its last. */
  readonly requestSeconds: number;
  /** Seconds that a connection is kept open behind an answer. */
  readonly keepAliveSeconds: number;
  /** Seconds that a connection may take nothing of an answer that waits for it. */
  readonly stallSeconds: number;
  /** Bytes that a connection may send for one request, whatever they are. */
  readonly requestBytes: number;
}

/** What a server allows unless told otherwise. Most systems give a process 1024 files. */
export const CONNECTION_LIMITS: ConnectionLimits = {
  connections: 512,
  backlog: 128,
  headerSeconds: 10,
  requestSeconds: 60,
  keepAliveSeconds: 15,
  stallSeconds: 60,
  requestBytes: 16 * 2 ** 20,
};

/** Milliseconds between two looks for connections that are late. */
const LOOK = 1000;

/** A server that listens. */
export interface HttpServer {
  /** The port, also where any free one was asked for. */
  readonly port: number;
  /** Takes no more connections, and closes those without a request; over when all are closed. */
  stop(): Promise<void>;
  /** Closes all connections. */
  cut(): void;
}

/**
 * Listens, and answers with `handler`. Its request's signal aborts as soon as the client has gone.
 * @throws {Deno.errors.NotCapable} where this program may not listen
 * @throws the system's error, with its `code`, where it cannot
 */
export async function listen(
  handler: (request: Request) => Response | Promise<Response>,
  { hostname, port, limits = CONNECTION_LIMITS, onError = () => {} }: {
    readonly hostname: string;
    readonly port: number;
    readonly limits?: ConnectionLimits;
    /** Told when no connection could be taken, such as when the process has no file left. */
    readonly onError?: (error: Error) => void;
  },
): Promise<HttpServer> {
  // Where it may not listen, node:http throws where nobody can catch it.
  if (!mayListen(hostname, port)) {
    throw new Deno.errors.NotCapable(`listening on ${hostname}:${port}`);
  }
  const server = createAdaptorServer({
    fetch: handler,
    serverOptions: { connectionsCheckingInterval: LOOK },
  }) as Server;
  server.headersTimeout = 1000 * limits.headerSeconds;
  server.requestTimeout = 1000 * limits.requestSeconds;
  server.keepAliveTimeout = 1000 * limits.keepAliveSeconds;
  // An answer may take as long as it takes: it sends something now and then, which its client reads.
  server.timeout = 1000 * limits.stallSeconds;
  const floods = cutFloods(server, limits.requestBytes);
  const take = (socket: Socket) => server.emit("connection", socket);
  const connections = await Connections.open({ hostname, port, ...limits, onError }, take);
  // It does not listen itself: it would close connections behind each answer, as one that has stopped
  // does, and would not look for those that are late.
  let listening = true;
  Object.defineProperty(server, "listening", { get: () => listening });
  server.emit("listening");
  return {
    port: connections.port,
    async stop() {
      listening = false;
      clearInterval(floods);
      const stopped = connections.stop();
      server.closeIdleConnections();
      await stopped;
    },
    cut: () => server.closeAllConnections(),
  };
}

/**
 * Cuts connections that send too much for one request. What a body may hold is counted where it is
 * read; but chunks have names, and behind them come headers, which nobody bounds.
 */
function cutFloods(server: Server, most: number): ReturnType<typeof setInterval> {
  const before = new Map<Socket, number>();
  server.on("request", ({ socket }, answer) => {
    before.set(socket, socket.bytesRead);
    answer.on("close", () => before.delete(socket));
  });
  return setInterval(() => {
    for (const [socket, bytes] of before) if (socket.bytesRead - bytes > most) socket.destroy();
  }, LOOK);
}
