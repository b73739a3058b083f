import { assert, assertEquals, assertMatch } from "@std/assert";
import { FAMILIES } from "../src/model/family.ts";
import {
  filesIn,
  type Import,
  importsOf,
  loadedWith,
  reachedFrom,
  textOf,
} from "./module_graph.ts";

const sources = filesIn("src").filter((path) => path.endsWith(".ts"));
const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1).replace(/\.\w+$/, "");

/** What each folder of src may import from other folders: the table of src/README.md. */
const ARROWS: Readonly<Record<string, readonly string[]>> = arrowsOf(textOf("src/README.md"));
/** Says in that table that a folder may import any other. */
const ANYTHING = "anything";

/** Folders, files, or only the types of one, by importing folder. */
function arrowsOf(page: string): Record<string, string[]> {
  const [, table] = page.split(/^\| folder +\| may import +\|\n\| -+ \| -+ \|\n/m);
  const rows = table.matchAll(/^\| (\w+) +\| (.*?) +\|$/gm);
  return Object.fromEntries(
    [...rows].map(([, folder, names]) => [folder, names === "nothing" ? [] : names.split(", ")]),
  );
}

function allowed(folder: string, { target, typeOnly }: Import): boolean {
  const inside = target.slice("src/".length);
  const own = inside.startsWith(`${folder}/`);
  return own || ARROWS[folder].some((arrow) => {
    if (arrow === ANYTHING) return true;
    const place = arrow.replace(/^types of /, "");
    const fits = inside === place || inside.startsWith(`${place}/`);
    return fits && (typeOnly || place === arrow);
  });
}

Deno.test("imports are found as they are written", () => {
  const targets = (path: string) => importsOf(path).map(({ target }) => target);
  assertEquals(targets("src/kernels/embed.ts"), [
    "shaders/embed.wgsl",
    "src/gpu/kernel.ts",
    "src/gpu/recorder.ts",
    "src/gpu/tensor.ts",
    "src/kernels/weight_matrix.ts",
  ]);
  assertEquals(
    importsOf("src/model/model.ts").filter(({ target }) => target.includes("denoise")),
    [{ target: "src/denoise/predictor.ts", typeOnly: true }],
  );
  // Written over several lines, a list of values and types.
  const schedule = importsOf("src/denoise/denoise.ts").find(({ target }) =>
    target === "src/denoise/schedule.ts"
  );
  assertEquals(schedule, { target: "src/denoise/schedule.ts", typeOnly: false });
});

Deno.test("each folder imports only from those on its line of the table", () => {
  const folders = new Set(sources.map((path) => path.split("/")[1]));
  for (const folder of folders) {
    assert(folder in ARROWS, `src/${folder} has no line in the table of src/README.md`);
  }
  const places = Object.values(ARROWS).flat().map((arrow) => arrow.replace(/^types of /, ""));
  for (const place of places.filter((name) => name !== ANYTHING)) {
    assert(sources.some((path) => path.startsWith(`src/${place}`)), `there is no src/${place}`);
  }
  const wrong = sources.flatMap((path) =>
    importsOf(path)
      .filter(({ target }) => target.startsWith("src/"))
      .filter((imported) => !allowed(path.split("/")[1], imported))
      .map(({ target, typeOnly }) => `${path} -> ${target}${typeOnly ? " (types)" : ""}`)
  );
  assertEquals(wrong, []);
});

Deno.test("no file imports itself by way of others, types included", () => {
  const files = [...sources, "mod.ts"];
  const imports = new Map(files.map((path) => [
    path,
    importsOf(path).map(({ target }) => target).filter((target) => files.includes(target)),
  ]));
  assertEquals(circleIn(imports), undefined);
});

Deno.test("a circle is found, and told as it runs", () => {
  const imports = new Map([["a", ["b"]], ["b", ["c", "d"]], ["c", []], ["d", ["b"]]]);
  assertEquals(circleIn(imports), ["b", "d", "b"]);
  assertEquals(circleIn(new Map([["a", ["a"]]])), ["a", "a"]);
  assertEquals(circleIn(new Map([["a", ["b", "c"]], ["b", ["c"]], ["c", []]])), undefined);
});

/** The first circle of a graph, its first member again at the end. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const follow = (path: string, trail: readonly string[]): string[] | undefined => {
    const at = trail.indexOf(path);
    if (at >= 0) return [...trail.slice(at), path];
    if (done.has(path)) return undefined;
    for (const next of imports.get(path) ?? []) {
      const circle = follow(next, [...trail, path]);
      if (circle) return circle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of imports.keys()) {
    const circle = follow(path, []);
    if (circle) return circle;
  }
  return undefined;
}

const OWN = /^(src|shaders|models)\/|^(mod\.ts|deno\.json)$/;

Deno.test("modules name packages of deno.json, and nothing of the tests", () => {
  const { imports } = JSON.parse(textOf("deno.json")) as { imports: Record<string, string> };
  const known = Object.keys(imports).filter((name) => name !== "@std/assert");
  for (const path of sources) {
    for (const { target } of importsOf(path)) {
      const isPackage = target.startsWith("npm:")
        ? Object.values(imports).includes(target)
        : known.some((name) => target === name || target.startsWith(`${name}/`));
      const allowed = OWN.test(target) || isPackage || target.startsWith("node:");
      assert(allowed, `${path} imports ${target}`);
    }
  }
});

Deno.test("what mod.ts reaches needs no deno.json: packages are named with their versions", () => {
  const reached = reachedFrom(["mod.ts"]);
  assert(reached.includes("src/engine/worker.ts"), "the Worker is reached");
  const packages = reached.filter((target) => !OWN.test(target) && !target.startsWith("node:"));
  assert(packages.length > 0);
  for (const name of packages) assertMatch(name, /^npm:(@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+$/);
});

Deno.test("deno task, which installs all of deno.lock, installs no client that only tests use", () => {
  const { specifiers } = JSON.parse(textOf("deno.lock")) as { specifiers: Record<string, string> };
  const { imports } = JSON.parse(textOf("deno.json")) as { imports: Record<string, string> };
  const known = Object.values(imports);
  assertEquals(Object.keys(specifiers).filter((name) => !known.includes(name)), []);
});

Deno.test("a command is loaded when it is asked for, with the packages that it uses", () => {
  const packagesOf = (path: string) =>
    loadedWith([path]).filter((target) => /^[@a-z]/.test(target) && !OWN.test(target))
      .filter((target) => !target.startsWith("node:")).map((name) => name.replace(/^npm:/, ""));
  assertEquals(packagesOf("src/cli/main.ts"), ["commander"]);
  const served = packagesOf("src/cli/serve.ts");
  assert(served.includes("hono"));
  for (const drawing of ["fast-png", "wgpu-matrix", "protobufjs", "log-update", "string-width"]) {
    assert(!served.includes(drawing), `serve loads ${drawing}`);
  }
  const later = importsOf("src/cli/main.ts").filter((one) => one.later).map(({ target }) => target);
  assert(later.includes("src/cli/serve.ts") && later.includes("src/cli/tune_model.ts"));
});

Deno.test("a model family is a file of its name, which family.ts and other families alone import", () => {
  const files = Object.keys(FAMILIES).map((modelType) => `src/model/${modelType}.ts`);
  for (const file of files) {
    const importers = sources.filter((path) =>
      !files.includes(path) && importsOf(path).some(({ target }) => target === file)
    );
    assertEquals(importers, ["src/model/family.ts"], file);
  }
});

Deno.test("every kernel has a shader, a wrapper and a case", () => {
  const kernels = filesIn("shaders")
    .filter((path) => !path.startsWith("shaders/lib/") && path !== "shaders/README.md");
  for (const path of kernels) assertMatch(path, /^shaders\/\w+\.wgsl$/);
  const wrappers = sources.filter((path) =>
    path.startsWith("src/kernels/") && textOf(path).includes("= defineKernel(")
  );
  const cases = filesIn("test/kernels").filter((path) => textOf(path).includes("= defineCase<"));
  assertEquals(wrappers.map(nameOf), kernels.map(nameOf));
  assertEquals(cases.map(nameOf), kernels.map(nameOf));
  for (const path of [...wrappers, ...cases]) {
    const key = path.startsWith("src/") ? "name" : "kernel";
    assertMatch(textOf(path), new RegExp(`^  ${key}: "${nameOf(path)}",$`, "m"), path);
  }
});

Deno.test("every snippet is used", () => {
  const used = new Set(sources.flatMap((path) => importsOf(path).map(({ target }) => target)));
  for (const path of filesIn("shaders/lib")) assert(used.has(path), `${path} is not imported`);
});

Deno.test("no file is named for having no subject", () => {
  const named = [...sources, ...filesIn("shaders"), ...filesIn("test")]
    .filter((path) => /(^|_)(utils?|helpers?|manager|common|misc)$/.test(nameOf(path)));
  assertEquals(named, []);
});

Deno.test("a test is skipped only with its reason, by skipIf, and none is left alone", () => {
  const found = filesIn("test").filter((path) => path.endsWith(".ts") && path !== "test/skip.ts")
    .filter((path) => /^\s*(ignore|only)(:|,$)|Deno\.test\.(ignore|only)/m.test(textOf(path)));
  // summary_test.ts writes a test that tells no reason.
  assertEquals(found.filter((path) => path !== "test/summary_test.ts"), []);
});

Deno.test("files are under 400 lines", () => {
  const long = [...sources, ...filesIn("shaders"), ...filesIn("test")]
    .filter((path) => /\.(ts|wgsl)$/.test(path) && !path.startsWith("test/golden/"))
    .map((path) => [path, textOf(path).split("\n").length - 1] as const)
    .filter(([, lines]) => lines >= 400);
  assertEquals(long, []);
});

Deno.test("files run side by side: what changes or measures the process has one of its own", () => {
  const changing = filesIn("test").filter((path) =>
    path.endsWith("_test.ts") && path !== "test/architecture_test.ts" &&
    /scarceMemory|Deno\.(memoryUsage|chdir|umask)|Deno\.env\.(set|delete)/.test(textOf(path))
  );
  assert(changing.length > 0);
  assertEquals(changing.filter((path) => !textOf(path).includes("alone(import.meta.url")), []);
});

Deno.test("what test:quick leaves out is named file by file, and is there", () => {
  const lines = textOf("test/slow.txt").trimEnd().split("\n");
  const files = lines.map((line) => line.replace("--ignore=", ""));
  assertEquals(lines, files.map((file) => `--ignore=${file}`));
  assertEquals(files, [...new Set(files)].sort());
  const tests = filesIn("test").filter((path) => path.endsWith("_test.ts"));
  assertEquals(files.filter((file) => !tests.includes(file)), []);
  // Most files are quick.
  assert(files.length < tests.length / 2, `${files.length} of ${tests.length} are left out`);
});
