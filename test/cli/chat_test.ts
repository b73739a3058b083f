/** `unmask chat` as a child process: from a pipe, and on a terminal. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";
import { inTerminal, knownAnswer, Running, taskCommand, terminalLeft, unmask } from "./command.ts";

const PRODUCT = knownAnswer("2026-006");
const CODE = knownAnswer("2026-000");

const ESC = String.fromCharCode(27);
/** The prompt at the end, with the cursor behind it. */
const PROMPTED = new RegExp(`> (${ESC}\\[\\d+G)?$`);
/** A row erased before the cursor is hidden for a frame; a frame itself ends its erasing otherwise. */
const ROWS_ERASED = new RegExp(`${ESC}\\[2K${ESC}\\[1A${ESC}\\[\\?25l`);
/** What Deno erases its own progress with, where it looks at a cache first. */
const DENO_PROGRESS = `${ESC}[0G${ESC}[2K${ESC}[J`;

/**
 * Has a conversation anew where an answer was over before it could be stopped, as this process had to
 * wait for its turn.
 * @param converse resolves to whether the answer was under way
 */
async function stopping(converse: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) if (await converse()) return;
  throw new Error("the answer was over each time");
}

/** Stops an answer. @returns whether it was under way: at the prompt Ctrl-C ends the command */
async function stop(command: Running): Promise<boolean> {
  const { length } = command.stdout.text;
  await command.type("\x03");
  const ends = /Stopped; this turn is not kept\.[^]*> |exit code \d/;
  const [found] = await command.stdout.match(ends, length);
  return found.startsWith("Stopped");
}

Deno.test("chat answers a turn per line of a pipe, and /reset forgets what was said", async () => {
  const input = `\n${PRODUCT.prompt}\n/reset\n${CODE.prompt}\n/stats\n/exit\nnever asked\n`;
  const { code, stdout, stderr } = await unmask(["chat"], { input });
  assertEquals(code, 0);
  assertMatch(stderr, /^2 answers \(2 auto\): \d+ tokens in .*\n {2}target /);
  // Both as recorded: the second only where the first is not part of its conversation.
  assertEquals(stdout, `${PRODUCT.answer}\n${CODE.answer}\n`);
});

Deno.test("chat keeps the conversation when a turn does not fit, and says so", async () => {
  const long = "word ".repeat(500);
  const input = `Hi\n${long}\nHi\n${PRODUCT.prompt}`; // the last line has no end
  const short = ["--max-tokens", "8", "--block-length", "8"];
  const { code, stdout, stderr } = await unmask(["chat", ...short], { input });
  assertMatch(
    stderr,
    /^unmask: the text has more than 512 tokens: shorten it/m,
  );
  assertEquals(code, 1);
  const lines = stdout.split("\n");
  assertEquals([lines.length, lines.at(-1)], [4, ""], stdout);
  // The same without the turn that failed: the other turns must be as if it had never been.
  const without = await unmask(["chat", ...short], { input: `Hi\nHi\n${PRODUCT.prompt}` });
  assertEquals([without.code, without.stdout], [0, stdout]);
});

Deno.test("chat on a terminal: Ctrl-C stops an answer, /reset and the next turn work, Ctrl-D leaves", () =>
  stopping(async () => {
    await using command = inTerminal(["chat"]);
    const { stdout } = command;
    await stdout.match(/tiny-target: \/help/);
    await stdout.match(/> /);
    let seen = stdout.text.length;
    await command.type("Tell me a short story about a cat.\r");
    await stdout.match(/cat\.\r+\n/, seen);
    if (!await stop(command)) return false;
    seen = stdout.text.length;
    await command.type(`${PRODUCT.prompt}\r`);
    await stdout.match(/The answer is 42\.\r\n[^]*> /, seen);
    assertStringIncludes(stdout.text.slice(seen), PRODUCT.answer);
    seen = stdout.text.length;
    await command.type("/reset\r");
    await stdout.match(/forgotten[^]*> /, seen);
    await command.type("\x04");
    await command.end();
    const left = { exitCode: 0, cursorShown: true, linewise: true, wraps: true };
    assertEquals(terminalLeft(stdout.text), left);
    return true;
  }));

Deno.test("chat on a terminal: Ctrl-C at the prompt leaves it clean", async () => {
  await using command = inTerminal(["chat"]);
  await command.stdout.match(/> /);
  await command.type("half a line\x03");
  await command.end();
  const left = { exitCode: 0, cursorShown: true, linewise: true, wraps: true };
  assertEquals(terminalLeft(command.stdout.text), left);
});

Deno.test("chat from a pipe that stays open ends at a signal", async () => {
  await using command = new Running(taskCommand("unmask", ["chat"]));
  await command.type(`${PRODUCT.prompt}\n`);
  await command.stdout.match(/The answer is 42\.\n/);
  command.kill("SIGTERM");
  assertEquals(await command.end(), 143);
  assert(!command.stderr.text.includes("unmask:"), command.stderr.text);
});

Deno.test("chat on a terminal: the canvas resolves, and what is typed meanwhile is asked next", () =>
  stopping(async () => {
    await using command = inTerminal(["chat", "--strategy", "plain"]);
    const { stdout } = command;
    await stdout.match(/tiny-target: \/help[^]*> /);
    const seen = stdout.text.length;
    await command.type(`${PRODUCT.prompt}\r`);
    await stdout.match(/█·/, seen);
    await command.type(`/undo\r${CODE.prompt.slice(0, 4)}`);
    await stdout.match(/> \/undo/, seen);
    const answered = stdout.text.slice(seen);
    // The typed line is shown after the answer, not in the middle of the canvas.
    const between = answered.slice(answered.indexOf("█·"), answered.indexOf("The answer is 42."));
    assert(!between.includes("/undo"), between);
    assertStringIncludes(answered, `${PRODUCT.answer.replaceAll("\n", "\r\n")}\r\n> /undo`);
    // The half line stands at the next prompt, and can be finished.
    await stdout.match(new RegExp(`Nothing is left[^]*> ${CODE.prompt.slice(0, 4)}`), seen);
    const next = stdout.text.length;
    await command.type(`${CODE.prompt.slice(4)}\r`);
    await stdout.match(/█·/, next);
    if (!await stop(command)) return false;
    await command.type("\x04");
    await command.end();
    const left = { exitCode: 0, cursorShown: true, linewise: true, wraps: true };
    assertEquals(terminalLeft(stdout.text), left);
    return true;
  }));

Deno.test("chat on a terminal that becomes narrower draws within it", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const resized = { file: `${dir}/now`, columns: 40 };
    // Decided in no order, in one block: it cannot end before the terminal is narrower.
    const args = ["chat", "-n", "256", "--block-length", "256", "--remasking", "random"];
    await using command = inTerminal(args, { resized });
    const { stdout } = command;
    await stdout.match(PROMPTED);
    await command.type("Hi\r");
    await stdout.match(/█·/);
    const seen = stdout.text.length;
    await Deno.writeTextFile(resized.file, "");
    // The rows that the narrower terminal has added are erased, before the next frame is drawn.
    const added = await stdout.match(ROWS_ERASED, seen);
    await stdout.match(/(step [^]*){4}/, seen + added.index);
    const isUnderWay = await stop(command);
    const after = stdout.text.slice(seen + added.index);
    const drawn = after.slice(0, after.lastIndexOf("step "));
    for (const line of drawn.split("\n")) {
      const width = stringWidth(stripVTControlCharacters(line));
      assert(width <= 40, `${width}: ${JSON.stringify(line)}`);
    }
    if (isUnderWay) await command.type("/exit\r");
    await command.end();
    assertEquals(terminalLeft(stdout.text).exitCode, 0);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("chat on a dumb terminal prints no escape, and takes commands", async () => {
  await using command = inTerminal(["chat"], { env: { TERM: "dumb", NO_COLOR: "1" } });
  const { stdout } = command;
  await stdout.match(/tiny-target: \/help[^]*> /);
  await command.type(`${PRODUCT.prompt}\n`);
  await stdout.match(/The answer is 42\.\r?\n> /);
  await command.type("/help\n");
  await stdout.match(/\/save FILE[^]*> /);
  await command.type("/exit\n");
  await command.end();
  const [, after = ""] = stdout.text.split(/Task [^\n]*\n/);
  const own = after.replaceAll(DENO_PROGRESS, "");
  assertStringIncludes(own, "tiny-target: /help");
  assert(!own.includes("\x1b"), JSON.stringify(own));
  assertEquals(terminalLeft(stdout.text).exitCode, 0);
});
