import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Command } from "commander";
import {
  refuseAllBut,
  refuseContradictions,
  refuseIgnored,
} from "../../src/cli/ignored_options.ts";
import { unmask } from "./command.ts";

const parsed = (...args: string[]) =>
  new Command("c").option("--draft <dir>").option("--no-draft").option("--draft-weights <s>")
    .option("--weights <s>").option("--group <n>", "", "32").option("--adapter <name>")
    .parse(args, { from: "user" });

Deno.test("an option counts as ignored only where it was given", () => {
  refuseIgnored(parsed(), ["group", "weights"], "here");
  assertThrows(
    () => refuseIgnored(parsed("--group", "32"), ["group"], "here"),
    Error,
    "--group is not used here",
  );
  refuseAllBut(parsed("--weights", "q4", "--adapter", "0"), ["weights"], "here");
  assertThrows(
    () => refuseAllBut(parsed("--weights", "q4"), ["group"], "here"),
    Error,
    "--weights",
  );
  refuseContradictions(parsed("--weights", "q4", "--group", "64"));
  refuseContradictions(parsed("--group", "64"));
  const contradictions = [
    ["--no-draft", "--draft-weights", "q4"],
    ["--weights", "stored", "--group", "64"],
  ];
  for (const args of contradictions) {
    assertThrows(() => refuseContradictions(parsed(...args)), Error, args[args.length - 2]);
  }
});

Deno.test("each command refuses an option that it would ignore, before anything is loaded", async () => {
  const cases = [
    "generate Hi --no-draft --draft-weights q4",
    "generate Hi --strategy plain --draft-weights q4",
    "generate Hi --strategy threshold --draft models/tiny-draft",
    "chat --weights stored --head",
    "infill a___ --tokens 2 --most-tokens 4",
    "serve --quiet --log-messages",
    "pull a/b --dry-run --verify",
    "synth --like mid --out /nowhere --adapter 0",
    "tune --like mid --context 128",
    "tune --like mid --model models/tiny-target",
    "eval agreement --weights q4 --random 2 --limit 1",
    "bench --limit 3",
    "bench device --rows 3",
    "bench roofline --layers 2",
    "bench load models/tiny-target --like mid",
    "bench strategies --weights q4",
    "bench pair --only plain",
  ];
  await Promise.all(cases.map(async (line) => {
    const { code, stdout, stderr } = await unmask(line.split(" "));
    assertEquals([code, stdout], [1, ""], line);
    assertMatch(stderr, /^unmask: --[\w-]+ is not used [^\n]+: leave it out\n$/, line);
  }));
});

Deno.test("bench knows its own names, and none that every object has", async () => {
  const { code, stderr } = await unmask(["bench", "constructor"]);
  assertEquals(code, 1);
  assertMatch(stderr, /^unmask: bench constructor: expected device, strategies, .*or nothing\n$/);
});
