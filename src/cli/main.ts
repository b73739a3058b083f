/** The `unmask` command: its name and its commands. Each is imported only when it is asked for. */

import { Command, CommanderError } from "commander";
import { localPlace } from "../engine/embedded_models.ts";
import { giveUpOthers } from "./permissions.ts";
import { VERSION } from "../engine/version.ts";

/** The commands, in the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve.ts")).serveCommand(),
  generate: async () => (await import("./generate.ts")).generateCommand(),
  chat: async () => (await import("./chat.ts")).chatCommand(),
  info: async () => (await import("./info.ts")).infoCommand(),
  trace: async () => (await import("./trace.ts")).traceCommand(),
  parity: async () => (await import("./parity.ts")).parityCommand(),
  eval: async () => (await import("./eval.ts")).evalCommand(),
  quantize: async () => (await import("./quantize.ts")).quantizeCommand(),
  synth: async () => (await import("./synth.ts")).synthCommand(),
  tune: async () => (await import("./tune.ts")).tuneCommand(),
  bench: async () => (await import("./bench.ts")).benchCommand(),
};

/** The command that is asked for; all of them for the help, and to say what there is. */
function asked([name]: readonly string[]): Promise<Command[]> {
  const load = Object.hasOwn(COMMANDS, name ?? "") ? [COMMANDS[name]] : Object.values(COMMANDS);
  return Promise.all(load.map((one) => one()));
}

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
    if (command.opts().tune) await (await import("./tune_model.ts")).tuneFirst(command);
    giveUpOthers(command);
  });

try {
  // `deno task bench -- strategies` passes the dashes to this program.
  const args = Deno.args.filter((arg, i) => !(i === 1 && arg === "--" && Deno.args[0] === "bench"));
  for (const command of await asked(args)) program.addCommand(inheriting(command, program));
  await program.parseAsync(args, { from: "user" });
  // Exits now: waiting would run into the threads that a driver is still ending.
  Deno.exit();
} catch (error) {
  if (error instanceof CommanderError) Deno.exit(error.exitCode);
  console.error(`unmask: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
