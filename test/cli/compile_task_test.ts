/**
 * `deno task compile`, with Deno's own program in place of `denort`: what is compiled in, and with
 * which permissions. What comes of it does not run; `pack/program_files_test.ts` shows that what is
 * in it is enough.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import config from "../../deno.json" with { type: "json" };
import { programFiles, runFlags } from "../../src/cli/pack/program_files.ts";
import { DENO_VERSION } from "../../src/cli/pack/targets.ts";
import { skipIf } from "../skip.ts";
import { runTask } from "./command.ts";

const root = new URL("../../", import.meta.url);
const { files, denoDir } = await programFiles();

/** Metadata of a compiled program, as far as it is read here. */
interface Permissions {
  readonly [name: string]: readonly string[] | boolean | null;
}

/** A folder of Deno's own with the packages that are there, and no `denort`; downloads fail. */
async function bareDeno(folder: string): Promise<Record<string, string>> {
  await Deno.symlink(join(denoDir, "npm"), join(folder, "npm"), { type: "dir" });
  return { DENO_DIR: folder, HTTPS_PROXY: "http://127.0.0.1:1" };
}

Deno.test("a compiled program holds every file byte by byte, and the task's permissions", async () => {
  const folder = await Deno.makeTempDir({ prefix: "unmask_compile_" });
  try {
    const output = join(folder, "unmask");
    // Over a file of another kind.
    await Deno.writeTextFile(output, "");
    const { code, stderr } = await runTask("compile", ["--output", output], {
      env: { DENORT_BIN: Deno.execPath() },
    });
    assertEquals(code, 0, stderr);
    const { size } = Deno.statSync(Deno.execPath());
    const compiled = Deno.build.os === "windows" ? `${output}.exe` : output;
    const added = (await Deno.readFile(compiled)).subarray(size - 2 ** 20);
    const latin1 = (bytes: Uint8Array<ArrayBuffer>) =>
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    const text = latin1(added);
    const read = files.filter((path) => /^(models|shaders)\//.test(path));
    assertEquals(read.length > 50, true);
    assertEquals(
      read.filter((path) => !text.includes(latin1(Deno.readFileSync(new URL(path, root))))),
      [],
    );
    const [, json] = /"permissions":(\{[^{}]*\})/.exec(text)!;
    const permissions: Permissions = JSON.parse(json);
    const granted = (name: string) =>
      runFlags(config.tasks.unmask.command).find((flag) => flag.startsWith(`--allow-${name}=`))!
        .split("=")[1].split(",");
    for (const name of ["env", "net", "read", "sys", "write"]) {
      assertEquals(permissions[`allow_${name}`], granted(name));
    }
    assertEquals([permissions.allow_run, permissions.allow_ffi, permissions.prompt], [
      ...[null, null],
      false,
    ]);
    assertEquals([permissions.ignore_env, permissions.deny_import], [[], []]);
    assertEquals([...Deno.readDirSync(folder)].length, Deno.build.os === "windows" ? 2 : 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const isNamed = Deno.env.has("DENORT_BIN") ? "DENORT_BIN is set" : undefined;
Deno.test(
  skipIf(
    isNamed,
    "without denort it names both ways to bring it, and deno task pack; one in the cache is taken",
  ),
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "unmask_compile_" });
    try {
      const env = await bareDeno(folder);
      const output = join(folder, "unmask");
      const missing = await runTask("compile", ["--output", output], { env });
      assertEquals(missing.code, 1);
      const seeded = join(folder, "dl", "release", `v${DENO_VERSION}`);
      const zip = join(seeded, `denort-${Deno.build.target}.zip`);
      for (const named of ["DENORT_BIN", zip, "deno task pack"]) {
        assertStringIncludes(missing.stderr, named);
      }
      assertEquals(
        [...Deno.readDirSync(folder)].filter(({ name }) => /unmask|compile/.test(name)),
        [],
      );
      await Deno.mkdir(seeded, { recursive: true });
      const name = Deno.build.os === "windows" ? "denort.exe" : "denort";
      const denort = await Deno.readFile(Deno.execPath());
      await Deno.writeFile(zip, zipSync({ [name]: denort }, { level: 0 }));
      const { code, stderr } = await runTask("compile", ["--output", output], { env });
      assertEquals(code, 0, stderr);
      const wrong = await runTask("compile", [], {
        env: { ...env, DENORT_BIN: fileURLToPath(root) },
      });
      assertEquals(wrong.code, 1);
      assertStringIncludes(wrong.stderr, "where no file is");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
