/** How `unmask serve` comes to listen, and why it cannot. */

import { inUrl } from "../server/connections.ts";
import { CONNECTION_LIMITS, type HttpServer, listen } from "../server/http_server.ts";
import { connectionsThatFit, type FittingConnections } from "../server/open_files.ts";
import type { Log } from "./terminal/log.ts";

/**
 * As many connections as the system lets this process have open; a warning tells where these are fewer
 * than asked for.
 * @throws {Error} when the system allows none
 */
export function fittingConnections(most: number, log: Log): FittingConnections {
  const fitting = connectionsThatFit(most);
  const { connections } = fitting;
  if (connections === 0) {
    throw new Error("the system lets this process open too few files: raise it with ulimit -n");
  }
  if (connections < most) {
    log.error(
      `Warning: the system lets this process open so few files that it takes ${connections} ` +
        `connections at once, not ${most}. Raise it with ulimit -n.`,
    );
  }
  return fitting;
}

/**
 * Listens.
 * @param hostname without brackets
 * @throws {Error} that says why it cannot
 */
export async function openServer(
  handler: (request: Request) => Response | Promise<Response>,
  { hostname, port }: { readonly hostname: string; readonly port: number },
  fitting: FittingConnections,
  log: Log,
): Promise<HttpServer> {
  try {
    return await listen(handler, {
      hostname,
      port,
      limits: { ...CONNECTION_LIMITS, ...fitting },
      onError: ({ message }) => log.error(`unmask: a connection was not taken: ${message}`),
    });
  } catch (error) {
    throw new Error(`cannot listen on ${inUrl(hostname)}:${port}: ${listenProblem(error)}`, {
      cause: error,
    });
  }
}

function listenProblem(error: unknown): string {
  const { code } = error as { readonly code?: string };
  if (code === "EADDRINUSE") {
    return "the port is in use. Stop what listens there, or give another one with --port.";
  }
  if (code === "EADDRNOTAVAIL") return "this machine has no such address.";
  if (code === "EACCES") {
    return "the system does not allow it. Only root may listen on ports below 1024.";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "this program may only listen on 127.0.0.1, localhost, ::1, 0.0.0.0 and ::. Use one " +
      "of them for --host.";
  }
  return (error as Error).message;
}
