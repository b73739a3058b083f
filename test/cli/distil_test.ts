/** `unmask distil` and `unmask train`, as users run them. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { TARGET, writeSmall } from "../compress/run/small_run.ts";
import { Running, stoppedMidway, taskCommand, unmask } from "./command.ts";

const dir = await Deno.makeTempDir();
await writeSmall(dir);
const at = (name: string) => join(dir, name);

Deno.test("a student is distilled into a folder with a card, and the run can be repeated", async () => {
  const settings = { padding: { to: [16] }, evaluation: { response: 16 }, schedule: { warmUp: 0 } };
  Deno.writeTextFileSync(at("settings.json"), JSON.stringify(settings));
  const args = [
    ...["distil", "--teacher", TARGET, "--student", at("small"), "--data", at("data.jsonl:1")],
    ...["--held-out", at("data.jsonl"), "--batch", "4", "--sequence", "64", "--steps", "4"],
    ...["--evaluate-every", "2", "--line-every", "1", "--settings", at("settings.json")],
    ...["--out", at("draft"), "--dtype", "f32"],
  ];
  const dry = await unmask([...args, "--rate", "0.01", "--dry-run"]);
  assertEquals(dry.code, 0, dry.stderr);
  assertMatch(dry.stdout, /teacher's weights +│ \d/);
  assert(![...Deno.readDirSync(dir)].some(({ name }) => name.startsWith("draft")));

  const done = await unmask([...args, "--rate", "0.01"]);
  assertEquals(done.code, 0, done.stderr);
  assertMatch(done.stdout, /^\| Step \| Tokens \| Avg agree .*\n.*\n\| 0 \| 0 .*\n\| 2 .*\n\| 4 /m);
  assertMatch(done.stderr, /step 2, loss \d+\.\d{4}, rate 0\.00\d+, agreement/);
  const names = [...Deno.readDirSync(at("draft"))].map(({ name }) => name).sort();
  assertEquals(names, [
    ...["README.md", "config.json", "history.png", "model.safetensors"],
    ...["tokenizer.json", "tokenizer_config.json"],
  ]);
  const card = Deno.readTextFileSync(at("draft/README.md"));
  assertMatch(card, /unmask distil --teacher .*--rate 0\.01/);
  assert(card.includes('"rate": 0.01'));
  const config = JSON.parse(Deno.readTextFileSync(at("draft/config.json")));
  assertEquals([config.torch_dtype, config.n_layers], ["float32", 2]);
  const weights = Deno.readFileSync(at("draft/model.safetensors"));

  const again = await unmask([...args, "--rate", "0.01"]);
  assertEquals(again.code, 1);
  assertMatch(again.stderr, /draft is there already: the run has ended/);
  Deno.removeSync(at("draft"), { recursive: true });
  const other = await unmask([...args, "--rate", "0.02"]);
  assertEquals(other.code, 1);
  assertMatch(
    other.stderr,
    /draft\.run holds a run with other settings: schedule\.rate is 0\.01 there/,
  );
  const data = Deno.readTextFileSync(at("data.jsonl"));
  Deno.writeTextFileSync(at("data.jsonl"), data.replace("cat", "cow"));
  const changed = await unmask([...args, "--rate", "0.01"]);
  assertMatch(changed.stderr, /with other settings: inputs\..*data\.jsonl is "\d+ bytes/);
  Deno.writeTextFileSync(at("data.jsonl"), data);
  const written = await unmask([...args, "--rate", "0.01"]);
  assertEquals(written.code, 0, written.stderr);
  assertMatch(written.stderr, /Goes on after step 4/);
  assertEquals(Deno.readFileSync(at("draft/model.safetensors")), weights);

  // A run's settings are a file of settings.
  const begun = at("draft.run/settings.json");
  const same = await unmask(["distil", "--settings", begun, "--out", at("same")]);
  assertEquals(same.code, 0, same.stderr);
  assertEquals(Deno.readFileSync(at("same/model.safetensors")), weights);

  const loaded = await unmask(["generate", "--model", at("draft"), "-n", "4", "Hello"]);
  assertEquals(loaded.code, 0, loaded.stderr);
});

Deno.test("a model is trained from random weights, and wrong options are told by name", async () => {
  const args = [
    ...["train", "--from", at("small"), "--data", at("data.jsonl"), "--out", at("trained")],
    ...["--sequence", "64"],
  ];
  const lines = Deno.readTextFileSync(at("data.jsonl"));
  Deno.writeTextFileSync(at("wrong.jsonl"), `${lines}{"prompt": \n`);
  const wrong: [string[], RegExp][] = [
    [[], /train: length is missing\. Give one of --steps N, --tokens N and --epochs X/],
    [["--steps", "1", "--epochs", "1"], /--steps and --epochs: give one of them/],
    [["--steps", "1", "--sequence", "1000"], /sequence is 1000, and .*small has 512 positions/],
    [
      ["--steps", "1", "--gpu-memory", "2MiB"],
      /takes .* of GPU memory .* Nothing smaller would fit/,
    ],
    [
      ["--steps", "1", "--lora", "4", "--lora-modules", "o_proj"],
      /lora\.modules\.0: .*"q_proj".*; found "o_proj"/,
    ],
    [["--steps", "1", "--from", "org/none"], /org\/none: there is no such folder here and no/],
    [["--steps", "1", "--mask-ratio", "gamma"], /expected beta or uniform/],
    [["--steps", "1", "--rows", "32"], /rows is 32, expected at least the 64 of a sequence\. Give/],
    [["--steps", "1", "--data", at("none.jsonl")], /none\.jsonl: there is no such file/],
    [["--steps", "1", "--settings", at("none.json")], /none\.json: there is no such file/],
    [["--steps", "1", "--data", at("wrong.jsonl")], /wrong\.jsonl:9: not JSON/],
    [["--steps", "1", "--held-out", at("data.jsonl")], /a --sequence of 64\. Leave out --held-out/],
  ];
  // Each in a place of its own: they run side by side.
  const outcomes = await Promise.all(
    wrong.map(([more], i) => unmask([...args, "--out", at(`trained${i}`), ...more])),
  );
  for (const [i, { code, stderr }] of outcomes.entries()) {
    assertEquals(code, 1);
    assertMatch(stderr, wrong[i][1]);
  }
  assert(![...Deno.readDirSync(dir)].some(({ name }) => name.startsWith("trained")));
  // Through links that lead elsewhere.
  const links = await Deno.makeTempDir();
  Deno.symlinkSync(dir, join(links, "folder"));
  Deno.symlinkSync(at("data.jsonl"), join(links, "data.jsonl"));
  const done = await unmask([
    ...args.map((arg) => arg === at("data.jsonl") ? join(links, "data.jsonl") : arg),
    ...["--start", "fresh", "--epochs", "2", "--batch", "4"],
    ...["--out", join(links, "folder", "trained")],
  ]);
  assertEquals(done.code, 0, done.stderr);
  assertMatch(done.stderr, /step 4, loss/);
  assertMatch(Deno.readTextFileSync(at("trained/README.md")), /Nothing was evaluated/);
});

Deno.test("a run that is told to stop leaves a checkpoint, and goes on from there", async () => {
  const args = [
    ...["train", "--from", at("small"), "--start", "fresh", "--data", at("data.jsonl")],
    ...["--sequence", "64", "--batch", "4", "--line-every", "1", "--out", at("stopped")],
    ...["--steps", "60"],
  ];
  const stopped = await stoppedMidway(args, {
    until: ({ stderr }) => stderr.match(/step 3, loss/),
    signal: "SIGINT",
    isOver: () => [...Deno.readDirSync(dir)].some(({ name }) => name === "stopped"),
    undo: () =>
      ["stopped", "stopped.run"].forEach((name) => Deno.removeSync(at(name), { recursive: true })),
  });
  assertEquals(stopped.code, 130);
  assertMatch(stopped.stderr, /Stopped: .*stopped\.run holds a checkpoint/);
  const rest = await unmask(args);
  assertEquals(rest.code, 0, rest.stderr);
  assertMatch(rest.stderr, /Goes on after step \d+\.\n.*step \d+, loss/);
  const lines = Deno.readTextFileSync(at("stopped.run/history.jsonl")).trim().split("\n");
  assertEquals(
    lines.map((line) => JSON.parse(line).step),
    Array.from({ length: 60 }, (_, i) => i + 1),
  );
});

Deno.test("a step of many micro-batches does not hold up Ctrl-C, and a second one ends at once", async () => {
  Deno.writeTextFileSync(at("short.json"), '{"evaluation": {"response": 16}}');
  const args = [
    ...["train", "--from", at("small"), "--data", at("data.jsonl"), "--held-out", at("data.jsonl")],
    ...["--sequence", "64", "--rows", "64", "--batch", "2000", "--steps", "2", "--examples", "2"],
    ...["--settings", at("short.json"), "--out", at("held")],
  ];
  await using running = new Running(taskCommand("unmask", args));
  const names = () => [...Deno.readDirSync(at("held.run"))].map(({ name }) => name);
  await running.stderr.match(/step 0, agreement/);
  while (!names().includes("step-0000000")) await new Promise((resolve) => setTimeout(resolve, 20));
  // The first step is being made, which takes ten seconds.
  await new Promise((resolve) => setTimeout(resolve, 500));
  running.kill("SIGINT");
  await running.stderr.match(/Stops with a checkpoint after this step/);
  // Signals that follow within a second are one key press.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  running.kill("SIGINT");
  assertEquals(await running.end(), 130);
  assertMatch(await running.stderr.whole(), /the last checkpoint in .*held\.run/);
  assert(!names().includes("step-0000001"), `${names()}`);
});
