/** `unmask generate` as a child process, on the adapter that is there. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { ROW_FORMS } from "../../src/gpu/row_form.ts";
import { inTerminal, knownAnswer, Running, taskCommand, terminalLeft, unmask } from "./command.ts";

const CODE = knownAnswer("2026-000");
/** Decided in no order, in one block: it cannot end early. */
const LONG = ["Hi", "--watch", "-n", "448", "--block-length", "448", "--remasking", "random"];

Deno.test("generate streams the recorded answer, from an argument, a pipe and --stats", async () => {
  const { code, stdout, stderr } = await unmask(["generate", CODE.prompt, "--stats"]);
  assertEquals([code, stdout], [0, `${CODE.answer}\n`]);
  assertMatch(
    stderr,
    /^12 tokens in [\d.]+ s \([\d.]+ tokens\/s\), \d+ forwards \([\d.]+ tokens per forward\), \d+ readbacks, seed \d+$/m,
  );
  const piped = await unmask(["generate", "-"], { input: `${CODE.prompt}\n` });
  assertEquals([piped.code, piped.stdout, piped.stderr], [0, `${CODE.answer}\n`, ""]);
});

Deno.test("generate gives the recorded answer in either form of the kernels", async () => {
  for (const form of ROW_FORMS) {
    const args = ["generate", CODE.prompt, "--json", "--kernel-form", form];
    const { code, stdout, stderr } = await unmask(args);
    assertEquals([code, stderr], [0, ""], form);
    const { text, ids } = JSON.parse(stdout);
    const decided = ids.findIndex((id: number) => id === 2037);
    assert(decided >= 12, form);
    assertEquals([text, ids.slice(0, decided)], [CODE.answer, CODE.ids.slice(0, decided)], form);
  }
});

Deno.test("generate --stats tells times, proposals and acceptance, and what auto chose", async () => {
  const lossless = await unmask(["generate", CODE.prompt, "--stats", "--strategy", "lossless"]);
  assertEquals([lossless.code, lossless.stdout], [0, `${CODE.answer}\n`]);
  assertMatch(lossless.stderr, /^strategy lossless$/m);
  assertMatch(lossless.stderr, /^ {2}draft {5}[\d.]+ s, \d+ forwards$/m);
  assertMatch(lossless.stderr, /^ {2}accepted {2}\d+% \(\d+ of \d+\)$/m);
  assertMatch(
    lossless.stderr,
    /^│ depth │ accepted +│ masked +│ accepted +│ position │ accepted +│$/m,
  );
  const fast = await unmask(["generate", CODE.prompt, "--stats", "--quality", "fast"]);
  assertMatch(fast.stderr, /^ {2}chose {5}factor 1, cache dual \(\d+ steps\)/m);
  assertMatch(fast.stderr, /^ {2}cache {5}\d+ refreshes$/m);
});

Deno.test("generate --profile gives the recorded answer, and kernels with their rates", async () => {
  const { code, stdout, stderr } = await unmask(["generate", CODE.prompt, "--profile"]);
  assertEquals([code, stdout], [0, `${CODE.answer}\n`]);
  if (stderr.startsWith("No profile: ")) return assertStringIncludes(stderr, "timestamp");
  assertMatch(stderr, /│ (?:strip_)?swiglu \w+, f32 +│ \d+ +│ [\d.]+ +│ \d+% +│ [\d.]+ +│ \d+% /);
  assertMatch(
    stderr,
    /│ (?:strip_)?attention +│ \d+ +│ [\d.]+ +│ \d+% +│ [\d.]+ +│ \d+% +│ [\d.]+ +│ \d+% /,
  );
  assertMatch(stderr, /│ embed +│ \d+ +│ [\d.]+ +│ \d+% +│ - +│ - +│ [\d.]+ +│ \d+% /);
  assertMatch(stderr, /ceilings: f32 [\d.]+ GFLOP\/s.*; copy [\d.]+ GB\/s/);
});

Deno.test("generate --json prints one object with the recorded ids", async () => {
  const { code, stdout } = await unmask(["generate", "--json"], { input: CODE.prompt });
  assertEquals(code, 0);
  const answer = JSON.parse(stdout);
  assertEquals([answer.text, answer.finish_reason], [CODE.answer, "stop"]);
  const decided = answer.ids.findIndex((id: number) => id === 2037);
  assertEquals(answer.ids.length, 64);
  assertEquals(answer.ids.slice(0, decided), CODE.ids.slice(0, decided));
  assert(decided >= 12);
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assertEquals([prompt_tokens, completion_tokens, total_tokens], [22, 12, 34]);
  for (const figure of ["forwards", "readbacks", "seconds", "seed", "strategy", "accepted"]) {
    assert(figure in answer.stats, figure);
  }
});

Deno.test("generate: the options reach the engine, --watch without a terminal prints a line per step", async () => {
  const args = ["--max-tokens", "8", "--block-length", "4", "--steps", "4", "--temperature", "0.9"]
    .concat("--strategy", "plain");
  const sampled = ["generate", CODE.prompt, ...args, "--seed", "7", "--remasking", "random"];
  const { code, stdout } = await unmask([...sampled, "--watch"]);
  assertEquals(code, 0);
  const steps = stdout.split("\n").filter((line) => line.startsWith("step "));
  assertEquals(
    steps.map((line) => /^step \d+\/\d+ block \d+\/\d+/.exec(line)?.[0]),
    ["step 1/4 block 1/2", "step 2/4 block 1/2", "step 3/4 block 2/2", "step 4/4 block 2/2"],
  );
  for (const [i, line] of steps.entries()) {
    assertMatch(line, /: \d+ ".*" [01]\.\d{3}, \d+ ".*" [01]\.\d{3} \(\d\/8 tokens\)$/);
    assertStringIncludes(line, `(${2 * (i + 1)}/8 tokens)`);
  }
  assert(!stdout.includes("\x1b"), "escape sequences in a pipe");
  const again = await unmask([...sampled, "--json"]);
  const { text, stats } = JSON.parse(again.stdout);
  assertEquals([stats.seed, stats.forwards], [7, 4]);
  assertEquals(stdout.slice(stdout.lastIndexOf("tokens)\n") + 8), `\n${text}\n`);
});

Deno.test("generate --stop and --system take effect", async () => {
  const { stdout } = await unmask(["generate", CODE.prompt, "--stop", "return", "--stop", "zzz"]);
  assertEquals(stdout, `${CODE.answer.slice(0, CODE.answer.indexOf("return"))}\n`);
  const one = JSON.parse((await unmask(["generate", "Hi", "-n", "1", "--json"])).stdout);
  const two = JSON.parse(
    (await unmask(["generate", "Hi", "-n", "1", "--json", "--system", "Be brief."])).stdout,
  );
  assert(two.usage.prompt_tokens > one.usage.prompt_tokens + 3);
});

/** Arguments and input, and what standard error must say; nothing on standard output, code 1. */
const REFUSED: readonly (readonly [string[], RegExp, (string | Uint8Array<ArrayBuffer>)?])[] = [
  [
    ["generate", "Hi", "--steps", "3", "--max-tokens", "64"],
    /^unmask: --steps is 3: expected a multiple of the number of blocks 2/m,
  ],
  [
    ["generate", "Hi", "--max-tokens", "600"],
    /^unmask: --max-tokens is 600, expected a whole number from 1 to 512$/m,
  ],
  [
    ["generate", "Hi", "--max-tokens", "none"],
    /--max-tokens <n>' argument 'none' is invalid\. expected a whole number/,
  ],
  [
    ["generate", "Hi", "--temperature", "-1"],
    /--temperature <x>' argument '-1' is invalid\. expected a number from 0 to 100/,
  ],
  [["generate", "Hi", "--remasking", "best"], /Allowed choices are low_confidence, random/],
  [["generate", "Hi", "--confidence", "best"], /Allowed choices are probability, margin, entropy/],
  [
    ["generate", "Hi", "--strategy", "factor", "--confidence", "entropy"],
    /^unmask: strategy factor needs a confidence in \[0, 1\], which entropy is not/m,
  ],
  [["generate", "Hi", "--json", "--watch"], /cannot be used with option/],
  [["generate", "Hi", "--model", "no/such/folder"], /^unmask: no\/such\/folder\/config\.json/m],
  [["generate", "Hi", "--unknown"], /unknown option '--unknown'/],
  [["generate"], /^unmask: the prompt is empty$/m, " \n"],
  [
    ["generate"],
    /^unmask: the prompt on standard input is not UTF-8 text$/m,
    Uint8Array.of(0x41, 0xff),
  ],
  [
    ["generate"],
    /^unmask: the prompt on standard input is longer than 1048576 bytes$/m,
    "x".repeat(2 ** 20 + 1),
  ],
  [
    ["generate", "word ".repeat(2000)],
    /^unmask: the text has more than 512 tokens: shorten it/m,
  ],
];

Deno.test("generate: what cannot be done is refused in a sentence", async () => {
  for (const [args, message, input] of REFUSED) {
    const { code, stdout, stderr } = await unmask(args, { input });
    assertMatch(stderr, message);
    assertEquals([code, stdout], [1, ""], stderr);
    assert(!/^\s+at /m.test(stderr), `a stack trace: ${stderr}`);
  }
});

Deno.test("paths are relative to the folder that the user is in", async () => {
  const cwd = fileURLToPath(new URL("../../models/tiny-draft", import.meta.url));
  const { code, stdout } = await unmask(["generate", "Hi", "-m", ".", "-n", "2"], { cwd });
  assertEquals(code, 0);
  assert(stdout.length > 0);
});

Deno.test("generate --watch redraws on a terminal and leaves the answer there", async () => {
  await using command = inTerminal(["generate", CODE.prompt, "--watch", "--strategy", "plain"]);
  await command.end();
  const output = command.stdout.text.replaceAll("\r\n", "\n");
  assertMatch(output, /step 0\/64 {2}0 forwards {2}0\/64 tokens/);
  assertMatch(output, /step 31\/64 {2}31 forwards {2}31\/64 tokens/);
  assertMatch(
    output,
    /finished: stop {2}step 32\/64 {2}32 forwards {2}32\/64 tokens {2}[\d.]+ tokens\/s/,
  );
  assertStringIncludes(output, "░░░░░░░░");
  assertStringIncludes(output, `\n${CODE.answer}\n`);
  assertEquals(terminalLeft(output), {
    exitCode: 0,
    cursorShown: true,
    linewise: true,
    wraps: true,
  });
});

Deno.test("generate --watch: Ctrl-C leaves the terminal clean", async () => {
  await using command = inTerminal(["generate", ...LONG]);
  await command.stdout.match(/step 4\/448 /);
  assert(command.stdout.text.includes("\x1b[?25l"), "the cursor is hidden while it draws");
  await command.type("\x03");
  await command.end();
  const left = { exitCode: 130, cursorShown: true, linewise: true, wraps: true };
  assertEquals(terminalLeft(command.stdout.text), left);
  assert(!command.stdout.text.includes("finished"), "it ran to the end");
});

Deno.test("generate: signals end it in the middle of an answer", async () => {
  for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    await using command = new Running(taskCommand("unmask", ["generate", ...LONG]));
    await command.stdout.match(/^step 1\//);
    command.kill(signal);
    assertEquals(await command.end(), expected);
  }
});

Deno.test("generate ends quietly when its reader leaves", async () => {
  const deno = Deno.execPath();
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const { stdout, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      `"${deno}" task --config "${config}" unmask generate Hi -n 32 --watch | head -n 1`,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  assertMatch(new TextDecoder().decode(stdout), /^step 1\/32 .*\n$/);
  assert(!new TextDecoder().decode(stderr).includes("unmask:"));
});

Deno.test("generate has the sampling fields and constraints; what is out of range is named", async () => {
  const ask = (...args: string[]) => unmask(["generate", CODE.prompt, ...args]);
  const chosen = await ask("--choice", "yes", "--choice", "no");
  assertEquals(chosen.code, 0, chosen.stderr);
  assert(["yes\n", "no\n"].includes(chosen.stdout), chosen.stdout);
  const matched = await ask("--regex", "[a-c]{3}", "-t", "1", "--top-k", "40", "--seed", "1");
  assertMatch(matched.stdout, /^[a-c]{3}\n$/);
  const file = Deno.makeTempFileSync({ suffix: ".json" });
  try {
    Deno.writeTextFileSync(file, '{"type": "boolean"}');
    assertMatch((await ask("--json-schema", file)).stdout, /^(true|false)\n$/);
  } finally {
    Deno.removeSync(file);
  }
  const [first] = CODE.ids;
  const banned = await ask("--json", "--logit-bias", `{"${first}": false}`);
  assert(JSON.parse(banned.stdout).ids[0] !== first);
  const refused: readonly (readonly [string[], RegExp])[] = [
    [["--top-p", "2"], /--top-p is 2, expected a number from 0 to 1/],
    [["--repetition-penalty", "0"], /--repetition-penalty is 0, expected a number above 0/],
    [["--logit-bias", "many"], /--logit-bias.*expected up to 300 biases/],
    [["--json-schema", "{"], /expected a JSON schema/],
    [["--regex", "["], /--regex/],
    [["--regex", "a", "--choice", "b"], /cannot be used with option/],
  ];
  const all = await Promise.all(refused.map(([args]) => ask(...args)));
  for (const [i, { code, stderr }] of all.entries()) {
    assertMatch(stderr, refused[i][1]);
    assertEquals(code === 0, false);
  }
});
