/** Deno as a program of one system: this process's own, or the one that npm has for another. */

import { unpackTar } from "modern-tar";
import { REGISTRY } from "./program_files.ts";
import { DENO_VERSION, ownTarget, type Target, type TargetName, TARGETS } from "./targets.ts";

/**
 * The pinned Deno for a system.
 * @throws {Error} when it cannot be downloaded, or is not what was pinned
 */
export async function denoFor(name: TargetName): Promise<Uint8Array<ArrayBuffer>> {
  if (name === ownTarget() && Deno.version.deno === DENO_VERSION) {
    return Deno.readFile(Deno.execPath());
  }
  const target: Target = TARGETS[name];
  const url = `${REGISTRY}@deno/${target.npm}/-/${target.npm}-${DENO_VERSION}.tgz`;
  const archive = await downloaded(url);
  const digest = await crypto.subtle.digest("SHA-512", archive);
  const integrity = `sha512-${new Uint8Array(digest).toBase64()}`;
  if (integrity !== target.integrity) {
    throw new Error(`${url}: it has ${integrity}, expected ${target.integrity}`);
  }
  const packed = new Blob([archive]).stream().pipeThrough(new DecompressionStream("gzip"));
  const entries = await unpackTar(packed, {
    filter: (header) => /^package\/deno(\.exe)?$/.test(header.name),
  });
  const program = entries[0]?.data;
  if (!program) throw new Error(`${url}: no Deno is in it`);
  return new Uint8Array(program);
}

async function downloaded(url: string): Promise<Uint8Array<ArrayBuffer>> {
  let reason: string;
  try {
    const response = await fetch(url);
    if (response.ok) return await response.bytes();
    reason = `the server answered ${response.status}`;
  } catch (error) {
    reason = error instanceof Error ? error.message : `${error}`;
  }
  throw new Error(`${url}: it cannot be downloaded (${reason})`);
}
