/**
 * What `deno task compile` runs: `deno compile`, with the permissions of the task `unmask` and
 * nothing else compiled in. It needs `denort`, the program of Deno that runs what is compiled.
 */

import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { askedFile } from "./pack/asked_file.ts";
import {
  ENTRY,
  type ProgramFiles,
  programFiles,
  READ,
  ROOT,
  runFlags,
  WORKERS,
} from "./pack/program_files.ts";
import type { TargetName } from "./pack/targets.ts";

/** The arguments of `deno compile`. */
function compileArgs(target: TargetName, output: string, { packages }: ProgramFiles): string[] {
  const excluded = packages.flatMap(({ withoutCode }) => withoutCode);
  return [
    "compile",
    ...runFlags(config.tasks.unmask.command),
    "--no-check",
    // It would be kept in a file that is named like the program, in a folder where others write.
    "--no-code-cache",
    "--exclude-unused-npm",
    ...excluded.flatMap((path) => ["--exclude", path]),
    ...[...WORKERS, ...READ].flatMap((path) => ["--include", path]),
    "--target",
    target,
    "--output",
    output,
    ENTRY,
  ];
}

/** Where `denort` is looked for before it is downloaded. */
function seededFile(target: TargetName, denoDir: string): string {
  return join(denoDir, "dl", "release", `v${Deno.version.deno}`, `denort-${target}.zip`);
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

async function compile(target: TargetName, output: string): Promise<number> {
  const program = await programFiles();
  const named = Deno.env.get("DENORT_BIN");
  const seeded = seededFile(target, program.denoDir);
  if (named && !isThere(named)) {
    console.error(`unmask: DENORT_BIN is ${named}, where no file is`);
    return 1;
  }
  const file = target.includes("windows") && !/\.exe$/i.test(output) ? `${output}.exe` : output;
  await Deno.mkdir(dirname(file), { recursive: true });
  // Deno does not compile over a file of another kind, and leaves a part where it breaks off.
  const folder = await Deno.makeTempDir({ dir: dirname(file), prefix: ".compile-" });
  let code: number;
  try {
    const part = join(folder, basename(file));
    ({ code } = await new Deno.Command(Deno.execPath(), {
      args: compileArgs(target, part, program),
      cwd: fileURLToPath(ROOT),
      stdin: "null",
    }).spawn().status);
    if (code === 0) await Deno.rename(part, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  if (code === 0) {
    console.log(`${file}: ${(Deno.statSync(file).size / 1e6).toFixed(1)} MB, for ${target}`);
  }
  if (code !== 0 && !named && !isThere(seeded)) {
    console.error(
      `unmask: deno compile needs denort, which it downloads from dl.deno.land. Where it cannot, name ` +
        `the program in DENORT_BIN, or put its archive at ${seeded}. Without it, deno task pack ` +
        "makes one file that unpacks itself.",
    );
  }
  return code;
}

if (import.meta.main) {
  const { target, file } = askedFile(
    "compile",
    "Compiles the program into one file, with the permissions that it needs.",
  );
  Deno.exit(await compile(target, file));
}
