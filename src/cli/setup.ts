/**
 * Makes sure that there is a GPU adapter, before the commands that need one:
 *
 *     setup.ts install || setup.ts verify
 *
 * `install` exits with 0 and prints nothing if it finds an adapter. Otherwise it installs the
 * software driver if it may, and exits with 1. A process that has looked for drivers does not see
 * new ones, so `verify` looks again in a second process, and explains what to do if there is still
 * no adapter.
 */

import { acquireGpu, GpuError, noAdapterMessage } from "../gpu/device.ts";

const PACKAGE = "mesa-vulkan-drivers";
/** Seconds apt waits for its lock: a machine that has just started may be installing updates. */
const WAIT_FOR_LOCK = "DPkg::Lock::Timeout=120";

/** The name of the GPU adapter, or undefined if there is none. */
async function findAdapter(): Promise<string | undefined> {
  try {
    using gpu = await acquireGpu();
    return gpu.name;
  } catch (error) {
    if (error instanceof GpuError) return undefined;
    throw error;
  }
}

/** Installs the software driver if this process can: as root, with apt. */
async function installDriver(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || !await runs(["--version"])) return;
  console.error(`unmask: no GPU adapter found; installing the software driver ${PACKAGE} with apt`);
  await runs(["update"], true);
  const options = ["--yes", "--no-install-recommends", "-o", WAIT_FOR_LOCK];
  if (await runs(["install", ...options, PACKAGE], true)) {
    console.error(`unmask: installed ${PACKAGE}`);
  }
}

/** Whether apt-get exists and succeeds. With `tell`, prints its output if it fails. */
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
