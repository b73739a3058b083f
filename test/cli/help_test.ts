/** Help and usage errors of every command. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { unmask } from "./command.ts";

const COMMANDS = [
  "serve",
  "generate",
  "infill",
  "chat",
  "info",
  "doctor",
  "trace",
  "parity",
  "eval accuracy",
  "eval agreement",
  "quantize",
  "synth",
  "tune",
  "bench",
];
/** Commands that open no GPU. */
const WITHOUT_GPU = ["quantize"];

Deno.test("every command has help with an example, on standard output", async () => {
  const { code, stdout } = await unmask(["--help"]);
  assertEquals(code, 0);
  const listed = stdout.slice(stdout.indexOf("\nCommands:")).matchAll(/^ {2}(\w+)/gm);
  const names = [...listed].map(([, name]) => name).filter((name) => name !== "help");
  assertEquals(names, [...new Set(COMMANDS.map((command) => command.split(" ")[0]))]);
  for (const command of COMMANDS) {
    const [name] = command.split(" ");
    assertMatch(stdout, new RegExp(`^  ${name}( |$)`, "m"));
    const help = await unmask([...command.split(" "), "--help"]);
    assertEquals([help.code, help.stderr], [0, ""], command);
    assertMatch(help.stdout, new RegExp(`^Usage: unmask ${command} \\[options\\]`));
    // The list is written beside what each command says of itself when it is loaded.
    const [, usage] = /^Usage: unmask (.*)$/m.exec(help.stdout)!;
    if (name === command) assertStringIncludes(stdout, `\n  ${usage} `);
    assertEquals(/--gpu <name>/.test(help.stdout), !WITHOUT_GPU.includes(name), command);
    assertEquals(/--kernel-form <name>/.test(help.stdout), !WITHOUT_GPU.includes(name), command);
    assertMatch(help.stdout, new RegExp(`Examples?:\\n(.*\\n)*? .*unmask ${command}`), command);
  }
});

Deno.test("the version is the package's", async () => {
  const { code, stdout } = await unmask(["--version"]);
  assertEquals([code, stdout], [0, `${config.version}\n`]);
});

Deno.test("what is no command is refused", async () => {
  for (const args of [["nope"], ["serve", "--nope"], ["eval", "nope"], ["chat", "--stop"]]) {
    const { code, stdout, stderr } = await unmask(args);
    assertEquals([code, stdout], [1, ""], args.join(" "));
    assert(/unknown|missing|too many/.test(stderr), stderr);
  }
});
