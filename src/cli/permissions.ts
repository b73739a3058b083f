/**
 * Gives up what a command does not need, once its options are known. A task grants more, because it
 * knows neither which command runs nor where the model lies.
 *
 * What Deno 2.9 can do, and what it cannot:
 * - What was granted as a list can be narrowed. `--allow-read=/` is a list of one folder: asking for
 *   a folder below it adds that folder without a prompt, and revoking `/` leaves only what was
 *   added. A grant without a list (`--allow-read`, `-A`) is kept or dropped as a whole.
 * - A Worker shares its parent's permissions: what either gives up, both have lost. So the main
 *   thread keeps what the engine needs, also for the Worker that replaces one that hangs.
 * - A socket that listens goes on without any permission.
 * - A link is only made with `--allow-read` and `--allow-write` without lists, which `deno task pull`
 *   therefore grants; `pull` makes its paths of nothing but names that it has checked.
 * - Importing a package from npm needs no permission: `--cached-only` and `--frozen` refuse it.
 */

import { tmpdir } from "node:os";
import { dirname, join, parse, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { cacheFolder } from "../engine/cache_folder.ts";
import { EMBEDDED_DRAFT } from "../engine/embedded_models.ts";
import { defaultTuningFile } from "../engine/tuning_file.ts";
import type { ProviderName } from "../gpu/provider.ts";
import { runFolderOf, trainingPaths } from "./training_paths.ts";
import {
  HUB_FOLDER_VARIABLES,
  HUB_NETWORK_VARIABLES,
  hubCache,
  tokenFile,
} from "../weights/hub/settings.ts";

/** Options whose value is a file or folder that a command reads. */
const READ_OPTIONS = [
  "model",
  "draft",
  "drafts",
  "against",
  "data",
  "tokenizer",
  "tuning",
  "apiKeys",
  "teacher",
  "student",
  "from",
  "heldOut",
  "settings",
  "importance",
] as const;
/** Names of arguments that are a file or folder to read. */
const READ_ARGUMENTS: readonly string[] = ["file", "dir"];
/** Options whose value is a file or folder that a command writes; what is there may be read. */
const WRITE_OPTIONS = ["json", "out", "picture", "png", "run", "trace"] as const;
/** Commands that train: they keep a run's folder beside what they write. */
const TRAINING: readonly string[] = ["distil", "train"];

/** What a Worker loads of the package, seen from here; none of it are files if that lies at a URL. */
const CODE = ["../", "../../shaders/", "../../deno.json"];
const IS_FOLDER = import.meta.url.startsWith("file:");

/** Variables that drivers read, and that a Worker sets for them. */
const DRIVER_VARIABLES: readonly string[] = ["DENO_WEBGPU_BACKEND", "XDG_RUNTIME_DIR"];
/** Variables that name the cache folders, where the models lie that were fetched. */
const FOLDER_VARIABLES: readonly string[] = [
  ...HUB_FOLDER_VARIABLES,
  "HOME",
  "LOCALAPPDATA",
  "XDG_CACHE_HOME",
];
const KEYS_VARIABLE = "UNMASK_API_KEYS";
const TERMINAL_VARIABLES: readonly string[] = ["COLORTERM", "FORCE_COLOR", "NO_COLOR", "TERM"];

/** Where a task permits to listen. */
const HOSTS = ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]"];

/** Options that more than one command has, as far as they say what it reaches. */
type ReachingFlags =
  & { readonly [name in typeof READ_OPTIONS[number] | typeof WRITE_OPTIONS[number]]?: unknown }
  & { readonly gpu?: ProviderName };

/**
 * Gives up what this command does not need. Called before anything is loaded or any Worker is
 * started.
 */
export function giveUpOthers(command: Command): void {
  const what = command.name();
  const timed = what === "bench" ? command.processedArgs[0] : undefined;
  // Other programs, which read and start what they like.
  if (timed === "peers") return;
  // It tells what is permitted, and looks where drivers lie.
  if (what === "doctor") return;
  const flags: ReachingFlags = command.opts();
  const written = paths(WRITE_OPTIONS.map((name) => flags[name]));
  if (TRAINING.includes(what)) written.push(...paths([runFolderOf(String(flags.out))]));
  if (what === "tune") written.push(...tuningFolder(flags.tuning));
  if (what === "pull") written.push(...paths([hubCache()]));
  if (what === "corpus") written.push(...paths([flags.out]).map((path) => `${path}.part`));
  // Its /save takes a name that is not known yet.
  if (what === "chat") written.push(resolve("."));
  // The folder is written beside its name, and renamed.
  if (what === "apply") written.push(...paths([flags.out]).map((path) => `${path}.part`));
  // It makes a model for the run, unless a folder is named.
  if (timed === "load") written.push(tmpdir());
  const named = [
    ...paths(READ_OPTIONS.map((name) => flags[name])),
    ...paths(
      command.registeredArguments.map((argument, i) =>
        READ_ARGUMENTS.includes(argument.name()) ? command.processedArgs[i] : undefined
      ),
    ),
    ...TRAINING.includes(what) ? paths(trainingPaths(flags)) : [],
  ];
  const read = [
    ...named,
    // What is the program's own has no links, and is not looked for outside.
    ...named.flatMap(behindLinks),
    ...paths([cacheFolder()]),
    ...what === "pull" ? paths([tokenFile()]) : [],
    ...what === "models" ? paths([hubCache()]) : [],
    // How much its disk holds is asked of the folder that is there.
    ...paths([flags.out, what === "pull" ? hubCache() : undefined]).map(standing),
  ];
  written.push(...written.flatMap(behindLinks));
  keepPaths("write", written);
  keepPaths("read", [...read, ...written, ...ownCode()]);
  if (written.length === 0) Deno.permissions.revokeSync({ name: "sys", kind: "statfs" });
  if (what !== "serve" && what !== "pull") Deno.permissions.revokeSync({ name: "net" });
  if (what !== "serve") Deno.permissions.revokeSync({ name: "env", variable: KEYS_VARIABLE });
  if (what !== "pull") {
    for (const variable of HUB_NETWORK_VARIABLES) {
      Deno.permissions.revokeSync({ name: "env", variable });
    }
  }
  Deno.permissions.revokeSync({ name: "run" });
  if (flags.gpu !== "dawn" && flags.gpu !== "auto") Deno.permissions.revokeSync({ name: "ffi" });
  // A Worker imports its code from where the package lies.
  if (IS_FOLDER) Deno.permissions.revokeSync({ name: "import" });
}

/**
 * Gives up what a server needed to start, as soon as its keys are read and it listens. What stays is
 * for the engine's Worker, which may load the model again: to read it and the code, and to compute.
 * @param address host and port: it may have to listen there anew
 * @param keys the file of API keys, which was read
 */
export function giveUpStarting(address: string, keys?: string): void {
  keepAddress(address);
  for (const path of paths([keys])) Deno.permissions.revokeSync({ name: "read", path });
  const others = [KEYS_VARIABLE, ...TERMINAL_VARIABLES, ...IS_FOLDER ? FOLDER_VARIABLES : []];
  for (const variable of others) Deno.permissions.revokeSync({ name: "env", variable });
}

/** The variables that `deno task pull` permits besides. */
export { HUB_NETWORK_VARIABLES } from "../weights/hub/settings.ts";

/** The variables that a task permits. */
export const VARIABLES: readonly string[] = [
  ...DRIVER_VARIABLES,
  ...FOLDER_VARIABLES,
  KEYS_VARIABLE,
  ...TERMINAL_VARIABLES,
].sort();

/** Keeps what is granted of these paths and below them, and drops what was granted as `/`. */
function keepPaths(name: "read" | "write", kept: readonly string[]): void {
  if (kept.length === 0) {
    Deno.permissions.revokeSync({ name });
    return;
  }
  const roots = new Set([resolve("/"), ...kept.map((path) => parse(path).root)]);
  if (kept.some((path) => roots.has(path))) return;
  for (const path of kept) {
    const one = { name, path } as const;
    // Never a prompt: only what is granted already is asked for.
    if (Deno.permissions.querySync(one).state === "granted") Deno.permissions.requestSync(one);
  }
  for (const path of roots) Deno.permissions.revokeSync({ name, path });
}

/** Where a path leads if links are on its way: of open files and folders, Deno asks for that one. */
function behindLinks(path: string): string[] {
  const at = standing(path);
  try {
    const real = join(Deno.realPathSync(at), relative(at, path));
    return real === path ? [] : [real];
  } catch {
    return [];
  }
}

/**
 * Keeps what is granted of one address, and drops the hosts that a task permits. What was granted without
 * a list stays: it cannot be narrowed, and the server may have to listen anew.
 */
function keepAddress(host: string): void {
  const one = { name: "net", host } as const;
  if (Deno.permissions.querySync(one).state === "granted") Deno.permissions.requestSync(one);
  for (const other of HOSTS) Deno.permissions.revokeSync({ name: "net", host: other });
}

/** The values that are paths, absolute. */
function paths(values: readonly unknown[]): string[] {
  return values.flat().filter((value) => typeof value === "string").map((path) => resolve(path));
}

function ownCode(): string[] {
  if (!IS_FOLDER) return [];
  const code = CODE.map((path) => resolve(fileURLToPath(new URL(path, import.meta.url))));
  // A compiled program is a file itself, by which it counts how many may be open.
  const compiled = Deno.build.standalone ? [Deno.execPath()] : [];
  // The draft that goes with the embedded model, if none is named.
  return [...code, ...compiled, resolve(EMBEDDED_DRAFT)];
}

/** The folder of a tuning that is written: its file is replaced by a new one beside it. */
function tuningFolder(file: unknown): string[] {
  return paths([file, defaultTuningFile()]).slice(0, 1).map((path) => dirname(path));
}

/** The path itself, or the nearest folder above it that is there. */
function standing(path: string): string {
  for (let at = path;; at = dirname(at)) {
    try {
      Deno.statSync(at);
      return at;
    } catch {
      if (dirname(at) === at) return path;
    }
  }
}
