/**
 * What `deno task pack` runs: it makes one file of the program, around the pinned Deno, for systems
 * where `deno compile` has nothing to compile into. The file unpacks itself; see pack/unmask.sh.
 */

import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { askedFile } from "./pack/asked_file.ts";
import { type ArchivedFile, tarGz, zip } from "./pack/archive.ts";
import { denoFor } from "./pack/deno_binary.ts";
import { batchFile, selfExtracting } from "./pack/launcher.ts";
import {
  configOf,
  lockOf,
  npmSettingsOf,
  programFiles,
  REGISTRY,
  ROOT,
  runFlags,
} from "./pack/program_files.ts";
import type { TargetName } from "./pack/targets.ts";

/** What packages hold beside the JavaScript that runs. Licences stay. */
const LEFT_OUT = /\.([cm]?ts|map)$|^(?!.*licen[cs]e)[^/]*\.md$/i;

/** All of the program as a folder: Deno, `app` and `cache`, which is Deno's own folder. */
async function packedFiles(target: TargetName): Promise<ArchivedFile[]> {
  const [{ files, packages }, deno] = await Promise.all([programFiles(), denoFor(target)]);
  const lock = JSON.parse(await Deno.readTextFile(join(fileURLToPath(ROOT), "deno.lock")));
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value, null, 2));
  const written: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
    "deno.json": json(configOf(config, packages)),
    "deno.lock": json(lockOf(lock, packages)),
    ".npmrc": new TextEncoder().encode(npmSettingsOf(packages)),
  };
  const app = [...new Set([...files, ...Object.keys(written), "LICENSE"])].map((path) => ({
    name: `app/${path}`,
    read: () => written[path] ?? Deno.readFile(new URL(path, ROOT)),
  }));
  const cache = packages.flatMap(({ name, version, folder, withoutCode }) =>
    [...filesBelow(folder, withoutCode)].map((path) => ({
      name: ["cache/npm", new URL(REGISTRY).host, name, version, relative(folder, path)].join("/")
        .replaceAll("\\", "/"),
      read: () => Deno.readFile(path),
    }))
  );
  const name = target.includes("windows") ? "deno.exe" : "deno";
  return [
    { name, content: deno, executable: true },
    ...await Promise.all(
      [...app, ...cache].sort((a, b) => a.name < b.name ? -1 : 1)
        .map(async ({ name, read }) => ({ name, content: await read() })),
    ),
  ];
}

function* filesBelow(folder: string, leftOut: readonly string[]): Generator<string> {
  for (const { name, isDirectory, isFile } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory && !leftOut.includes(path)) yield* filesBelow(path, leftOut);
    else if (isFile && !LEFT_OUT.test(name)) yield path;
  }
}

async function pack(target: TargetName, output: string): Promise<void> {
  const files = await packedFiles(target);
  const launched = {
    version: config.version,
    target,
    flags: runFlags(config.tasks.unmask.command),
  };
  const parts = target.includes("windows")
    ? [zip([{ name: "unmask.cmd", content: batchFile(launched) }, ...files])]
    : selfExtracting(launched, await tarGz(files));
  await Deno.mkdir(dirname(output), { recursive: true });
  const part = `${output}.part`;
  await Deno.writeFile(part, new Blob(parts).stream(), { mode: 0o755 });
  await Deno.rename(part, output);
  const megabytes = parts.reduce((sum, { length }) => sum + length, 0) / 1e6;
  console.log(`${output}: ${megabytes.toFixed(1)} MB, for ${target}`);
}

if (import.meta.main) {
  const { target, file } = askedFile(
    "pack",
    "Makes one file of the program that unpacks itself, around the pinned Deno.",
  );
  const end = target.includes("windows") && !/\.zip$/i.test(file) ? ".zip" : "";
  try {
    await pack(target, file + end);
  } catch (error) {
    console.error(`unmask: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
