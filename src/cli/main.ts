/** The `unmask` command: its name and its commands. */

import { Command, CommanderError } from "commander";
import { chatCommand } from "./chat.ts";
import { evalCommand } from "./eval.ts";
import { generateCommand } from "./generate.ts";
import { infoCommand } from "./info.ts";
import { parityCommand } from "./parity.ts";
import { benchCommand } from "./bench.ts";
import { localPlace } from "../engine/embedded_models.ts";
import { dropWriting } from "./terminal/permissions.ts";
import { quantizeCommand } from "./quantize.ts";
import { serveCommand } from "./serve.ts";
import { synthCommand } from "./synth.ts";
import { traceCommand } from "./trace.ts";
import { tuneCommand } from "./tune.ts";
import { tuneFirst } from "./tune_model.ts";
import { VERSION } from "../engine/version.ts";

/** Copies the parent's settings to a command and to its subcommands. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent).exitOverride();
  for (const child of command.commands) inheriting(child, command);
  return command;
}

/** Replaces an option's embedded folder by a local path: the package may lie at a URL. */
async function makeLocal(command: Command): Promise<void> {
  for (const name of ["model", "data"]) {
    const place = command.opts()[name];
    if (typeof place === "string") command.setOptionValue(name, await localPlace(place));
  }
}

const program = new Command("unmask")
  .description("Serves LLaDA masked-diffusion language models on WebGPU.")
  .version(VERSION)
  .showHelpAfterError("(--help shows all options)")
  .configureOutput({
    outputError: (text, write) => write(text.replace(/^error:/, "unmask:")),
  })
  .exitOverride()
  .hook("preAction", async (_, command) => {
    await makeLocal(command);
    await tuneFirst(command);
    dropWriting(command);
  });

for (
  const command of [
    serveCommand(),
    generateCommand(),
    chatCommand(),
    infoCommand(),
    traceCommand(),
    parityCommand(),
    evalCommand(),
    quantizeCommand(),
    synthCommand(),
    tuneCommand(),
    benchCommand(),
  ]
) {
  program.addCommand(inheriting(command, program));
}

try {
  // `deno task bench -- strategies` passes the dashes to this program.
  const args = Deno.args.filter((arg, i) => !(i === 1 && arg === "--" && Deno.args[0] === "bench"));
  await program.parseAsync(args, { from: "user" });
  // Exits now: waiting would run into the threads that a driver is still ending.
  Deno.exit();
} catch (error) {
  if (error instanceof CommanderError) Deno.exit(error.exitCode);
  console.error(`unmask: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
