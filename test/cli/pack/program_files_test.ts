/** What a compiled or packed program holds: all that it reads, shown by reading nothing else. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import config from "../../../deno.json" with { type: "json" };
import {
  configOf,
  ENTRY,
  lockOf,
  programFiles,
  READ,
  runFlags,
} from "../../../src/cli/pack/program_files.ts";
import { DENO_VERSION, TARGETS } from "../../../src/cli/pack/targets.ts";
import { filesIn, importsOf, reachedFrom } from "../../module_graph.ts";
import { knownAnswer } from "../command.ts";
import { OWN_CACHE } from "../own_cache.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const lock = JSON.parse(Deno.readTextFileSync(`${root}/deno.lock`));
const program = await programFiles();
const flags = runFlags(config.tasks.unmask.command);
const { prompt, answer } = knownAnswer("2026-006");

/** Runs the program as the task does, with no permission to read but these. */
async function reading(files: readonly string[], args: readonly string[]) {
  const granted = flags.map((flag) =>
    flag.startsWith("--allow-read") ? `--allow-read=${files.join(",")}` : flag
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...granted, ENTRY, ...args],
    cwd: root,
    env: { NO_COLOR: "1", ...OWN_CACHE },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

// A compiled program may list the folders in it: that a file is not there is an answer, too.
const compiledIn = [
  ...program.files.filter((path) => !READ.some((read) => `${path}/`.startsWith(`${read}/`))),
  ...READ,
];

Deno.test("the program answers with nothing to read but what is compiled in", async () => {
  const { code, stdout, stderr } = await reading(compiledIn, ["generate", prompt]);
  assertEquals([code, stdout.trim()], [0, answer], stderr);
});

Deno.test("without one of these it does not: what is not granted is not read", async () => {
  for (const missing of ["models/tiny-draft", "src/engine/worker.ts"]) {
    const left = compiledIn.filter((path) => path !== missing);
    assertEquals(left.length, compiledIn.length - 1);
    const { code, stderr } = await reading(left, ["generate", prompt]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, missing);
  }
});

Deno.test("every module and shader that the program names is in it, and no test", () => {
  const named = reachedFrom([ENTRY]).filter((path) => /^(src|shaders)\/.*\.\w+$/.test(path));
  assertEquals(named.filter((path) => !program.files.includes(path)), []);
  assertEquals(program.files.filter((path) => path.startsWith("test/")), []);
  // A Worker is named by its URL; another way to name a file would have to be told here.
  const urls = filesIn("src").filter((path) => path.endsWith(".ts"))
    .filter((path) => /new Worker\(/.test(Deno.readTextFileSync(`${root}/${path}`)));
  assertEquals(urls, ["src/engine/worker_engine.ts"]);
  assert(importsOf(urls[0]).some(({ target }) => target === "src/engine/worker.ts"));
});

Deno.test("its packages are those that it imports, with all that they need, and none of the tests'", () => {
  const names = program.packages.map(({ name }) => name);
  for (const name of ["commander", "hono", "prom-client", "tdigest", "bintrees"]) {
    assertEquals(names.includes(name), true, name);
  }
  for (const name of ["openai", "fast-check", "webgpu", "@types/node"]) {
    assertEquals(names.includes(name), false, name);
  }
  const kept = lockOf(lock, program.packages);
  assertEquals(Object.keys(kept.npm), program.packages.map(({ id }) => id).sort());
  const { imports, tasks } = configOf(config, program.packages) as Partial<typeof config>;
  assertEquals(kept.workspace.dependencies, Object.values(imports!).sort());
  assertEquals(tasks, undefined);
});

Deno.test("the flags are the task's, and hold all that it permits", () => {
  assertEquals(flags.filter((flag) => flag.startsWith("--allow-read")), ["--allow-read=/"]);
  assertEquals(config.tasks.unmask.command.includes(` ${flags.join(" ")} "$ROOT/${ENTRY}"`), true);
  assertEquals(flags.filter((flag) => /^--allow-(all|run|ffi|import)|^-A/.test(flag)), []);
});

Deno.test("files are packed around the Deno that the tests run on", () => {
  assertEquals(Deno.version.deno, DENO_VERSION);
  assertEquals(Object.keys(TARGETS).length, 5);
});
