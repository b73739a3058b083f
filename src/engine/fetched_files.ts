/** Fetches files once into a folder; a file gets its final name when it is complete. */

import { dirname, join } from "node:path";

/** A file to fetch, with its known length and digest. */
export interface FetchedFile {
  /** Path below the URL and below the folder, with "/". */
  readonly name: string;
  /** Length of the file. */
  readonly bytes: number;
  /** SHA-256 of its content, in hexadecimal digits. */
  readonly sha256: string;
}

/** Lock file of the process that fetches; the system releases it when the process ends. */
const LOCK = "fetching.lock";

/**
 * Fetches the files that are missing or have another length. Files that are complete are kept: if
 * all are, no network or write permission is needed. If several processes call this at once, one
 * fetches and the others wait for it.
 * @param from URL that the names are below, with a "/" at the end
 * @throws {Error} naming the file, when it cannot be fetched or its content is not the expected one
 */
export async function fetchFiles(
  files: readonly FetchedFile[],
  from: URL,
  folder: string,
): Promise<void> {
  if (files.every((file) => isThere(file, folder))) return;
  await Deno.mkdir(folder, { recursive: true });
  using lock = await Deno.open(join(folder, LOCK), { write: true, create: true });
  await lock.lock(true);
  for (const file of files) {
    if (!isThere(file, folder)) await fetchFile(file, new URL(file.name, from), folder);
  }
}

function isThere({ name, bytes }: FetchedFile, folder: string): boolean {
  try {
    return Deno.statSync(join(folder, name)).size === bytes;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function fetchFile(file: FetchedFile, url: URL, folder: string): Promise<void> {
  const content = await contentOf(url);
  const sha256 = await digest(content);
  if (sha256 !== file.sha256) {
    throw new Error(
      `${url}: ${content.length} bytes with SHA-256 ${sha256}, expected ${file.bytes} with ` +
        `${file.sha256}. It belongs to another version: import only one version of the package.`,
    );
  }
  const path = join(folder, file.name);
  const part = `${path}.part`;
  await Deno.mkdir(dirname(path), { recursive: true });
  try {
    // Overwrites the partial file of an interrupted run.
    await Deno.writeFile(part, content);
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw error;
  }
}

async function contentOf(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(url);
    if (response.ok) return await response.bytes();
    await response.body?.cancel();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const reason = error instanceof Error ? error.message : error;
    throw new Error(`${url}: the file cannot be fetched (${reason}). Try again.`, { cause: error });
  }
  const { status, statusText } = response;
  throw new Error(`${url}: the server answered ${status} ${statusText}, expected the file.`);
}

async function digest(content: Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return bytes.toHex();
}
