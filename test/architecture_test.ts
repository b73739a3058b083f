import { assert, assertEquals, assertMatch } from "@std/assert";

const root = new URL("../", import.meta.url);

/** Paths of all files below a folder, from the root, with "/" on every system. */
function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, root))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${folder}/${name}`) : [`${folder}/${name}`]
  ).sort();
}

const textOf = (path: string) => Deno.readTextFileSync(new URL(path, root));

const sources = filesIn("src").filter((path) => path.endsWith(".ts"));
const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1).replace(/\.\w+$/, "");

/** What each folder of src may import from other folders: folders, files, or only the types of one. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  gpu: [],
  denoise: [],
  text: [],
  weights: ["gpu/dtype.ts"],
  quant: ["gpu/dtype.ts"],
  kernels: ["gpu", "quant"],
  model: ["kernels", "gpu", "quant", "weights", "types of denoise/predictor.ts"],
  engine: ["model", "denoise", "text"],
  // Golden data lies in safetensors files: evaluate/parity reads them as a model's weights are read.
  evaluate: ["engine", "model", "denoise", "text", "weights/safetensors.ts", "gpu/dtype.ts"],
  compress: ["evaluate", "engine", "model", "kernels", "weights", "text", "gpu"],
  server: ["engine", "types of denoise"],
  bench: ["evaluate", "engine", "model", "kernels", "denoise", "weights", "quant", "gpu"],
};
/** Folders that may import any other. */
const FREE = ["cli"];

interface Import {
  /** Path from the root, or a package's name. */
  readonly target: string;
  readonly typeOnly: boolean;
}

/** Everything that a module names: imports, re-exports, dynamic imports, and URLs of workers. */
function importsOf(path: string): Import[] {
  const text = textOf(path).replace(/^\s*(\/\/|\/?\*).*$/gm, "");
  const found: Import[] = [];
  const resolve = (specifier: string) =>
    specifier.startsWith(".")
      ? new URL(specifier, new URL(path, root)).href.slice(root.href.length)
      : specifier;
  const statements =
    /^\s*(?:import|export)\s+(type\s+)?((?:[\w*\s,]|\{[^}]*\})*?)\s*(?:from\s*)?"([^"]+)"/gm;
  for (const [, type, names, specifier] of text.matchAll(statements)) {
    const list = /\{([^}]*)\}/.exec(names)?.[1].split(",").map((name) => name.trim())
      .filter(Boolean);
    const everyType = list !== undefined && /^\s*\{/.test(names) &&
      list.every((name) => name.startsWith("type "));
    found.push({ target: resolve(specifier), typeOnly: type !== undefined || everyType });
  }
  const urls = /(?:import\(|new URL\()\s*"([^"]+)"/g;
  for (const [, specifier] of text.matchAll(urls)) {
    if (!/^\w+:\/\//.test(specifier)) {
      found.push({ target: resolve(specifier), typeOnly: false });
    }
  }
  return found;
}

function allowed(folder: string, { target, typeOnly }: Import): boolean {
  const inside = target.slice("src/".length);
  const own = inside.startsWith(`${folder}/`);
  return own || FREE.includes(folder) || ARROWS[folder].some((arrow) => {
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
    assert(folder in ARROWS || FREE.includes(folder), `src/${folder} has no line in the table`);
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

Deno.test("modules name packages of deno.json, and nothing of the tests", () => {
  const { imports } = JSON.parse(textOf("deno.json")) as { imports: Record<string, string> };
  const known = Object.keys(imports).filter((name) => name !== "@std/assert");
  for (const path of sources) {
    for (const { target } of importsOf(path)) {
      const own = /^(src|shaders|models)\/|^(mod\.ts|deno\.json)$/.test(target);
      const isPackage = known.some((name) => target === name || target.startsWith(`${name}/`));
      assert(own || isPackage || target.startsWith("node:"), `${path} imports ${target}`);
    }
  }
});

Deno.test("every kernel has a shader, a wrapper and a case", () => {
  const kernels = filesIn("shaders").filter((path) => !path.startsWith("shaders/lib/"));
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

/** Files that may be longer than the rest, and how long. */
const LONG: Readonly<Record<string, number>> = { "src/model/model.ts": 420 };

Deno.test("files are under 400 lines", () => {
  const long = [...sources, ...filesIn("shaders"), ...filesIn("test")]
    .filter((path) => /\.(ts|wgsl)$/.test(path) && !path.startsWith("test/golden/"))
    .map((path) => [path, textOf(path).split("\n").length - 1] as const)
    .filter(([path, lines]) => lines >= (LONG[path] ?? 400));
  assertEquals(long, []);
});
