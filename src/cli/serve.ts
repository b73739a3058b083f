/** `unmask serve`: the OpenAI-compatible server. */

import { isIPv4 } from "node:net";
import { Command, Option } from "commander";
import { UnavailableError } from "../engine/request.ts";
import type { WorkerEngine } from "../engine/worker_engine.ts";
import { LOOPBACK_HOSTS } from "../server/access.ts";
import { createApp } from "../server/app.ts";
import { inUrl } from "../server/connections.ts";
import { Drain } from "../server/drain.ts";
import { CONNECTION_LIMITS, type HttpServer } from "../server/http_server.ts";
import { settles } from "../server/live_response.ts";
import { LOG_FORMATS, type LogFormat, requestLine } from "../server/request_line.ts";
import { giveUpStarting } from "./permissions.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf } from "./device_options.ts";
import {
  addDraftOptions,
  addMemoryOptions,
  addTuningOptions,
  draftOf,
  type MemoryFlags,
  memoryOf,
  modelOption,
  repeated,
  type TuningFlags,
  tuningOf,
  wholeNumber,
} from "./options.ts";
import { fittingConnections, openServer } from "./serve_open.ts";
import { addSharedOptions } from "./shared_options.ts";
import { type KeyFlags, keysOf, modelName, pageOrigin } from "./serve_options.ts";
import { refuseIgnored } from "./ignored_options.ts";
import { Log } from "./terminal/log.ts";
import { startEngine } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { totalsText } from "./terminal/stats_view.ts";

/** Seconds that running answers may take to end once no more work is taken, by default. */
const DRAIN = 30;
/** Milliseconds for the last bytes to reach clients, once their answers were broken off. */
const FAREWELL = 500;

interface ServeFlags extends MemoryFlags, TuningFlags, DeviceFlags, KeyFlags {
  readonly model: string;
  readonly host: string;
  readonly port: number;
  readonly cors?: readonly string[];
  readonly allowAnyone?: boolean;
  readonly allowHost?: readonly string[];
  readonly name?: string;
  readonly alias?: readonly string[];
  readonly strictModel?: boolean;
  readonly jsonFromMessages?: boolean;
  readonly maxTokens?: number;
  readonly maxRunning: number;
  readonly maxWaiting: number;
  readonly maxConnections: number;
  readonly drainDelay: number;
  readonly drainSeconds: number;
  readonly quiet?: boolean;
  readonly logFormat: LogFormat;
  readonly logMessages?: boolean;
  readonly draft?: string | boolean;
}

/** `unmask serve` */
export function serveCommand(): Command {
  const memory = addSharedOptions(addMemoryOptions(addDraftOptions(new Command("serve"))));
  return addDeviceOptions(addTuningOptions(memory).addOption(modelOption()))
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option(
      "-p, --port <n>",
      "port to listen on; 0 takes any free one",
      wholeNumber(0, 65535),
      8000,
    )
    .option(
      "--api-key <key>",
      "a key that clients must send (repeatable). Others can see it in the list of processes: " +
        "better UNMASK_API_KEYS, separated by commas",
      repeated,
    )
    .option(
      "--api-keys <file>",
      "a file of keys that clients must send: one a line, or its digest as sha256:HEX, and what it " +
        "may do: name=, priority=, requests_per_minute=, tokens_per_minute=, concurrent=",
    )
    .option(
      "--cors <origin>",
      "an origin whose pages may ask and read answers, a host's name for its pages at any port, or * " +
        "for any (repeatable)",
      (origin, before?: readonly string[]) => repeated(pageOrigin(origin), before),
    )
    .option(
      "--allow-host <name>",
      "a host name under which clients reach this server (repeatable), besides localhost and addresses",
      repeated,
    )
    .option("--allow-anyone", "serve other machines without a key")
    .option("--name <name>", "the model's name in answers (default: its folder's)", modelName)
    .option(
      "--alias <name>",
      "another name under which the model is listed (repeatable)",
      (name, before?: readonly string[]) => repeated(modelName(name), before),
    )
    .option("--strict-model", "refuse requests that name another model; otherwise any name will do")
    .option(
      "--json-from-messages",
      "hold an answer to the JSON schema in its system message, also where no format is asked for",
    )
    .option(
      "-n, --max-tokens <n>",
      "most tokens in an answer to a request that does not say",
      wholeNumber(1),
    )
    .option(
      "--max-running <n>",
      "most requests that run at once and share forward passes",
      wholeNumber(1),
      16,
    )
    .option("--max-waiting <n>", "most requests that wait for a place", wholeNumber(0), 64)
    .option(
      "--max-connections <n>",
      "most connections at once",
      wholeNumber(1, 65535),
      CONNECTION_LIMITS.connections,
    )
    .option(
      "--drain-delay <seconds>",
      "time for which a server that is told to stop goes on, while /ready says 503",
      wholeNumber(0, 86400),
      0,
    )
    .option(
      "--drain-seconds <seconds>",
      "time for running answers to end after that, while new ones are refused",
      wholeNumber(0, 86400),
      DRAIN,
    )
    .option("-q, --quiet", "do not print a line per request")
    .addOption(
      new Option("--log-format <name>", "how a request's line is written, without its texts")
        .choices(LOG_FORMATS).default(LOG_FORMATS[0]),
    )
    .option("--log-messages", "write what clients ask into those lines as well")
    .addHelpText(
      "after",
      `
Examples:
  unmask serve
  unmask serve --model ~/models/LLaDA-8B-Instruct --port 9000
  UNMASK_API_KEYS=$KEY unmask serve --host 0.0.0.0`,
    )
    .action(run);
}

async function run(flags: ServeFlags, command: Command): Promise<void> {
  if (flags.quiet) refuseIgnored(command, ["logFormat", "logMessages"], "with --quiet");
  const host = flags.host.replace(/^\[(.*)\]$/, "$1");
  const apiKeys = keysOf(flags);
  const log = new Log();
  if (flags.apiKey) {
    log.error(
      "Warning: a key in --api-key can be seen by who lists processes, and deno task prints it. " +
        "Put it into UNMASK_API_KEYS instead.",
    );
  }
  if (flags.logMessages) {
    log.error("Warning: what clients ask is written into the log (--log-messages).");
  }
  const local = isLoopback(host);
  if (!local && apiKeys.length === 0 && !flags.allowAnyone) {
    throw new Error(
      `--host ${host} lets other machines in: set UNMASK_API_KEYS or give --api-keys, or ` +
        "--allow-anyone to serve without a key",
    );
  }
  // Before the engine opens files of its own.
  const fitting = fittingConnections(flags.maxConnections, log);
  const { engine, report } = startEngine(flags.model, {
    ...memoryOf(flags),
    tuning: tuningOf(flags),
    maxRunning: flags.maxRunning,
    maxWaiting: flags.maxWaiting,
    draft: draftOf(flags),
    ...deviceOf(flags),
    name: flags.name,
    lines: true,
    onState: () => tellRecovery(),
  });
  const drain = new Drain();
  let lost = false;
  const tellRecovery = () => {
    const { state, failure, model } = engine;
    const wasLost = lost;
    lost = state === "loading";
    if (drain.isLeaving || !(wasLost || lost)) return;
    if (state === "ready") log.line(() => report.print(`Model ${model!.id} is ready again.`));
    else log.error(`unmask: ${failure}`);
  };
  const app = createApp(engine, {
    apiKeys,
    allowedHosts: [...LOOPBACK_HOSTS, inUrl(host), ...flags.allowHost ?? []],
    anyAddress: !local,
    cors: flags.cors,
    aliases: flags.alias,
    strictModel: flags.strictModel,
    jsonFromMessages: flags.jsonFromMessages,
    maxTokens: flags.maxTokens,
    log: flags.quiet
      ? undefined
      : (record) =>
        log.line(() => report.print(requestLine(record, flags.logFormat, flags.logMessages))),
    onError(error) {
      if (!drain.refuses) log.error(`unmask: ${privateError(engine, error)}`);
    },
    drain,
  });
  const stopped = Promise.withResolvers<void>();
  // Until the process exits: a terminal's Ctrl-C comes twice, and would end what is closing.
  using _stop = onStop((exitCode, before) => {
    if (before > 0) Deno.exit(exitCode);
    drain.leave();
    stopped.resolve();
  });
  try {
    // By its address: what is permitted and kept is compared with what the system is asked for.
    const address = host === "localhost" ? "127.0.0.1" : host;
    const server = await openServer(
      app.fetch,
      { hostname: address, port: flags.port },
      fitting,
      log,
    );
    giveUpStarting(`${inUrl(address)}:${server.port}`, flags.apiKeys);
    const url = `http://${inUrl(host)}:${server.port}`;
    log.line(() => console.log(`Listening on ${url}`));
    if (!local) {
      const who = apiKeys.length > 0 ? "Everyone with a key" : "EVERYONE";
      log.error(`Warning: ${who} who reaches this port can use the model. HTTP hides nothing.`);
    }
    const ready = engine.ready.then(() =>
      readyText(engine, url, { asksKey: apiKeys.length > 0, ...flags })
    );
    const text = await Promise.race([ready, stopped.promise]);
    if (text) log.line(() => console.log(text));
    await stopped.promise;
    report.stop();
    await farewell(server, drain, flags);
    await engine.close({ exiting: true });
    const { totals } = engine;
    if (!flags.quiet && totals.answers + totals.unfinished > 0) {
      log.line(() => console.log(totalsText(totals)));
    }
  } finally {
    await engine.close({ exiting: true });
  }
  // Connections that clients keep open must not keep the program running.
  Deno.exit(0);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** Text printed when the model is loaded. */
function readyText(
  engine: WorkerEngine,
  url: string,
  { asksKey, maxTokens }: { readonly asksKey: boolean; readonly maxTokens?: number },
): string {
  const { id, contextLength } = engine.model!;
  const most = maxTokens === undefined ? "as long as they need" : `of at most ${maxTokens} tokens`;
  const reachable = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  const body = JSON.stringify({ messages: [{ role: "user", content: "What is 7 times 8?" }] });
  return [
    `Model ${id} is ready on ${engine.adapter}: context ${contextLength} tokens, ` +
    `answers ${most}, unless a request asks for another limit.`,
    `Open ${reachable} in a browser, or try:`,
    `  curl ${reachable}/v1/chat/completions \\`,
    "    -H 'Content-Type: application/json' \\",
    ...asksKey ? ["    -H 'Authorization: Bearer YOUR_KEY' \\"] : [],
    `    -d '${body}'`,
    "Ctrl-C stops the server.",
  ].join("\n");
}

/** An error's text for the log, without anything a client wrote. GPU messages hold none of it. */
function privateError(engine: WorkerEngine, error: unknown): string {
  if (engine.state === "failed") return engine.failure ?? "the engine stopped";
  const name = error instanceof Error ? error.name : typeof error;
  if (error instanceof UnavailableError) return `a request failed: ${error.reason}`;
  if (error instanceof Error && name.startsWith("Gpu")) return error.message;
  return `a request failed with ${name}`;
}

/**
 * Goes on for `drainDelay` seconds while it tells that it leaves, then takes no more work and lets answers
 * under way end; those that have not within `drainSeconds` get an error. Until then it listens, so
 * that it can be asked how it is.
 */
async function farewell(
  server: HttpServer,
  drain: Drain,
  { drainDelay, drainSeconds }: Pick<ServeFlags, "drainDelay" | "drainSeconds">,
): Promise<void> {
  if (drainDelay > 0) await new Promise((resolve) => setTimeout(resolve, 1000 * drainDelay));
  const done = drain.refuse();
  if (!await settles(done, drainSeconds)) {
    drain.end();
    await settles(done, FAREWELL / 1000);
  }
  await settles(server.stop(), FAREWELL / 1000);
}
