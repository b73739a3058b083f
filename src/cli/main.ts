/** The `unmask` command: its name and its commands. Each is imported only when it is asked for. */

import { Command, CommanderError, Help } from "commander";
import { localPlace } from "../engine/embedded_models.ts";
import { addWholeHelp, helpConfiguration, listingHelp } from "./help.ts";
import { refuseContradictions } from "./ignored_options.ts";
import { giveUpOthers } from "./permissions.ts";
import { VERSION } from "../engine/version.ts";

/** A command as the help lists it. */
interface Listed {
  readonly usage: string;
  readonly description: string;
  readonly load: () => Promise<Command>;
}

/** The commands, in the order of the help. */
const COMMANDS: Readonly<Record<string, Listed>> = {
  serve: {
    usage: "[options]",
    description: "Answers OpenAI clients over HTTP.",
    load: async () => (await import("./serve.ts")).serveCommand(),
  },
  generate: {
    usage: "[options] [prompt]",
    description: "Answers one prompt, on standard output.",
    load: async () => (await import("./generate.ts")).generateCommand(),
  },
  infill: {
    usage: "[options] <text>",
    description: "Fills the holes of a text, all together.",
    load: async () => (await import("./infill.ts")).infillCommand(),
  },
  chat: {
    usage: "[options]",
    description: "Keeps a conversation on the terminal.",
    load: async () => (await import("./chat.ts")).chatCommand(),
  },
  pull: {
    usage: "[options] <repository>",
    description: "Fetches a model from the hub into the hub's cache.",
    load: async () => (await import("./pull.ts")).pullCommand(),
  },
  models: {
    usage: "[options]",
    description: "Lists the models in the hub's cache.",
    load: async () => (await import("./models.ts")).modelsCommand(),
  },
  info: {
    usage: "[options]",
    description: "Shows the GPU, and what a model would need in memory.",
    load: async () => (await import("./info.ts")).infoCommand(),
  },
  doctor: {
    usage: "[options]",
    description: "Tells what works here, and what to do about the rest.",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
  trace: {
    usage: "[options] <file>",
    description: "Draws what generate --trace has recorded.",
    load: async () => (await import("./trace.ts")).traceCommand(),
  },
  parity: {
    usage: "[options] <dir>",
    description: "Compares with a folder of golden data.",
    load: async () => (await import("./parity.ts")).parityCommand(),
  },
  eval: {
    usage: "",
    description: "Measures a model's quality.",
    load: async () => (await import("./eval.ts")).evalCommand(),
  },
  distil: {
    usage: "[options]",
    description: "Trains a student to choose its teacher's tokens.",
    load: async () => (await import("./distil.ts")).distilCommand(),
  },
  train: {
    usage: "[options]",
    description: "Trains a model by LLaDA's own objective.",
    load: async () => (await import("./train.ts")).trainCommand(),
  },
  corpus: {
    usage: "[options]",
    description: "Writes the embedded pair's synthetic corpus.",
    load: async () => (await import("./corpus.ts")).corpusCommand(),
  },
  quantize: {
    usage: "[options] <dir>",
    description: "Writes a model folder with its layers quantised.",
    load: async () => (await import("./quantize.ts")).quantizeCommand(),
  },
  prune: {
    usage: "",
    description: "Finds what a model can do without, and leaves it out.",
    load: async () => (await import("./prune.ts")).pruneCommand(),
  },
  synth: {
    usage: "[options]",
    description: "Makes a model of random weights, to time its size.",
    load: async () => (await import("./synth.ts")).synthCommand(),
  },
  tune: {
    usage: "[options]",
    description: "Finds the fastest tile sizes for a model on this device.",
    load: async () => (await import("./tune.ts")).tuneCommand(),
  },
  bench: {
    usage: "[options] [what] [dir]",
    description: "Times kernels and models, against the device's ceilings.",
    load: async () => (await import("./bench.ts")).benchCommand(),
  },
};

/** All commands. Only the one that is asked for is loaded; the others are there for the help. */
function commandsFor([first, second]: readonly string[]): Promise<Command[]> {
  const asked = first === "help" ? second : first;
  return Promise.all(
    Object.entries(COMMANDS).map(async ([name, { description, load }]) => {
      const command = name === asked ? await load() : new Command(name);
      return command.description(description);
    }),
  );
}

/** Copies the parent's settings to a command and to its subcommands. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent).exitOverride();
  addWholeHelp(command);
  for (const child of command.commands) inheriting(child, command);
  return command;
}

/** Replaces an option's embedded folder by a local path: the package may lie at a URL. */
async function makeLocal(command: Command): Promise<void> {
  for (const name of ["model", "data"]) {
    const place = command.opts()[name];
    const source = command.getOptionValueSource(name);
    if (typeof place === "string") {
      command.setOptionValueWithSource(name, await localPlace(place), source);
    } else if (Array.isArray(place)) {
      command.setOptionValueWithSource(name, await Promise.all(place.map(localPlace)), source);
    }
  }
}

const program: Command = new Command("unmask")
  .description(`Serves LLaDA masked-diffusion language models on WebGPU. Version ${VERSION}.`)
  .version(VERSION)
  .usage("COMMAND [-h, --help | --help-all]")
  .helpOption("-h, --help", "show this; --help-all shows every option")
  .showHelpAfterError("(--help shows how it is used)")
  .configureOutput({
    outputError: (text, write) => write(text.replace(/^error:/, "unmask:")),
  })
  .configureHelp({
    ...helpConfiguration(),
    subcommandTerm(command) {
      // What is not loaded knows neither its options nor its arguments.
      const listed = command.parent === program ? COMMANDS[command.name()] : undefined;
      return listed
        ? `${command.name()} ${listed.usage.replace("[options]", "").trim()}`.trimEnd()
        : new Help().subcommandTerm(command);
    },
  })
  .exitOverride()
  .hook("preAction", async (_, command) => {
    refuseContradictions(command);
    await makeLocal(command);
    (await import("./model_place.ts")).placeModels(command);
    if (command.opts().tune) await (await import("./tune_model.ts")).tuneFirst(command);
    giveUpOthers(command);
  });
// The description tells it; with lines for options the commands would not fit a screen.
program.options.find(({ long }) => long === "--version")?.hideHelp();

try {
  // `deno task bench -- strategies` passes the dashes to this program.
  const args = Deno.args.filter((arg, i) => !(i === 1 && arg === "--" && Deno.args[0] === "bench"));
  for (const command of await commandsFor(args)) program.addCommand(inheriting(command, program));
  await program.parseAsync(listingHelp(args, program.commands), { from: "user" });
  // Exits now: waiting would run into the threads that a driver is still ending.
  Deno.exit();
} catch (error) {
  if (error instanceof CommanderError) Deno.exit(error.exitCode);
  console.error(`unmask: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
