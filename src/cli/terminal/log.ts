/** Lines of a process that goes on when nobody takes them: a full disk, a closed pipe. */

/** Prints lines; those that cannot be printed are counted, and told of when it is possible again. */
export class Log {
  #lost = 0;

  /** Prints a line by `print`. Never throws. */
  line(print: () => void): void {
    try {
      print();
      if (this.#lost === 0) return;
      console.error(`unmask: ${this.#lost} log lines before this one could not be written`);
      this.#lost = 0;
    } catch {
      this.#lost++;
    }
  }

  /** Prints a line on standard error. Never throws. */
  error(text: string): void {
    this.line(() => console.error(text));
  }
}
