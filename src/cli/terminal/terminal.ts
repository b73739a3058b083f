/** Writes text to the terminal, or to whatever standard output is. */

/** The exit code that shells report for a program ended by a closed pipe. */
const CLOSED_PIPE = 128 + 13;

const encoder = new TextEncoder();

/** Columns and rows of the terminal; 80 x 24 if they are not known. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** Writes to standard output at once. When its reader has gone, the program ends. */
export function write(text: string): void {
  let bytes = encoder.encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(CLOSED_PIPE);
    throw error;
  }
}

/** Whether a stream, standard output unless named, is a terminal that can be drawn on. */
export function canRedraw(stream: "stdout" | "stderr" = "stdout"): boolean {
  return Deno[stream].isTerminal() && Deno.env.get("TERM") !== "dumb";
}

/** The size of the terminal. */
export function terminalSize(): TerminalSize {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 };
  }
}

/**
 * Makes a text safe to print. Control characters other than line feed and tab could drive the
 * terminal: they become their pictures (from U+2400), or U+FFFD where they have none.
 */
export function harmless(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, pictureOf);
}

/** The picture of a control character. */
export function pictureOf(control: string): string {
  const code = control.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : "\ufffd";
}
