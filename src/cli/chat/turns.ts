/** The lines that a person or a pipe enters, in order, also while an answer is being written. */

import { Buffer } from "node:buffer";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { terminalSize, write } from "../terminal/terminal.ts";

/** Who enters lines: a person at a terminal that can be drawn on, at one that cannot, or a pipe. */
export type Input = "terminal" | "dumb terminal" | "pipe";

const PROMPT = "> ";

/** A line that was entered, with the controller that stops its answer. */
export interface Turn {
  readonly text: string;
  readonly stop: AbortController;
}

/** The queue of entered lines, without blank ones. */
export class Turns {
  readonly #input: Input;
  readonly #lines: Interface;
  readonly #output: QuietOutput;
  readonly #entered: Turn[] = [];
  #current: Turn | undefined;
  #open = true;
  #wake = () => {};

  /** @param onInterrupt told of Ctrl-C where it arrives as a key and not as a signal */
  constructor(input: Input, onInterrupt: () => void) {
    this.#input = input;
    this.#output = new QuietOutput();
    this.#lines = createInterface({
      input: process.stdin,
      output: input === "pipe" ? undefined : this.#output,
      terminal: input === "terminal",
      prompt: PROMPT,
      crlfDelay: Infinity,
    });
    this.#lines.on("line", (line) => {
      const text = line.trim();
      if (text === "") this.#prompt();
      else this.#entered.push({ text, stop: new AbortController() });
      this.#wake();
    });
    this.#lines.on("close", () => {
      this.#open = false;
      this.#wake();
    });
    this.#lines.on("SIGINT", onInterrupt);
  }

  /** Marks the current turn as done and waits for the next; undefined when the input has ended. */
  async next(): Promise<Turn | undefined> {
    this.#current = undefined;
    this.#prompt();
    while (this.#entered.length === 0 && this.#open) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const turn = this.#entered.shift();
    // What was typed while the answer before it was written has not been seen yet.
    if (turn && this.#output.quiet) write(`${PROMPT}${turn.text}\n`);
    // Keys that are typed from now on must not appear in the middle of the answer.
    this.#output.quiet = this.#input === "terminal";
    return this.#current = turn;
  }

  #prompt(): void {
    const idle = this.#current === undefined && this.#entered.length === 0;
    if (this.#input === "pipe" || !this.#open || !idle) return;
    this.#output.quiet = false;
    // With the cursor where it is in what was typed so far.
    this.#lines.prompt(true);
  }

  /** Stops the current turn and those that wait. @returns whether there was a turn to stop */
  stopAll(): boolean {
    const turns = [...this.#current ? [this.#current] : [], ...this.#entered];
    for (const { stop } of turns) stop.abort();
    return turns.length > 0;
  }

  /** Takes no more lines, and restores the terminal. */
  close(): void {
    this.#lines.close();
  }
}

/** Standard output for the editor of lines, which can be told to show nothing for a while. */
class QuietOutput extends Writable {
  quiet = false;
  /** The editor asks whether, and how wide. */
  readonly isTTY = true;

  constructor() {
    super({ decodeStrings: false });
    // The editor draws its line anew when the terminal's size has changed.
    process.stdout.on("resize", () => this.emit("resize"));
  }

  get columns(): number {
    return terminalSize().columns;
  }

  get rows(): number {
    return terminalSize().rows;
  }

  override _write(chunk: string | Uint8Array, _encoding: string, done: () => void): void {
    if (!this.quiet) write(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString());
    done();
  }
}
