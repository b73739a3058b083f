/** `GET /`: the page for browsers, and a sentence for others; `GET /page/NAME`: the page's files. */
import type { Context } from "hono";
import { ApiError } from "./errors.ts";
import type { PageFile } from "./page_files.ts";
import type { LoggedRequest } from "./request_record.ts";

type Log = (record: LoggedRequest) => void;

/** What the page may do: run and show what this server sends, and ask this server. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Where the page and its files are; they hold no secret, and the page asks for the key itself. */
export function isPagePath(path: string): boolean {
  return path === "/" || path.startsWith("/page/");
}

/**
 * The log without what a page asks for by itself, its files and the status: dozens of lines would hide
 * those of answers. What goes wrong is logged.
 */
export function withoutPageFiles(log: Log | undefined): Log | undefined {
  return log && ((record) => {
    const { path, status } = record;
    const byItself = path.startsWith("/page/") || path === "/v1/status";
    if (!byItself || status >= 400) log(record);
  });
}

/** The handler of `/`. Clients of ollama look for its sentence. */
export async function root(c: Context): Promise<Response> {
  const accepts = c.req.header("accept") ?? "";
  const answer = accepts.includes("text/html")
    ? await send(c, "index.html")
    : c.text("Ollama is running");
  answer.headers.append("Vary", "Accept");
  return answer;
}

/** The handler of the page's files. */
export function pageFileRoute(c: Context): Promise<Response> {
  return send(c, c.req.param("name")!);
}

async function send(c: Context, name: string): Promise<Response> {
  // Only servers that are looked at read the page and take the types out of it.
  const { pageFile } = await import("./page_files.ts");
  const file = await pageFile(name);
  if (!file) throw new ApiError(404, "not_found", `The page has no file ${name.slice(0, 100)}.`);
  const headers = headersOf(file);
  if (c.req.header("if-none-match")?.includes(file.etag)) {
    return new Response(null, { status: 304, headers });
  }
  const gzipped = /\bgzip\b/.test(c.req.header("accept-encoding") ?? "");
  if (gzipped) headers.set("Content-Encoding", "gzip");
  return new Response(gzipped ? file.gzipped : file.bytes, { headers });
}

function headersOf({ type, etag }: PageFile): Headers {
  return new Headers({
    "Content-Type": type,
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
    "ETag": etag,
  });
}
