/** What a conversation holds, and the commands that change it: lines that begin with a slash. */

import { resolve } from "node:path";
import { Command, CommanderError } from "commander";
import type { ChatMessage } from "../../engine/request.ts";
import { addGenerationOptions } from "../options.ts";
import { addSamplingOptions, sampledRequest, type SamplingFlags } from "../sampling_options.ts";

/** What a command asks for, besides what it has changed and says. */
export interface Reaction {
  /** What to print. */
  readonly says?: string;
  /** A question to ask (again). */
  readonly asks?: string;
  readonly leaves?: boolean;
  readonly wantsStats?: boolean;
}

/** The commands, as `/help` lists them. */
const COMMANDS: readonly (readonly [usage: string, does: string])[] = [
  ["/help", "lists these commands"],
  ["/new", "forgets the conversation (/reset does as well)"],
  ["/undo", "forgets the last question and its answer"],
  ["/retry", "asks the last question again"],
  ["/system [TEXT]", "sets the system message; without TEXT there is none"],
  ["/set [OPTION VALUE]", "such as /set strategy lossless; alone, lists what is set"],
  ["/save FILE", "writes the conversation: a list of messages if it ends in .json"],
  ["/stats", "shows what the answers cost"],
  ["/exit", "leaves, as Ctrl-D does; Ctrl-C stops an answer"],
  ["//TEXT", "asks /TEXT"],
];

/** Options that belong to a request, and can change from one answer to the next. */
const NOT_SETTABLE = new Set(["system"]);

/** A conversation, and the options of its next answer. */
export class Conversation {
  #messages: ChatMessage[] = [];
  /** What the next question follows: all messages, or those before the one that is asked again. */
  #before: ChatMessage[] = [];
  #flags: SamplingFlags;
  readonly #atStart: SamplingFlags;

  constructor(flags: SamplingFlags) {
    this.#flags = this.#atStart = flags;
  }

  /** The options of the next answer. */
  get flags(): SamplingFlags {
    return this.#flags;
  }

  /** The messages so far, and a question. */
  asking(content: string): ChatMessage[] {
    return [...this.#before, { role: "user", content }];
  }

  /** Keeps a question that was answered. */
  keep(question: string, content: string): void {
    this.#messages = [...this.asking(question), { role: "assistant", content }];
  }

  /**
   * Does what a line asks for; one that is no command asks the model.
   * @throws {Error} when the command is unknown or cannot be done; it says what to do
   */
  react(line: string): Reaction {
    const reaction = this.#reaction(line);
    this.#before = reaction.repeats ? this.#messages.slice(0, -2) : this.#messages;
    return reaction;
  }

  #reaction(line: string): Reaction & { readonly repeats?: boolean } {
    if (line.startsWith("//")) return { asks: line.slice(1) };
    const [, name, rest = ""] = /^\/([a-z]+)(?:\s+([^]*))?$/.exec(line) ?? [];
    switch (name) {
      case undefined:
        return { asks: line };
      case "help":
        return { says: helpText() };
      case "new":
      case "reset":
        this.#messages = [];
        return { says: "The conversation is forgotten." };
      case "undo":
        this.#last();
        this.#messages = this.#messages.slice(0, -2);
        return { says: `Forgotten. ${this.#length()}` };
      case "retry": {
        const asks = this.#last();
        const greedy = !this.#flags.temperature;
        const says = greedy
          ? "Greedy answers are equal: /set temperature 0.7 varies them."
          : undefined;
        return { asks, says, repeats: true };
      }
      case "system":
        this.#flags = { ...this.#flags, system: rest === "" ? undefined : rest };
        return {
          says: rest === "" ? "There is no system message now." : "The system message is set.",
        };
      case "set":
        return { says: this.#set(rest) };
      case "save":
        return { says: this.#save(rest) };
      case "stats":
        return { wantsStats: true };
      case "exit":
      case "quit":
        return { leaves: true };
      default:
        throw new Error(`/${name}: there is no such command. /help lists them; //${name} asks it.`);
    }
  }

  /** The last question. @throws {Error} when there is none */
  #last(): string {
    const content = this.#messages.at(-2)?.content;
    if (typeof content !== "string") throw new Error("nothing was asked yet");
    return content;
  }

  #length(): string {
    const count = this.#messages.length / 2;
    return count === 0
      ? "Nothing is left."
      : `${count} ${count === 1 ? "answer is" : "answers are"} left.`;
  }

  #set(rest: string): string {
    const [name = "", ...words] = rest.split(/\s+/).filter((word) => word !== "");
    const settable = settableOptions();
    if (name === "") return this.#listed(settable.map(({ key, name }) => [key, name]));
    const option = settable.find((one) => one.name === name.replace(/^--/, ""));
    if (!option) {
      throw new Error(`/set ${name}: expected ${settable.map((one) => one.name).join(", ")}`);
    }
    if (words.length === 0) {
      this.#flags = { ...this.#flags, [option.key]: Reflect.get(this.#atStart, option.key) };
      return `${option.name} is as it was at the start.`;
    }
    const value = parsed(option.name, words.join(" "));
    this.#flags = { ...this.#flags, [option.key]: value };
    return `${option.name} is ${value}.`;
  }

  #listed(options: readonly (readonly [key: string, name: string])[]): string {
    const lines = options.flatMap(([key, name]) => {
      const value: unknown = Reflect.get(this.#flags, key);
      return value === undefined ? [] : [`  ${name} ${value}`];
    });
    return lines.length === 0
      ? "Nothing is set: the model's folder decides. Such as /set strategy lossless, /set seed 1."
      : lines.join("\n");
  }

  /** @throws {Error} naming the file when it cannot be written */
  #save(file: string): string {
    if (file === "") throw new Error("/save needs the name of a file, as in /save chat.json");
    const { messages = [] } = sampledRequest(this.#messages, this.#flags);
    const text = file.endsWith(".json")
      ? JSON.stringify(messages, null, 2) + "\n"
      : messages.map(({ role, content }) => `## ${role}\n\n${content}\n`).join("\n");
    try {
      // What is there may be dear to someone.
      Deno.writeTextFileSync(file, text, { createNew: true });
    } catch (error) {
      const why = error instanceof Deno.errors.AlreadyExists
        ? "there is such a file. Choose another name."
        : error instanceof Deno.errors.NotCapable
        ? "chat may only write in the folder that it was started in, and below."
        : (error as Error).message;
      throw new Error(`/save ${file}: ${why}`, { cause: error });
    }
    return `${resolve(file)}: ${messages.length} messages.`;
  }
}

function helpText(): string {
  const width = Math.max(...COMMANDS.map(([usage]) => usage.length));
  return COMMANDS.map(([usage, does]) => `  ${usage.padEnd(width)}  ${does}`).join("\n");
}

interface Settable {
  readonly name: string;
  /** Its name among the flags. */
  readonly key: string;
}

/** The options of a request: those of the command that sampledRequest reads. */
function settableOptions(): Settable[] {
  const fields = Object.keys(sampledRequest([], {} as SamplingFlags));
  return addSamplingOptions(addGenerationOptions(new Command())).options
    .map((option) => ({ name: option.name(), key: option.attributeName() }))
    .filter(({ key, name }) => fields.includes(key) && !NOT_SETTABLE.has(name));
}

/** The value of an option, parsed as on the command line. @throws {Error} when it has no such value */
function parsed(name: string, value: string): unknown {
  const command = addSamplingOptions(addGenerationOptions(new Command())).exitOverride()
    .configureOutput({ writeErr() {} });
  try {
    command.parse([`--${name}`, value], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const [, why] = /is invalid\. ([^]*)$/.exec(error.message) ?? [];
    throw new Error(`/set ${name} ${value}: ${why ?? error.message}`, { cause: error });
  }
  const option = command.options.find((one) => one.name() === name)!;
  return command.opts()[option.attributeName()];
}
