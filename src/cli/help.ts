/**
 * Help in two lengths: `--help` is one screen with the options that most people use, in the order in
 * which they need them; `--help-all` lists every option, and what else there is to know.
 */

import { type Command, Help, Option } from "commander";

/** Names of the options in the short help of a command. A command that is missing shows all. */
export const COMMON: Readonly<Record<string, readonly string[]>> = {
  serve: [
    ...["model", "port", "host", "api-keys", "cors", "draft", "max-tokens"],
    ...["gpu-memory", "weights", "adapter", "quiet"],
  ],
  generate: [
    ...["model", "max-tokens", "temperature", "seed", "strategy"],
    ...["watch", "json", "stats", "gpu-memory"],
  ],
  infill: [
    ...["model", "tokens", "most-tokens", "instruction", "temperature", "seed", "json"],
    ...["gpu-memory", "weights"],
  ],
  chat: [
    ...["model", "system", "max-tokens", "temperature", "seed", "strategy"],
    ...["gpu-memory", "weights"],
  ],
  pull: ["draft", "revision", "dry-run", "verify", "json"],
  info: ["model", "draft", "gpu-memory", "weights", "context", "json", "gpu", "adapter"],
  doctor: ["model", "host", "port", "json", "gpu", "adapter"],
  trace: ["png", "adapter"],
  parity: ["plain", "tuning", "gpu", "adapter"],
  "eval accuracy": [
    "data",
    "model",
    "draft",
    "limit",
    "strategy",
    "steps",
    "json",
    "weights",
    "adapter",
  ],
  "eval agreement": [
    ...["model", "draft", "against", "weights", "kv-cache", "data", "limit", "out", "json"],
  ],
  "eval likelihood": [
    ...["model", "data", "limit", "samples", "cfg", "seed", "weights", "out", "json"],
  ],
  distil: [
    ...["teacher", "student", "data", "held-out", "out", "steps", "tokens", "batch", "rate"],
    ...["evaluate-every", "lora", "settings", "dry-run"],
  ],
  train: [
    ...["from", "start", "data", "held-out", "out", "steps", "tokens", "batch", "rate"],
    ...["optimizer", "evaluate-every", "settings", "dry-run"],
  ],
  quantize: ["to", "out", "group", "head"],
  "prune analyse": ["model", "out", "block", "data", "limit", "weights", "json", "adapter"],
  "prune apply": [
    ...["model", "out", "drop-layers", "ffn-keep", "importance", "auto", "cost"],
    ...["data", "limit"],
  ],
  synth: ["like", "out", "on-gpu", "weights", "tokenizer", "layers", "seed", "adapter"],
  tune: ["model", "like", "weights", "rows", "force", "json", "adapter"],
  bench: [
    ...["model", "limit", "only", "like", "layers", "gpu-memory", "json"],
    ...["adapter"],
  ],
};

/** Shorter texts of arguments, for the short help. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  what: "device, strategies, serving, pair, load, peers and more",
  dir: "model folder",
};

/** Shorter texts of the options of the commands that train. */
const TRAINING: Readonly<Record<string, string>> = {
  data: "jsonl of messages or texts; FILE:0.4 gives a share",
  "held-out": "examples to evaluate with, such as every 500 steps",
  out: "folder to write; a stopped run goes on when repeated",
  steps: "length of the run in steps",
  "evaluate-every": "steps between two evaluations (default: 500)",
  settings: "JSON with any setting of --help-all; options go first",
  start: "weights to begin with (default: the folder's)",
  optimizer: "of the layers' matrices (default: adamw)",
  lora: "train adapters of this rank alone, and merge them",
};

/** Shorter texts of options, for the short help; one that is another in a command has its name before. */
const OPTIONS: Readonly<Record<string, string>> = {
  ...ofCommand("distil", TRAINING),
  ...ofCommand("train", TRAINING),
  "eval agreement weights": "quantise while loading: q8 or q4",
  "eval agreement draft": "a draft, to compare with the model as its target",
  "eval agreement data": "prompts with answers (default: models/eval-public.json)",
  "eval agreement out": "keep report and picture; an interrupted run goes on",
  "eval likelihood weights": "quantise while loading: q8 or q4",
  "eval likelihood data": "prompts with answers (default: models/eval-public.json)",
  "eval likelihood out": "keep the report; an interrupted run goes on",
  "prune analyse data": "examples with answers (default: models/eval-public.json)",
  "prune analyse out": "folder to write; an interrupted run goes on",
  "prune analyse weights": "quantise while loading: q8 or q4",
  "prune apply data": "examples with answers (default: models/eval-public.json)",
  "prune apply out": "folder to write; it appears when it is complete",
  strategy: "how an answer is denoised (default: auto)",
  only: "only these settings, such as plain,threshold+dual",
  like: "shape of a model of random weights, such as llada-8b",
  cors: "an origin whose pages may ask, or * for any (repeatable)",
  "api-keys": "a file of keys that clients must send, one a line",
  weights: "stored, q8 or q4 (default: largest that fits)",
  model: "folder or ORG/NAME (default: the embedded one)",
  draft: "draft model folder (default: the embedded one's)",
  watch: "draw the canvas of tokens at every step",
  stats: "print time, forward passes and acceptance",
  steps: "denoising steps per answer (default: one per token)",
  layers: "layers of the models; fewer give a quick look",
  data: "prompts, laid out like models/eval-public.json",
  against: "the original (default: the model as it is stored)",
  "kv-cache": "type of the keys and values that are kept",
  context: "longest prompt plus answer, in tokens",
  group: "weights that share a scale: 32 or 64 (default: 32)",
  out: "folder to write; an interrupted run goes on when it is repeated",
  "gpu-memory": "most GPU memory that may be used, such as 24GiB",
};

/** Lines of examples in the short help. */
const EXAMPLES = 3;

/** Commands whose whole help was asked for. */
const asked = new WeakSet<Command>();

/** Texts with the names that {@linkcode OPTIONS} has for a command's own. */
function ofCommand(path: string, texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [`${path} ${name}`, text]));
}

/** The name by which {@linkcode COMMON} knows a command: `serve`, `eval accuracy`. */
function pathOf(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name();
}

function commonOf(command: Command): readonly string[] | undefined {
  return asked.has(command) ? undefined : COMMON[pathOf(command)];
}

/** How commander writes help. It is for a program and, by inheritance, for its commands. */
export function helpConfiguration(): Partial<Help> {
  const plain = new Help();
  let isShort = false;
  let path = "";
  return {
    formatHelp(command, helper) {
      isShort = commonOf(command) !== undefined;
      path = pathOf(command);
      const text = plain.formatHelp(command, helper);
      // With a blank line behind the usage the list of commands would not fit a screen.
      return command.parent ? text : text.replace("\n\n", "\n");
    },
    visibleCommands(command) {
      return plain.visibleCommands(command).filter((one) => one.name() !== "help");
    },
    visibleOptions(command) {
      const options = plain.visibleOptions(command);
      // The usage tells of the program's own.
      if (!command.parent) return [];
      const common = commonOf(command);
      if (!common) return options;
      const named = common.flatMap((name) =>
        options.find((option) => option.name() === name) ?? []
      );
      return [...named, ...options.filter((option) => option.name() === "help")];
    },
    argumentDescription(argument) {
      const short = isShort ? ARGUMENTS[argument.name()] : undefined;
      return short ?? plain.argumentDescription(argument);
    },
    optionDescription(option) {
      const name = option.name();
      const short = isShort ? OPTIONS[`${path} ${name}`] ?? OPTIONS[name] : undefined;
      return short ?? plain.optionDescription(option);
    },
  };
}

/** The arguments, in which `--help-all` of what only lists commands is its `--help`. */
export function listingHelp(args: readonly string[], commands: readonly Command[]): string[] {
  const [first, second] = args;
  const named = commands.find((command) => command.name() === first);
  const isOne = named && (named.commands.length === 0 ||
    named.commands.some((command) => command.name() === second));
  return args.map((arg) => arg === "--help-all" && !isOne ? "--help" : arg);
}

/** What commander emits after the help of a command, for the texts that follow it. */
interface Emitting {
  rawListeners(event: "afterHelp"): readonly ((context: HelpContext) => void)[];
  removeAllListeners(event: "afterHelp"): void;
}
interface HelpContext {
  write(text: string): void;
}

/** Adds `--help-all` to a command, and shortens what follows its options in the short help. */
export function addWholeHelp(command: Command): void {
  // A command with commands of its own would take the option from them.
  if (command.commands.length > 0) return;
  command.addOption(new Option("--help-all", "show every option").hideHelp());
  command.on("option:help-all", () => {
    asked.add(command);
    command.help();
  });
  const emitting = command as unknown as Emitting;
  const listeners = emitting.rawListeners("afterHelp");
  emitting.removeAllListeners("afterHelp");
  for (const listener of listeners) {
    command.on("afterHelp", (context: HelpContext) => {
      const write = (text: string) => context.write(commonOf(command) ? examplesOf(text) : text);
      listener({ ...context, write });
    });
  }
}

/** The examples of a text, without what stands before them, and at most three. */
function examplesOf(text: string): string {
  const [, examples = ""] = /(?:^|\n)(\nExamples?:\n[^]*)$/.exec(text) ?? [];
  return examples.split("\n").slice(0, 2 + EXAMPLES).join("\n").trimEnd() + "\n";
}
