/** What a command may do, once it is known which one runs. */

import type { Command } from "commander";

/** Commands that write files, and the option that names one; true: whatever the options. */
const WRITERS: Readonly<Record<string, string | true>> = {
  bench: true,
  generate: "trace",
  quantize: true,
  synth: "out",
  trace: "png",
  tune: true,
};

/**
 * Gives up writing files for the rest of the process, unless this command was told to write one. The
 * task may write, since it cannot know what the command will be; a server, which works for others,
 * then cannot. Called before anything is loaded and any Worker started.
 */
export function dropWriting(command: Command): void {
  const writer = WRITERS[command.name()];
  if (writer === true || (writer !== undefined && command.opts()[writer] !== undefined)) return;
  Deno.permissions.revokeSync({ name: "write" });
}
