/** Runs: what they write, that a killed one goes on bit for bit, and what is kept. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import { DivergedError, train } from "../../../src/compress/run/run.ts";
import { historyTable } from "../../../src/compress/run/history.ts";
import { finish, STEPS, toyRun } from "./toy.ts";

const TOY = new URL("toy.ts", import.meta.url).pathname;

/** Names and bytes of a run's files, and its history and state without the times. */
function contentOf(dir: string): Record<string, string> {
  const files: Record<string, string> = {};
  const visit = (at: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(join(dir, at))) {
      const path = join(at, name);
      if (isDirectory) visit(path);
      else if (!path.endsWith(".safetensors")) {
        files[path] = Deno.readTextFileSync(join(dir, path)).replaceAll(
          /"seconds":[^,}]*/g,
          '"seconds":0',
        );
      } else files[path] = Deno.readFileSync(join(dir, path)).toHex();
    }
  };
  visit("");
  return files;
}

/** Evaluations and steps of a history. */
const stepsIn = (history: string) =>
  history.trim().split("\n").map((line) => JSON.parse(line).step as number);

Deno.test("a run writes a history, its last two checkpoints, and the best weights", async () => {
  const dir = await Deno.makeTempDir();
  const run = toyRun(dir);
  const events = await finish(run);
  const content = contentOf(dir);
  assertEquals(stepsIn(content["history.jsonl"]), [
    ...[0, 5, 7, 10, 14, 15, 20, 21, 25, 28, 30, 35, 40],
  ]);
  const lines = content["history.jsonl"].trim().split("\n").map((line) => JSON.parse(line));
  const evaluated = lines.filter((line) => line.evaluation);
  assertEquals(evaluated.map((line) => line.step), [0, 7, 14, 21, 28, 35, 40]);
  const best = evaluated.reduce((a, b) => b.evaluation.average >= a.evaluation.average ? b : a);
  assert(best.step < STEPS, "the test needs a best that is not the last");
  const bests = Object.keys(content).filter((name) => name.startsWith("best-"));
  assert(bests.includes(`best-${String(best.step).padStart(7, "0")}.safetensors`), `${bests}`);
  const checkpoints = Object.keys(content).filter((name) => name.endsWith("state.json"));
  assertEquals(checkpoints.sort(), ["step-0000039/state.json", "step-0000040/state.json"]);
  assertEquals(events.at(-1), {
    kind: "end",
    finished: true,
    step: STEPS,
    best: { step: best.step, average: best.evaluation.average },
  });
  // Once more does nothing.
  const again = await finish(toyRun(dir));
  assertEquals(again.map(({ kind }) => kind), ["start", "end"]);
  assertEquals(contentOf(dir), content);
});

Deno.test("the table has the card's columns, and losses of all steps between its rows", async () => {
  const dir = await Deno.makeTempDir();
  const losses: number[] = [];
  const lines = [];
  for await (const event of train(toyRun(dir))) {
    if (event.kind === "step") losses.push(event.losses.loss);
    if (event.kind === "line") lines.push(event.line);
  }
  const [head, rule, first, second] = historyTable(lines).split("\n");
  assertEquals(
    head,
    "| Step | Tokens | Avg agree | Agree@0.3 | Agree@0.5 | Agree@0.7 | Confident-correct | Loss |",
  );
  assertEquals(rule.split("|").length, head.split("|").length);
  assertEquals(first.split(" | ").at(-1), "- |");
  const mean = losses.slice(0, 7).reduce((sum, loss) => sum + loss, 0) / 7;
  assertEquals(second.split(" | ").at(-1), `${mean.toFixed(4)} |`);
  assertEquals(second.split(" | ")[1], "42");
});

Deno.test("a run that is stopped leaves a checkpoint, and goes on from it", async () => {
  const whole = await Deno.makeTempDir();
  await finish(toyRun(whole));
  const dir = await Deno.makeTempDir();
  for (const last of [4, 5, 7, 23]) {
    const stopping = new AbortController();
    for await (const event of train(toyRun(dir, { signal: stopping.signal }))) {
      if (event.kind === "step" && event.step === last) stopping.abort();
      if (event.kind === "end") assertEquals([event.finished, event.step], [false, last]);
    }
  }
  await finish(toyRun(dir));
  assertEquals(contentOf(dir), contentOf(whole));
});

Deno.test("a process that is killed anywhere goes on bit for bit", async () => {
  const whole = await Deno.makeTempDir();
  await finish(toyRun(whole));
  const dir = await Deno.makeTempDir();
  let kills = 0;
  // The place of a kill within a step is the system's: after a printed step, 0 to 7 ms later.
  for (const [after, wait] of [[1, 0], [2, 3], [9, 1], [1, 7], [4, 2], [3, 5], [6, 0], [2, 4]]) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-lock", "--no-check", TOY, dir],
      stdout: "piped",
    }).spawn();
    let seen = 0;
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      seen += text.trim().split("\n").length;
      if (seen < after) continue;
      await new Promise((resolve) => setTimeout(resolve, wait));
      try {
        child.kill("SIGKILL");
      } catch {
        // It was over before.
      }
      break;
    }
    await child.stdout.cancel().catch(() => {});
    if ((await child.status).signal === "SIGKILL") kills++;
  }
  assert(kills >= 3, `${kills} kills hit a running process`);
  await finish(toyRun(dir));
  assertEquals(contentOf(dir), contentOf(whole));
});

Deno.test("a broken newest checkpoint is told, and the one before it taken", async () => {
  const whole = await Deno.makeTempDir();
  await finish(toyRun(whole));
  const dir = await Deno.makeTempDir();
  await finish(toyRun(dir));
  const newest = join(dir, "step-0000040", "state.safetensors");
  Deno.truncateSync(newest, Deno.statSync(newest).size - 1);
  const events = await finish(toyRun(dir));
  const [broken, start] = events;
  assert(broken.kind === "broken" && broken.why.includes("step-0000040"), JSON.stringify(broken));
  assert(start.kind === "start" && start.step === 39);
  assertEquals(contentOf(dir), contentOf(whole));
});

Deno.test("a run whose checkpoints are all broken is not begun anew by itself", async () => {
  const dir = await Deno.makeTempDir();
  await finish(toyRun(dir));
  for (const step of [39, 40]) Deno.truncateSync(join(dir, `step-00000${step}`, "state.json"), 5);
  const before = contentOf(dir);
  const message = "none of its checkpoints can be read (steps 40, 39)";
  await assertRejects(() => finish(toyRun(dir)), Error, message);
  assertEquals(contentOf(dir), before);
});

Deno.test("a full disk is told wherever it is met, and with room the run goes on bit for bit", async () => {
  const whole = await Deno.makeTempDir();
  await finish(toyRun(whole));
  const dir = await Deno.makeTempDir();
  const { openSync } = Deno;
  for (const name of [/best-0000007/, /history\.jsonl$/, /step-0000009/, /history\.jsonl\.part/]) {
    // As the system does it: nothing more can be written into files of this name.
    Deno.openSync = (path, options) => {
      const file = openSync(path, options);
      if (!name.test(String(path)) || !options?.write && !options?.append) return file;
      file.writeSync = () => {
        throw Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
      };
      return file;
    };
    const message = "The disk is full: free some of it and run the same command again";
    try {
      await assertRejects(() => finish(toyRun(dir)), Error, message);
    } finally {
      Deno.openSync = openSync;
    }
  }
  await finish(toyRun(dir));
  assertEquals(contentOf(dir), contentOf(whole));
});

Deno.test("a loss that is no number ends the run with what to do, and keeps the checkpoint", async () => {
  const dir = await Deno.makeTempDir();
  const schedule = { rate: 1e38, warmUp: 0, decay: "constant" } as const;
  const run = () => finish(toyRun(dir, { schedule }));
  const error = await assertRejects(run, DivergedError, "lower --rate");
  assertMatch(error.message, /best-0000000\.safetensors holds the best weights, of step 0/);
  assert([...Deno.readDirSync(dir)].some(({ name }) => name === "step-0000000"));
});
