/** A cache folder of their own for the commands that tests run: what `unmask tune` found for the tester stays out. */

import { join } from "node:path";

const system = Deno.env.get("XDG_CACHE_HOME") ?? join(Deno.env.get("HOME") ?? "", ".cache");
const folder = Deno.makeTempDirSync({ prefix: "unmask_test_cache_" });
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** Deno's own folder stays where it is: packages are not downloaded again. */
function denoDir(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

/** Variables that name the folder. Mesa's compiled shaders stay where they are, too. */
export const OWN_CACHE: Readonly<Record<string, string>> = {
  ...Deno.build.os === "windows"
    ? { LOCALAPPDATA: folder }
    : Deno.build.os === "darwin"
    ? { HOME: folder }
    : { XDG_CACHE_HOME: folder, MESA_SHADER_CACHE_DIR: system },
  DENO_DIR: Deno.env.get("DENO_DIR") ?? denoDir(),
};
