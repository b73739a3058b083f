/** `unmask chat` as a child process: from a pipe, and on a terminal. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { inTerminal, knownAnswer, Running, taskCommand, terminalLeft, unmask } from "./command.ts";

const PRODUCT = knownAnswer("2026-006");
const CODE = knownAnswer("2026-000");

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

Deno.test("chat on a terminal: Ctrl-C stops an answer, /reset and the next turn work, Ctrl-D leaves", async () => {
  await using command = inTerminal(["chat"]);
  const { stdout } = command;
  await stdout.match(/tiny-target: \/reset/);
  await stdout.match(/> /);
  let seen = stdout.text.length;
  await command.type("Tell me a short story about a cat.\r");
  await stdout.match(/cat\.\r+\n/, seen);
  await command.type("\x03");
  await stdout.match(/Stopped; this turn is not kept\.[^]*> /, seen);
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
});

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
