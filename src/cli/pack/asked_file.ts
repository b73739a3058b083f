/** What the tasks that make one file are asked for: a system, and where the file goes. */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { ROOT } from "./program_files.ts";
import { ownTarget, TARGET_NAMES, type TargetName } from "./targets.ts";

/** A file to make, and the system that it is for. */
export interface AskedFile {
  readonly target: TargetName;
  /** Absolute. */
  readonly file: string;
}

/** Reads `--target` and `--output` from the task's arguments; paths are from where the user is. */
export function askedFile(task: string, description: string): AskedFile {
  const command = new Command(`deno task ${task}`)
    .description(description)
    .addOption(
      new Option("--target <name>", "system that it is for").choices(TARGET_NAMES)
        .default(ownTarget()),
    )
    .option("--output <file>", "default dist/unmask, with the target's name if it is another")
    .parse(Deno.args, { from: "user" });
  const { target, output } = command.opts<{ target: TargetName; output?: string }>();
  const named = target === ownTarget() ? "unmask" : `unmask-${target}`;
  const file = output ?? fileURLToPath(new URL(`dist/${named}`, ROOT));
  return { target, file: resolve(Deno.env.get("INIT_CWD") ?? ".", file) };
}
