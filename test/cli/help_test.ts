/** Help and usage errors of every command. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { COMMON } from "../../src/cli/help.ts";
import { unmask } from "./command.ts";

const COMMANDS = [
  "serve",
  "generate",
  "infill",
  "chat",
  "pull",
  "models",
  "info",
  "doctor",
  "trace",
  "parity",
  "eval accuracy",
  "eval agreement",
  "distil",
  "train",
  "eval likelihood",
  "corpus",
  "quantize",
  "prune analyse",
  "prune apply",
  "synth",
  "tune",
  "bench",
];
/** Commands that open no GPU. */
const WITHOUT_GPU = ["pull", "models", "corpus", "quantize"];

/** Lines and columns of a screen. */
const SCREEN = { lines: 24, columns: 80 };

function assertFits(text: string, what: string): void {
  const lines = text.trimEnd().split("\n");
  assert(lines.length < SCREEN.lines, `${what}: ${lines.length} lines and a prompt`);
  for (const line of lines) assert(line.length <= SCREEN.columns, `${what}: ${line}`);
}

const optionsIn = (help: string) =>
  [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name);

Deno.test("every command has help on one screen, with an example, on standard output", async () => {
  const { code, stdout } = await unmask(["--help"]);
  assertEquals(code, 0);
  assertFits(stdout, "unmask");
  const listed = stdout.slice(stdout.indexOf("\nCommands:")).matchAll(/^ {2}(\w+)/gm);
  const names = [...listed].map(([, name]) => name);
  assertEquals(names, [...new Set(COMMANDS.map((command) => command.split(" ")[0]))]);
  await Promise.all(COMMANDS.map(async (command) => {
    const words = command.split(" ");
    const [name] = words;
    const [help, whole] = await Promise.all(
      ["--help", "--help-all"].map((option) => unmask([...words, option])),
    );
    assertEquals([help.code, help.stderr], [0, ""], command);
    assertEquals([whole.code, whole.stderr], [0, ""], command);
    assertFits(help.stdout, command);
    for (const { stdout: text } of [help, whole]) {
      assertMatch(text, new RegExp(`^Usage: unmask ${command} \\[options\\]`));
      assertMatch(text, new RegExp(`Examples?:\\n(.*\\n)*? .*unmask ${command}`), command);
    }
    // The list is written beside what each command says of itself when it is loaded.
    const [, usage] = /^Usage: unmask (.*)$/m.exec(help.stdout)!;
    if (name === command) {
      assertMatch(stdout, new RegExp(`^  ${escaped(usage.replace(" [options]", ""))}  `, "m"));
    }
    const all = optionsIn(whole.stdout);
    for (const option of optionsIn(help.stdout)) assert(all.includes(option), option);
    for (const option of ["--gpu", "--adapter", "--kernel-form"]) {
      assertEquals(all.includes(option), !WITHOUT_GPU.includes(name), `${command} ${option}`);
    }
  }));
});

Deno.test("every option that the short help names is there, and unmask help COMMAND shows it", async () => {
  for (const [path, options] of Object.entries(COMMON)) {
    assert(COMMANDS.includes(path), path);
    const { stdout } = await unmask([...path.split(" "), "--help"]);
    const shown = optionsIn(stdout).map((name) => name.slice(2));
    assertEquals(shown, [...options, "help"], path);
  }
  for (const list of [[], ["eval"]]) {
    const [short, whole] = await Promise.all(
      ["--help", "--help-all"].map((option) => unmask([...list, option])),
    );
    assertEquals(whole, short);
  }
  const [help, same] = await Promise.all([
    unmask(["help", "infill"]),
    unmask(["infill", "--help"]),
  ]);
  assertEquals(help, same);
});

const escaped = (text: string) => text.replaceAll(/[[\]<>]/g, "\\$&");

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
