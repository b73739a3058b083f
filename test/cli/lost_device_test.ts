/** A command whose GPU device is lost says so in a line, and does not hang. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { failingUnmask } from "./command.ts";

/** Decided in no order, in one block: it cannot end early. */
const LONG = ["--max-tokens", "448", "--block-length", "448", "--remasking", "random"];

Deno.test("generate: a lost device is one line on standard error, and exit code 1", async () => {
  const prompt = "Where is the letter Q?";
  await using command = failingUnmask(["generate", prompt, "--watch", ...LONG]);
  await command.stderr.match(/^answering\n/m);
  command.kill("SIGUSR2");
  assertEquals(await command.end(), 1);
  assertMatch(
    command.stderr.text,
    /^answering\nunmask: The GPU device failed while answering\. Ask again .*\(.*lost \(destroyed\).*\)\n$/,
  );
  assert(!command.stderr.text.includes(prompt));
});

Deno.test("chat: a lost device fails one turn, and the next is answered", async () => {
  await using command = failingUnmask(["chat"]);
  await command.type("lose\n");
  await command.stderr.match(/^unmask: The GPU device failed while answering\..*\n/m);
  const { length } = command.stdout.text;
  await command.type("Hello!\n/exit\n");
  command.kill("SIGCONT");
  assertEquals(await command.end(), 1);
  assertMatch(command.stdout.text.slice(length), /.+\n$/);
  assertEquals(command.stderr.text.match(/^unmask: /gm)?.length, 1);
});
