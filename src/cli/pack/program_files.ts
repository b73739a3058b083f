/** What the program is made of: its modules, the files that it reads, and the packages it imports. */

import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = new URL("./", new URL("../../../deno.json", import.meta.url));

/** The program. Paths are from the project's folder, with "/". */
export const ENTRY = "src/cli/main.ts";
/** Programs of Workers, which nothing imports. */
export const WORKERS: readonly string[] = ["src/engine/worker.ts"];
/** Files and folders that are read, not imported. */
export const READ: readonly string[] = [
  "models/tiny-target",
  "models/tiny-draft",
  "models/eval-public.json",
];

/**
 * Folders of packages that hold no code. `deno compile` parses every file that has no extension; in
 * these, lists of 100,000 numbers overflow its stack (Deno 2.9.6, denoland/deno issue 36746).
 */
const WITHOUT_CODE: Readonly<Record<string, readonly string[]>> = { bintrees: ["test"] };

/** A package from npm. */
export interface NpmPackage {
  /** As deno.lock names it: `NAME@VERSION`, and the peers that it was resolved with. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** Its folder. */
  readonly folder: string;
  /** Folders in it that are left out. */
  readonly withoutCode: readonly string[];
}

/** All of the program. */
export interface ProgramFiles {
  /** Paths of files from the project's folder, with "/", sorted. */
  readonly files: readonly string[];
  readonly packages: readonly NpmPackage[];
  /** Deno's own folder, which the packages' folders are below. */
  readonly denoDir: string;
}

/** What is used of `deno info --json FILE`. */
interface Graph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly npmPackage?: string;
    readonly error?: string;
  }[];
  readonly npmPackages: Readonly<
    Record<string, {
      readonly name: string;
      readonly version: string;
      readonly localPath: string;
      readonly dependencies: readonly string[];
    }>
  >;
}

/** Asks Deno for all of the program. @throws {Error} when a module is not there */
export async function programFiles(): Promise<ProgramFiles> {
  const [{ denoDir }, ...graphs] = await Promise.all([
    denoInfo<{ readonly denoDir: string }>(),
    ...[ENTRY, ...WORKERS].map((module) => denoInfo<Graph>(module)),
  ]);
  const modules = graphs.flatMap((graph) => graph.modules);
  const missing = modules.find(({ error }) => error !== undefined);
  if (missing) throw new Error(missing.error);
  const files = modules.map(({ specifier }) => specifier.replace(/[?#].*/, ""))
    .filter((url) => url.startsWith(ROOT.href))
    .map((url) => fromRoot(new URL(url)));
  const known: Graph["npmPackages"] = Object.assign({}, ...graphs.map((one) => one.npmPackages));
  return {
    files: [...new Set([...files, ...READ.flatMap(filesBelow)])].sort(),
    packages: reached(known, modules.flatMap(({ npmPackage }) => npmPackage ?? [])),
    denoDir,
  };
}

/** Packages and those that they depend on, without packages of types alone. */
function reached(known: Graph["npmPackages"], ids: readonly string[]): NpmPackage[] {
  const found = new Set(ids);
  // A set that grows is walked to its new end.
  for (const id of found) for (const needed of known[id].dependencies) found.add(needed);
  return [...found].sort()
    .map((id) => ({ id, ...known[id], folder: known[id].localPath }))
    .filter(({ name }) => !name.startsWith("@types/") && name !== "undici-types")
    .map(({ id, name, version, folder }) => ({
      id,
      name,
      version,
      folder,
      withoutCode: (WITHOUT_CODE[name] ?? []).map((path) => join(folder, path)),
    }));
}

async function denoInfo<T>(...args: string[]): Promise<T> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", ...args],
    cwd: fileURLToPath(ROOT),
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new Error(`deno info ${args}: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Paths of all files of a folder, or of a file itself, from the project's folder. */
function filesBelow(path: string): string[] {
  const url = new URL(path, ROOT);
  if (Deno.statSync(url).isFile) return [path];
  return [...Deno.readDirSync(url)].flatMap(({ name }) => filesBelow(`${path}/${name}`));
}

function fromRoot(url: URL): string {
  return relative(fileURLToPath(ROOT), fileURLToPath(url)).replaceAll("\\", "/");
}

/** The arguments of `deno run` in a task's command: all between it and the program. */
export function runFlags(command: string): string[] {
  const flags = /\bdeno run ((?:--\S+ )+)\S*main\.ts/.exec(command)?.[1];
  // What a shell would change is not the flag itself.
  if (!flags || /["'`$\\]/.test(flags)) {
    throw new Error(`${command}: it does not run the program with flags that stand for themselves`);
  }
  return flags.trim().split(" ");
}

/**
 * deno.json without what the program does not import. It is a workspace, so that Deno looks for no
 * other in the folders above it.
 */
export function configOf(
  config: { readonly imports: Readonly<Record<string, string>> },
  packages: readonly NpmPackage[],
): Record<string, unknown> {
  const names = new Set(packages.map(({ name, version }) => `npm:${name}@${version}`));
  const imports = Object.entries(config.imports).filter(([, from]) => names.has(from));
  const { tasks: _tasks, publish: _publish, ...rest } = config as Record<string, unknown>;
  return { ...rest, imports: Object.fromEntries(imports), workspace: [] };
}

/** Where the packed packages are from, and what Deno looks them up by. */
export const REGISTRY = "https://registry.npmjs.org/";

/** The settings of npm that hold for the program: its user may have named another registry. */
export function npmSettingsOf(packages: readonly NpmPackage[]): string {
  const scopes = new Set(packages.flatMap(({ name }) => /^@[^/]+/.exec(name)?.[0] ?? []));
  return ["", ...[...scopes].map((scope) => `${scope}:`)]
    .map((scope) => `${scope}registry=${REGISTRY}\n`).join("");
}

/** A package in it; the others that it needs, with a version only where there are several. */
interface LockedPackage {
  readonly dependencies?: readonly string[];
}

/** A lock file, as far as it is read here. */
interface Lock {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, LockedPackage>>;
  readonly workspace: { readonly dependencies: readonly string[] };
}

/** deno.lock without what the program does not import. */
export function lockOf(lock: Lock, packages: readonly NpmPackage[]): Lock {
  const ids = new Set(packages.map(({ id }) => id));
  const names = new Set(packages.flatMap(({ id, name }) => [id, name]));
  const kept = <T>(record: Readonly<Record<string, T>>, keep: (key: string, value: T) => boolean) =>
    Object.fromEntries(Object.entries(record).filter(([key, value]) => keep(key, value)));
  const specifiers = kept(
    lock.specifiers,
    (name, version) => ids.has(`${/^npm:(.+)@/.exec(name)?.[1]}@${version}`),
  );
  return {
    ...lock,
    specifiers,
    npm: Object.fromEntries(
      Object.entries(kept(lock.npm, (id) => ids.has(id))).map(([id, locked]) => {
        const dependencies = locked.dependencies?.filter((name) => names.has(name));
        return [id, { ...locked, ...dependencies && { dependencies } }];
      }),
    ),
    workspace: { dependencies: lock.workspace.dependencies.filter((name) => name in specifiers) },
  };
}
