/** What starts the packed program: a shell program before its archive, or a batch file beside it. */

import { createHash } from "node:crypto";
import batch from "./unmask.cmd" with { type: "text" };
import shell from "./unmask.sh" with { type: "text" };
import { ENTRY } from "./program_files.ts";
import { type Target, type TargetName, TARGETS } from "./targets.ts";

/** What a launcher says of the file, and how it starts Deno. */
export interface Launched {
  readonly version: string;
  readonly target: TargetName;
  /** Arguments of `deno run`. */
  readonly flags: readonly string[];
}

/** The whole file: the shell program, and behind it the archive that it unpacks. */
export function selfExtracting(
  { version, target, flags }: Launched,
  archive: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer>[] {
  const { uname }: Target = TARGETS[target];
  if (uname === undefined) throw new Error(`${target}: it has no shell`);
  const text = filled(shell, {
    VERSION: version,
    TARGET: target,
    UNAME: uname,
    DIGEST: createHash("sha256").update(archive).digest("hex"),
    FLAGS: flags.map((flag) => `'${flag}'`).join(" "),
    ENTRY,
  });
  // Where the archive begins stands in the program, and adds to its length.
  for (let offset = 0;;) {
    const program = new TextEncoder().encode(filled(text, { OFFSET: `${offset}` }));
    if (program.length + 1 === offset) return [program, archive];
    offset = program.length + 1;
  }
}

/** The batch file. */
export function batchFile({ version, target, flags }: Launched): Uint8Array<ArrayBuffer> {
  const text = filled(batch, {
    VERSION: version,
    TARGET: target,
    FLAGS: flags.join(" "),
    ENTRY: ENTRY.replaceAll("/", "\\"),
  });
  return new TextEncoder().encode(text.replaceAll("\n", "\r\n"));
}

function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/@([A-Z]+)@/g, (mark, name) => values[name] ?? mark);
}
