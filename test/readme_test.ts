/** README.md: its commands are run, its client's answer is right, its links lead somewhere. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import { runTask } from "./cli/command.ts";
import { startServer } from "./server/task_server.ts";

const ROOT = new URL("../", import.meta.url);
const README = Deno.readTextFileSync(new URL("README.md", ROOT));

/** Commands that a test of another file runs, by that file and what must stand in it. */
const RUN_ELSEWHERE: Readonly<Record<string, readonly [file: string, text: string]>> = {
  "git clone REPOSITORY unmask && cd unmask": [".ci/run", "from a clean checkout"],
  "npx --yes deno@2.9.6 task serve": ["test/cli/serve_task_test.ts", '"task", "serve"'],
  "npx --yes deno@2.9.6 task test": [".ci/run", "task test"],
  "deno task pull GSAI-ML/LLaDA-8B-Instruct": ["test/cli/pull_test.ts", '"pull"'],
  "deno task serve --model GSAI-ML/LLaDA-8B-Instruct": ["test/cli/pull_test.ts", '["serve", '],
  "deno task bench -- device": ["test/cli/bench_device_test.ts", '"device"'],
  "deno task unmask prune apply --model DIR --auto --cost 0.25 --data text.jsonl --out cut": [
    "test/cli/prune_test.ts",
    '"--auto"',
  ],
  "deno task unmask distil --teacher DIR --student cut --data text.jsonl --out draft --steps 5000":
    ["test/cli/distil_test.ts", '"--student"'],
  "deno task compile": ["test/cli/compile_task_test.ts", "compile"],
  "deno task pack": ["test/cli/pack_task_test.ts", "pack"],
};

/** Commands that this file runs. */
const RUN_HERE = ["deno task unmask doctor", "deno task unmask info --gpu-memory 8GiB"];

/** All commands: the lines of blocks of sh, and those in a sentence. */
function commands(): string[] {
  const blocks = [...README.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, text]) =>
    text.trim().split("\n").map((line) => line.replace(/ +#.*$/, ""))
  );
  const inline = [...README.matchAll(/`(deno task [^`]+)`/g)].map(([, text]) => text);
  return [...blocks, ...inline];
}

Deno.test("README: at most 800 words, tables and code included", () => {
  // As `wc -w` counts.
  const words = README.trim().split(/\s+/);
  assert(words.length <= 800, `${words.length} words`);
});

Deno.test("README: every command is run by a test, and every task is there", () => {
  assertEquals(new Set(commands()), new Set([...Object.keys(RUN_ELSEWHERE), ...RUN_HERE]));
  for (const [command, [file, text]] of Object.entries(RUN_ELSEWHERE)) {
    assertStringIncludes(Deno.readTextFileSync(new URL(file, ROOT)), text, command);
  }
  for (const command of commands()) {
    const [, task] = /\btask (\S+)/.exec(command) ?? [];
    if (task !== undefined) assert(task in config.tasks, command);
  }
});

Deno.test("README: what a newcomer is told to run says what it should", async () => {
  for (const command of RUN_HERE) {
    const [, , task, ...args] = command.split(" ");
    const { code, stdout, stderr } = await runTask(task, args);
    assertEquals(code, 0, `${command}: ${stdout}${stderr}`);
  }
});

Deno.test("README: the client's program prints what stands below it", async () => {
  const [, program] = /^```js\n(.*?)^```$/ms.exec(README)!;
  const [, expected] = /^\/\/ (.*)$/m.exec(program)!;
  const server = await startServer();
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/client.mjs`;
    await Deno.writeTextFile(file, program.replace("http://127.0.0.1:8000", server.url));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--allow-net=127.0.0.1", "--allow-env", "--lock=.lock/test.lock"],
        ...["--config", "deno.json", file],
      ],
      cwd: fileURLToPath(ROOT),
      env: { NO_COLOR: "1" },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertEquals([code, decode(stdout)], [0, expected], decode(stderr));
  } finally {
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("README: links and pictures are there", async () => {
  const places = [...README.matchAll(/\]\(([^)#]+)|(?:src|srcset)="([^"]+)"/g)]
    .map(([, link, picture]) => link ?? picture).filter((place) => !/^https?:/.test(place));
  assert(places.length > 8, `${places.length} links`);
  for (const place of places) await Deno.stat(new URL(place, ROOT));
  assertMatch(README, /\.github\/page\.png/);
});
