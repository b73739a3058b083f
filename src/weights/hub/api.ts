/** The hub's API: what a revision of a repository holds, and the bytes of its files. */

import { isJsonObject, type JsonObject } from "../json_file.ts";
import {
  type Answer,
  ask,
  type Asking,
  HubError,
  PassingError,
  patiently,
  waitOf,
} from "./requests.ts";
import { isCommit } from "./repository.ts";

/** A file of a revision. */
export interface HubFile {
  /** Its path in the repository. */
  readonly name: string;
  readonly bytes: number;
  /** Name of its content in a cache: the hash that {@linkcode HubFile.hash} says. */
  readonly etag: string;
  /** SHA-256 of a large file; of a small one, git's SHA-1 of `blob SIZE\0` and the content. */
  readonly hash: "sha256" | "git-sha1";
}

/** A revision, resolved to its commit. */
export interface HubRevision {
  readonly repo: string;
  /** As it was asked for. */
  readonly revision: string;
  readonly commit: string;
  /** Paths of all files; what is known of each comes by {@linkcode describeFiles}. */
  readonly files: readonly JsonObject[];
}

/** Bytes of a repository's list of files. */
const MAX_LIST = 64 * 2 ** 20;

/**
 * What a revision holds.
 * @throws {HubError} when it is not there or may not be read, saying what to do
 */
export async function readRevision(
  asking: Asking,
  repo: string,
  revision: string,
): Promise<HubRevision> {
  const url = `${asking.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}` +
    "?blobs=true";
  const text = await patiently(asking, `${repo} at ${asking.endpoint}`, async () => {
    await using answer = await ask(asking, url);
    await checkAnswer(asking, answer, { repo, revision });
    return await answer.text(MAX_LIST);
  });
  const json = jsonObjectOf(text);
  const { sha, siblings } = json ?? {};
  if (typeof sha !== "string" || !isCommit(sha) || !Array.isArray(siblings)) {
    throw new HubError(`${url}: the answer is not of the hub's API. Check HF_ENDPOINT.`);
  }
  return { repo, revision, commit: sha, files: siblings.filter(isJsonObject) };
}

/**
 * Size and hash of some files. A hub that lists names alone is asked for each file.
 * @param names of files that the revision lists
 */
export async function describeFiles(
  asking: Asking,
  { repo, commit, files }: HubRevision,
  names: readonly string[],
): Promise<HubFile[]> {
  const listed = new Map(files.map((file) => [file.rfilename, file]));
  return await Promise.all(names.map(async (name) => {
    const { size, blobId, lfs } = listed.get(name) ?? {};
    const large = isJsonObject(lfs) ? lfs : undefined;
    const file = fileOf(name, large?.size ?? size, large?.sha256 ?? blobId);
    return file ?? await describeFile(asking, repo, commit, name);
  }));
}

/** Asks for a file's headers alone. */
async function describeFile(
  asking: Asking,
  repo: string,
  commit: string,
  name: string,
): Promise<HubFile> {
  const url = fileAddress(asking, repo, commit, name);
  return await patiently(asking, `${repo}: ${name}`, async () => {
    // Headers of the hub tell of the file; those of where it sends on do not.
    const follow = (to: URL, from: URL) => to.origin === from.origin;
    await using answer = await ask(asking, url, { method: "HEAD", follow });
    if (answer.response.status >= 400) {
      await checkAnswer(asking, answer, { repo, revision: commit, file: name });
    }
    const { headers } = answer.response;
    const size = headers.get("x-linked-size") ?? headers.get("content-length");
    const etag = headers.get("x-linked-etag") ?? headers.get("etag");
    const file = fileOf(name, Number(size ?? NaN), etag?.replace(/^W\//, "").replaceAll('"', ""));
    if (file) return file;
    throw new HubError(`${url}: the hub gives no size and hash. Check HF_ENDPOINT.`);
  });
}

function fileOf(name: string, bytes: unknown, etag: unknown): HubFile | undefined {
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0) return undefined;
  if (typeof etag !== "string") return undefined;
  if (/^[0-9a-f]{64}$/.test(etag)) return { name, bytes, etag, hash: "sha256" };
  if (/^[0-9a-f]{40}$/.test(etag)) return { name, bytes, etag, hash: "git-sha1" };
}

/** A small file's text. @throws {HubError} when it has more than `limit` bytes */
export async function readFileText(
  asking: Asking,
  { repo, commit }: HubRevision,
  name: string,
  limit: number,
): Promise<string> {
  const url = fileAddress(asking, repo, commit, name);
  return await patiently(asking, `${repo}: ${name}`, async () => {
    await using answer = await ask(asking, url);
    await checkAnswer(asking, answer, { repo, revision: commit, file: name });
    return await answer.text(limit);
  });
}

/** Where the hub hands out a file, or sends on from. */
export function fileAddress(
  { endpoint }: Asking,
  repo: string,
  commit: string,
  name: string,
): string {
  return `${endpoint}/${repo}/resolve/${commit}/${
    name.split("/").map(encodeURIComponent).join("/")
  }`;
}

/** What a request is about. */
interface Subject {
  readonly repo: string;
  readonly revision: string;
  readonly file?: string;
}

/**
 * Whether an answer holds what was asked for.
 * @throws {HubError} saying what to do
 * @throws {PassingError} when it may hold it later
 */
export async function checkAnswer(
  asking: Asking,
  { url, response }: Answer,
  subject: Subject,
): Promise<void> {
  const { status, ok, headers } = response;
  if (ok) return;
  await response.body?.cancel().catch(() => {});
  const said = `${url.host} answers ${status}`;
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    const why = status === 429 ? " (too many requests)" : "";
    throw new PassingError(said + why, waitOf(headers));
  }
  // Elsewhere it is the signed address that has become too old.
  if (url.origin !== new URL(asking.endpoint).origin) throw new PassingError(said);
  throw new HubError(refusal(asking, subject, status, headers));
}

function refusal(
  { endpoint, token }: Asking,
  { repo, revision, file }: Subject,
  status: number,
  headers: Headers,
): string {
  const code = headers.get("x-error-code");
  const page = `${endpoint}/${repo}`;
  const tokens = `${endpoint}/settings/tokens`;
  if (status === 403 || code === "GatedRepo") {
    const then = token
      ? "The token that was sent belongs to an account that may not read it, or may not read gated " +
        `repositories (${tokens}).`
      : `Then set HF_TOKEN to a token of your account (${tokens}).`;
    return `${repo} is gated: ask for access at ${page}. ${then}`;
  }
  if (status === 401 || code === "RepoNotFound") {
    const then = token
      ? `or the token that was sent may not read it (${tokens}).`
      : `or it is private: set HF_TOKEN to a token that may read it (${tokens}).`;
    return `there is no repository ${repo} at ${endpoint}, ${then}`;
  }
  if (status === 404 && code === "RevisionNotFound") {
    return `${repo} has no revision ${revision}: its branches and tags are at ${page}/tree/main`;
  }
  if (status === 404 && file !== undefined) return `${repo} has no file ${file} at ${revision}`;
  if (status === 404) {
    return `there is no repository ${repo} with a revision ${revision} at ${endpoint}`;
  }
  return `${endpoint} answers ${status} to a request for ${file ?? repo}`;
}

/** A JSON object; undefined where the text is none. */
export function jsonObjectOf(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
