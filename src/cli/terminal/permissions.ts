/** Drops permissions that a command does not need, once it is known which command runs. */

import type { Command } from "commander";

/** Commands that write files, with the option that names the file; true: they always write. */
const WRITERS: Readonly<Record<string, string | true>> = {
  bench: true,
  generate: "trace",
  quantize: true,
  synth: "out",
  trace: "png",
  tune: true,
};

/**
 * Drops the permission to write files, unless this command was asked to write one. The task grants
 * it because it does not know which command will run; a server answers strangers and must not have
 * it. Called before anything is loaded or any Worker is started.
 */
export function dropWriting(command: Command): void {
  const writer = WRITERS[command.name()];
  if (writer === true || (writer !== undefined && command.opts()[writer] !== undefined)) return;
  Deno.permissions.revokeSync({ name: "write" });
}
