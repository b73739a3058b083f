/** The embedded model's encoder, and files of data for it. */

import { fileURLToPath } from "node:url";
import { type SampleEncoder, sampleEncoder } from "../../../src/compress/data/sample.ts";

const TARGET = fileURLToPath(new URL("../../../models/tiny-target", import.meta.url));

let loaded: SampleEncoder | undefined;

/** The embedded model's encoder, loaded once. */
export function tinyEncoder(): SampleEncoder {
  return loaded ??= sampleEncoder(TARGET);
}

/** Runs with a file that holds these lines. */
export function withLines<T>(lines: readonly unknown[], run: (path: string) => T): T {
  return withText(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), run);
}

/** Runs with a file that holds this text. */
export function withText<T>(text: string, run: (path: string) => T, suffix = ".jsonl"): T {
  const path = Deno.makeTempFileSync({ suffix });
  try {
    Deno.writeTextFileSync(path, text);
    return run(path);
  } finally {
    Deno.removeSync(path);
  }
}
