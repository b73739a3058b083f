/** The package as others get it: what is published, and that it works from another folder over HTTP. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { EMBEDDED_FILES } from "../src/engine/embedded_files.ts";
import { OWN_CACHE } from "./cli/own_cache.ts";
import { filesIn, reachedFrom } from "./module_graph.ts";

const root = new URL("../", import.meta.url);
const { exports } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root))) as {
  readonly exports: Readonly<Record<string, string>>;
};

/** What a user needs: all that the exports reach, the embedded models, and what tells of them. */
const NEEDED = [
  ...reachedFrom(Object.values(exports).map((path) => path.replace(/^\.\//, "")))
    .filter((path) => /^(mod\.ts|deno\.json|(src|shaders)\/.*)$/.test(path)),
  ...filesIn("models/tiny-target"),
  ...filesIn("models/tiny-draft"),
  ...["README.md", "MODEL_CARD.md", "CORPUS.md", "eval-public.json"].map((name) =>
    `models/${name}`
  ),
  "LICENSE",
  "README.md",
].sort();

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function runDeno(
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Promise<Output> {
  const env = { NO_COLOR: "1", ...options.env };
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: options.cwd,
    env,
    stdin: "null",
    signal: AbortSignal.timeout(300_000),
  });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("deno publish ships what the exports need, and nothing else", async () => {
  const args = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  const { code, stdout, stderr } = await runDeno(args, { cwd: fileURLToPath(root) });
  const all = stdout + stderr;
  assertEquals(code, 0, all);
  const listed = [...all.matchAll(/^ {3}(file:\S+) \(\d.*\)$/gm)].map(([, url]) =>
    url.slice(root.href.length)
  );
  assertEquals(listed.sort(), NEEDED);
  // Slow types would be errors; packages that only some need are imported by a name that is computed.
  const warnings = [...all.matchAll(/^(warning|error)\[(.*?)\].*\n *--> (\S+?):\d+/gm)]
    .map(([, level, kind, path]) => [level, kind, path.slice(fileURLToPath(root).length)]);
  assertEquals(
    warnings,
    ["src/bench/peers/peer_llama.ts", "src/bench/peers/peer_runtimes.ts", "src/gpu/provider.ts"]
      .map((path) => ["warning", "unanalyzable-dynamic-import", join(path)]),
  );
  const bytes = NEEDED.reduce((sum, path) => sum + Deno.statSync(new URL(path, root)).size, 0);
  assert(bytes < 20 * 2 ** 20, `JSR takes no package of ${bytes} bytes`);
});

Deno.test("the files that are fetched are those of models/", async () => {
  const names = [
    ...filesIn("models/tiny-target"),
    ...filesIn("models/tiny-draft"),
    "models/eval-public.json",
  ];
  const found = await Promise.all(names.map(async (name) => {
    const content = await Deno.readFile(new URL(name, root));
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    return { name: name.slice("models/".length), bytes: content.length, sha256: hash.toHex() };
  }));
  const byName = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1;
  assertEquals([...EMBEDDED_FILES].sort(byName), found.sort(byName));
});

const TYPES: Readonly<Record<string, string>> = {
  ts: "application/typescript",
  json: "application/json",
};

/** The published files on a plain server, and an empty folder with caches of its own. */
class Elsewhere implements AsyncDisposable {
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly host: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #folder = Deno.makeTempDirSync({ prefix: "unmask_elsewhere_" });
  /** Where files are kept that are fetched. */
  readonly cache = join(this.#folder, "cache");
  readonly #work = join(this.#folder, "work");

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        const path = new URL(request.url).pathname.slice(1);
        this.asked.push(path);
        if (!NEEDED.includes(path)) return new Response("not published", { status: 404 });
        const type = TYPES[path.split(".").at(-1)!] ?? "application/octet-stream";
        const body = await Deno.readFile(new URL(path, root));
        return new Response(body, { headers: { "content-type": type } });
      },
    );
    this.host = `127.0.0.1:${this.#server.addr.port}`;
    Deno.mkdirSync(this.#work);
    Deno.mkdirSync(join(this.#folder, "deno"));
    try {
      // Packages are not downloaded again.
      Deno.symlinkSync(join(OWN_CACHE.DENO_DIR, "npm"), join(this.#folder, "deno", "npm"));
    } catch {
      // They are.
    }
  }

  /** `deno run` in the empty folder, without a configuration. */
  run(args: readonly string[]): Promise<Output> {
    const env = {
      ...OWN_CACHE,
      DENO_DIR: join(this.#folder, "deno"),
      XDG_CACHE_HOME: this.cache,
      HOME: this.cache,
      LOCALAPPDATA: this.cache,
    };
    return runDeno(["run", "--no-config", "--no-lock", "--no-prompt", ...args], {
      cwd: this.#work,
      env,
    });
  }

  /** A program in that folder. @param name of its file */
  write(name: string, text: string): void {
    Deno.writeTextFileSync(join(this.#work, name), text);
  }

  /** Files in the cache that are no shaders of a driver. */
  kept(): string[] {
    const found: string[] = [];
    const walk = (folder: string) => {
      for (const { name, isDirectory } of Deno.readDirSync(folder)) {
        if (isDirectory) walk(join(folder, name));
        else found.push(join(folder, name));
      }
    };
    for (const { name } of Deno.readDirSync(this.cache)) {
      if (!name.startsWith("mesa")) walk(join(this.cache, name));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

const program = (host: string) => `
import { load, WorkerEngine } from "http://${host}/mod.ts";
const messages = [{ role: "user", content: "What is 7 times 8?" }];
async function answer(events) {
  for await (const event of events) if (event.type === "end") console.log(event.text);
}
{
  using model = await load();
  await answer(model.generate({ messages }));
}
const engine = new WorkerEngine();
await answer(engine.generate({ messages }));
await engine.close();
`;

Deno.test("mod.ts works from a folder without deno.json, imported over HTTP", async () => {
  await using elsewhere = new Elsewhere();
  const { host, cache } = elsewhere;
  elsewhere.write("program.ts", program(host));
  const imports = `--allow-import=${host}`;

  // Without permissions: an error that names them.
  const unnamed = await elsewhere.run([imports, "program.ts"]);
  assertEquals(unnamed.code, 1);
  assertStringIncludes(unnamed.stderr, "permit --allow-env, or load the path of a model folder");
  const refused = await elsewhere.run([imports, "--allow-env", "program.ts"]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, `--allow-net=${host} --allow-read --allow-write=${cache}`);

  const permitted = [imports, "--allow-env", "--allow-read", "--allow-sys=systemMemoryInfo"];
  const fetching = [`--allow-net=${host}`, `--allow-write=${cache}`];
  const first = await elsewhere.run([...permitted, ...fetching, "program.ts"]);
  assertEquals(first.stdout, "7 * 8 = 56. The answer is 56.\n".repeat(2), first.stderr);
  const fetched = () => elsewhere.asked.filter((path) => path.startsWith("models/")).sort();
  const every = EMBEDDED_FILES.map(({ name }) => `models/${name}`).sort();
  assertEquals(fetched(), every);
  const names = elsewhere.kept().map((path) => path.slice(dirname(cache).length));
  assertEquals(names.filter((name) => name.endsWith(".part")), []);
  assertEquals(names.length, every.length + 1, names.join("\n"));

  // From then on neither the network nor writing is needed.
  const second = await elsewhere.run([...permitted, "program.ts"]);
  assertEquals(second.stdout, first.stdout, second.stderr);
  assertEquals(fetched(), every);
});

// JSR writes the packages of deno.json into what it serves; an import map does the same here.
Deno.test("the command works over HTTP, given the packages of deno.json", async () => {
  await using elsewhere = new Elsewhere();
  const { host } = elsewhere;
  const command = [`--import-map=http://${host}/deno.json`, "-A", `http://${host}/src/cli/main.ts`];
  const answered = await elsewhere.run([...command, "generate", "What is 7 times 8?"]);
  assertStringIncludes(answered.stdout, "7 * 8 = 56. The answer is 56.", answered.stderr);
  const info = await elsewhere.run([...command, "info", "--json"]);
  const { model, plan } = JSON.parse(info.stdout);
  assertMatch(JSON.stringify([model, plan]), /tiny-draft/);
});
