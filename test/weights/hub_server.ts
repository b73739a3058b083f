/**
 * A server that speaks the hub's API, and one beside it, of another origin, that large files lie on.
 * Both can be as unkind as the network is.
 */

import { createHash } from "node:crypto";

/** A file of a repository; a large one is named by its SHA-256 and lies elsewhere. */
export interface ServedFile {
  readonly content: Uint8Array<ArrayBuffer>;
  readonly large: boolean;
}

/** A repository with one commit. */
export interface ServedRepository {
  readonly commit: string;
  /** Branches and tags of that commit. */
  readonly refs: readonly string[];
  readonly files: Readonly<Record<string, ServedFile>>;
}

/** A request as it came. */
export interface Asked {
  readonly where: "hub" | "elsewhere";
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

/** What a token must be to read what is gated or private. */
export const TOKEN = "hf_of_a_test";

/** Hashes of what is served, which are asked for with every piece. */
const etags = new WeakMap<ServedFile, string>();

/** Hash by which a file is named. */
export function etagOf(file: ServedFile): string {
  const { content, large } = file;
  const known = etags.get(file);
  if (known !== undefined) return known;
  const hash = large ? createHash("sha256") : createHash("sha1").update(`blob ${content.length}\0`);
  const etag = hash.update(content).digest("hex");
  etags.set(file, etag);
  return etag;
}

/** Serves repositories until it is disposed of. */
export class HubServer implements AsyncDisposable {
  readonly asked: Asked[] = [];
  /** Bytes after which a body is cut; undefined for a whole one. */
  cut: (bytes: number) => number | undefined = () => undefined;
  /** How many more requests are answered in another way, by kind. */
  readonly left = { busy: 0, limited: 0, silent: 0, expired: 0, wrong: 0 };
  /** Whether there are no ranges. */
  wholeFiles = false;
  /** Whether the list of files has names alone. */
  namesOnly = false;
  /** Milliseconds before each piece of a body. */
  slowness = 0;
  readonly gated: string[] = [];
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #elsewhere: Deno.HttpServer<Deno.NetAddr>;
  readonly #repositories: Readonly<Record<string, ServedRepository>>;

  constructor(repositories: Readonly<Record<string, ServedRepository>>) {
    this.#repositories = repositories;
    const options = {
      hostname: "127.0.0.1",
      port: 0,
      onListen() {},
      onError: () => new Response("", { status: 500 }),
    };
    this.#hub = Deno.serve(options, (request) => this.#answer(request));
    this.#elsewhere = Deno.serve(options, (request) => this.#bytes(request));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#hub.shutdown(), this.#elsewhere.shutdown()]);
  }

  #note(where: Asked["where"], { method, url, headers }: Request): URL {
    const { pathname, search } = new URL(url);
    this.asked.push({
      where,
      method,
      path: decodeURIComponent(pathname) + search,
      range: headers.get("range"),
      authorization: headers.get("authorization"),
    });
    return new URL(url);
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = this.#note("hub", request);
    if (this.#takes("busy")) return new Response("", { status: 503 });
    if (this.#takes("limited")) {
      return new Response("", { status: 429, headers: { "Retry-After": "0" } });
    }
    const [, api, name, what, revision, file] =
      /^(?:\/(api)\/models)?\/([^/]+\/[^/]+)\/(revision|tree|paths-info|resolve|resolve-cache)\/([^/]+)(?:\/(.+))?$/
        .exec(pathname) ?? [];
    const repository = this.#repositories[name];
    if (!repository) return refused(401, "RepoNotFound");
    const { commit, refs, files } = repository;
    const asked = decodeURIComponent(revision);
    if (asked !== commit && !refs.includes(asked)) return refused(404, "RevisionNotFound");
    const described = api
      ? Object.entries(files).map(([path, file]) => describe(path, file, commit))
      : [];
    if (api && what === "revision") {
      const siblings = described.map(({ path, size, oid, lfs }) =>
        this.namesOnly ? { rfilename: path } : {
          rfilename: path,
          size,
          blobId: oid,
          ...lfs && { lfs: { sha256: lfs.oid, size, pointerSize: 134 } },
        }
      );
      return Response.json({ _id: "1", id: name, sha: commit, private: false, siblings });
    }
    if (api && what === "tree") return Response.json(described);
    if (api && what === "paths-info") {
      const { paths } = await request.json();
      return Response.json(described.filter(({ path }) => paths.includes(path)));
    }
    const served = file === undefined ? undefined : files[decodeURIComponent(file)];
    if (!served) return refused(404, "EntryNotFound");
    if (this.gated.includes(name)) {
      const authorization = request.headers.get("authorization");
      if (authorization !== `Bearer ${TOKEN}`) {
        return refused(authorization ? 403 : 401, "GatedRepo");
      }
    }
    const etag = `"${etagOf(served)}"`;
    const headers = {
      "X-Repo-Commit": commit,
      ETag: etag,
      ...served.large && { "X-Linked-Etag": etag, "X-Linked-Size": `${served.content.length}` },
    };
    if (what === "resolve-cache") return this.#body(request, served, headers);
    const location = served.large
      ? `http://127.0.0.1:${this.#elsewhere.addr.port}/${name}/${file}?Signature=s`
      : `/${name}/resolve-cache/${commit}/${file}`;
    return new Response(null, { status: 302, headers: { ...headers, Location: location } });
  }

  /** Where large files lie: without a token, by a signed address. */
  #bytes(request: Request): Response | Promise<Response> {
    const { pathname } = this.#note("elsewhere", request);
    if (this.#takes("silent")) {
      // Until nobody waits any more.
      return new Promise((resolve) => {
        request.signal.addEventListener("abort", () => resolve(new Response("")));
      });
    }
    if (this.#takes("expired")) return new Response("Request has expired", { status: 403 });
    const [, name, file] = /^\/([^/]+\/[^/]+)\/(.+)$/.exec(pathname) ?? [];
    const served = this.#repositories[name].files[decodeURIComponent(file)];
    return this.#body(request, served, { ETag: '"of-the-store"' });
  }

  #body(
    request: Request,
    { content, large }: ServedFile,
    headers: Record<string, string>,
  ): Response {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "") ?? [];
    const part = from !== undefined && !this.wholeFiles;
    const [start, end] = part
      ? [Number(from), Math.min(Number(to) + 1, content.length)]
      : [0, content.length];
    if (start >= end && content.length > 0) return new Response("", { status: 416 });
    const bytes = content.slice(start, end);
    if (large && bytes.length > 0 && this.#takes("wrong")) bytes[0] ^= 1;
    const all = {
      ...headers,
      "Content-Length": `${bytes.length}`,
      ...part && { "Content-Range": `bytes ${start}-${end - 1}/${content.length}` },
    };
    const body = request.method === "HEAD" ? null : this.#stream(bytes);
    return new Response(body, { status: part ? 206 : 200, headers: all });
  }

  #stream(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
    const end = this.cut(bytes.length) ?? bytes.length;
    let at = 0;
    return new ReadableStream({
      pull: async (controller) => {
        if (this.slowness > 0) await new Promise((resolve) => setTimeout(resolve, this.slowness));
        const next = Math.min(at + 16384, end);
        if (next > at) controller.enqueue(bytes.slice(at, next));
        at = next;
        if (at < end) return;
        if (end < bytes.length) controller.error(new Error("cut"));
        else controller.close();
      },
    });
  }

  #takes(kind: keyof HubServer["left"]): boolean {
    if (this.left[kind] === 0) return false;
    this.left[kind]--;
    return true;
  }
}

function describe(path: string, file: ServedFile, commit: string) {
  const size = file.content.length;
  // A large file's place in git is taken by a small one that points to it.
  const oid = etagOf(file.large ? text(etagOf(file)) : file);
  const lfs = file.large ? { oid: etagOf(file), size, pointerSize: 134 } : undefined;
  const lastCommit = { id: commit, title: "a commit", date: "2026-01-01T00:00:00.000Z" };
  return { type: "file", path, size, oid, lfs, lastCommit };
}

function refused(status: number, code: string): Response {
  return new Response("", { status, headers: { "X-Error-Code": code } });
}

/** Bytes that no two calls of other seeds share. */
export function noise(bytes: number, seed: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(bytes);
  let state = seed * 2654435761 + 1 >>> 0;
  for (let i = 0; i < bytes; i++) {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    content[i] = state >>> 24;
  }
  return content;
}

/** A file of text. */
export function text(content: string): ServedFile {
  return { content: new TextEncoder().encode(content), large: false };
}
