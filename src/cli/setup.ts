/**
 * Makes sure that there is a GPU adapter, before the commands that need one:
 *
 *     setup.ts install || setup.ts verify
 *
 * `install` exits with 0, and silently, where an adapter is found. Elsewhere it installs the software
 * driver if it may, and exits with 1: a process that has looked for drivers once does not see new
 * ones, so `verify` looks in a process of its own, and tells what to do if there is none still.
 */

import { acquireGpu, GpuError, noAdapterMessage } from "../gpu/device.ts";

const PACKAGE = "mesa-vulkan-drivers";
/** A machine that has just been started may be installing updates: seconds to wait for that. */
const WAIT_FOR_LOCK = "DPkg::Lock::Timeout=120";

/** Name of the adapter, or undefined. */
async function findAdapter(): Promise<string | undefined> {
  try {
    using gpu = await acquireGpu();
    return gpu.name;
  } catch (error) {
    if (error instanceof GpuError) return undefined;
    throw error;
  }
}

/** Installs the software driver where this process may: as root, with apt. */
async function installDriver(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || !await runs(["--version"])) return;
  console.error(`unmask: no GPU adapter found; installing the software driver ${PACKAGE} with apt`);
  await runs(["update"], true);
  const options = ["--yes", "--no-install-recommends", "-o", WAIT_FOR_LOCK];
  if (await runs(["install", ...options, PACKAGE], true)) {
    console.error(`unmask: installed ${PACKAGE}`);
  }
}

/** Whether apt-get is there and succeeds; if asked to, tells what it printed when it did not. */
async function runs(args: readonly string[], tell = false): Promise<boolean> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("apt-get", {
      args: [...args],
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
    }).output();
    if (!success && tell) {
      const printed = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
      console.error(`${printed.trimEnd()}\nunmask: apt-get ${args.join(" ")} failed`);
    }
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return false;
    }
    throw error;
  }
}

const [step] = Deno.args;
if (step !== "install" && step !== "verify") {
  console.error("usage: setup.ts install || setup.ts verify");
  Deno.exit(2);
}
const adapter = await findAdapter();
if (adapter === undefined) {
  if (step === "install") await installDriver();
  else console.error(`unmask: ${noAdapterMessage(Deno.build.os)}`);
  Deno.exit(1);
}
if (step === "verify") console.error(`unmask: found ${adapter}`);
