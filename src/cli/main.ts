/** The `unmask` command: its name and its commands. */

import { Command, CommanderError } from "commander";
import { chatCommand } from "./chat.ts";
import { evalCommand } from "./eval.ts";
import { generateCommand } from "./generate.ts";
import { infoCommand } from "./info.ts";
import { parityCommand } from "./parity.ts";
import { benchCommand } from "./bench.ts";
import { serveCommand } from "./serve.ts";
import { VERSION } from "./version.ts";

const program = new Command("unmask")
  .description("Serves LLaDA masked-diffusion language models on WebGPU.")
  .version(VERSION)
  .showHelpAfterError()
  .exitOverride();

for (
  const command of [
    serveCommand(),
    generateCommand(),
    chatCommand(),
    infoCommand(),
    parityCommand(),
    evalCommand(),
    benchCommand(),
  ]
) {
  program.addCommand(command.exitOverride());
}

try {
  await program.parseAsync(Deno.args, { from: "user" });
} catch (error) {
  if (error instanceof CommanderError) Deno.exit(error.exitCode);
  console.error(`unmask: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
