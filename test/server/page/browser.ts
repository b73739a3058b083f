/** A browser, and a server with the embedded model, for tests of the page. */
import axe from "npm:axe-core@4.14.1";
import type { Browser, Page } from "npm:playwright-core@1.65.1";
import { WorkerEngine } from "../../../mod.ts";
import { type AppOptions, createApp } from "../../../src/server/app.ts";
import { listen } from "../../../src/server/http_server.ts";

/** Where Debian and others install it. */
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

const executablePath = CHROMIUM.find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});

/** Why there is no browser here; undefined where there is one. */
export const noBrowser = executablePath ? undefined : "no Chromium is installed";

/** Starts Chromium. */
export async function startBrowser(): Promise<Browser> {
  // As it is loaded it looks for Windows below this system, where only --allow-all may look, unless
  // this variable stops it.
  Deno.env.set("__IS_WSL_TEST__", "1");
  const { chromium } = await import("npm:playwright-core@1.65.1");
  // Its sandbox wants another user than root, and containers are often root's.
  return await chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** A server that runs. */
export interface PageServer extends AsyncDisposable {
  /** With a slash at the end. */
  readonly url: string;
}

/** Serves an engine on a free port. */
export async function serve(engine: WorkerEngine, options: AppOptions = {}): Promise<PageServer> {
  const app = createApp(engine, options);
  const server = await listen(app.fetch, { hostname: "127.0.0.1", port: 0 });
  return {
    url: `http://127.0.0.1:${server.port}/`,
    async [Symbol.asyncDispose]() {
      const stopped = server.stop();
      server.cut();
      await stopped;
    },
  };
}

/** A browser, and a server whose embedded model is loaded. */
export interface ServedBrowser extends AsyncDisposable {
  readonly engine: WorkerEngine;
  readonly browser: Browser;
  readonly server: PageServer;
}

/** Starts all of them. */
export async function startServedBrowser(): Promise<ServedBrowser> {
  await using stack = new AsyncDisposableStack();
  const engine = stack.adopt(new WorkerEngine(), (engine) => engine.close());
  const browser = stack.use(await startBrowser());
  const server = stack.use(await serve(engine));
  await engine.ready;
  const started = stack.move();
  return { engine, browser, server, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** What a page asked for, and whatever went wrong in it. */
export interface Watched {
  /** Addresses of all requests. */
  readonly requests: string[];
  /** Errors of scripts and of the console. */
  readonly errors: string[];
  /** Bytes that came over the network, headers too. */
  bytes: number;
}

/** Watches over a page from before its first request. */
export async function watch(page: Page): Promise<Watched> {
  const watched: Watched = { requests: [], errors: [], bytes: 0 };
  page.on("request", (request) => watched.requests.push(request.url()));
  page.on("pageerror", ({ message }) => watched.errors.push(message));
  page.on(
    "console",
    (message) => message.type() === "error" && watched.errors.push(message.text()),
  );
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  session.on("Network.loadingFinished", ({ encodedDataLength }) => {
    watched.bytes += encodedDataLength;
  });
  return watched;
}

/** What axe's run gives, as far as it is told. */
interface Found {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly {
      readonly html: string;
      readonly any: readonly { readonly message: string }[];
    }[];
  }[];
}

/** What axe finds wrong with what is shown, a line for each element. */
export async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const found: Found = await page.evaluate("axe.run()");
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any }) => `${id}: ${html} ${any[0]?.message ?? ""}`)
  );
}
