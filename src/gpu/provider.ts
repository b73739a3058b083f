/**
 * Providers of WebGPU: Deno itself, or Dawn, Chromium's implementation, from the npm package
 * `webgpu`. Only Dawn supports matrix units; it is only loaded when it is asked for.
 */

import { acquireGpu, GpuError, keepProvider, prepareEnvironment } from "./device.ts";
import { slowDawnPolling } from "./dawn_polling.ts";

/**
 * `native`: Deno's own WebGPU. `dawn`: the npm package `webgpu`. `auto`: dawn if its adapter has
 * matrix units that kernels use, else native. Dawn needs `--allow-ffi`.
 */
export type ProviderName = "native" | "dawn" | "auto";

/** Names of the providers. */
export const PROVIDERS: readonly ProviderName[] = ["native", "dawn", "auto"];

/** The provider that was chosen. */
export interface Provider {
  readonly name: Exclude<ProviderName, "auto">;
  /** Provider for `acquireGpu`; undefined for Deno's own. */
  readonly gpu: GPU | undefined;
  /** Why `auto` chose this provider. */
  readonly reason?: string;
}

/**
 * The Dawn package. It is neither a literal in `import()` nor among deno.json's imports, because then
 * every user would download its 51 MB at the first start. deno.lock holds its checksum.
 */
export const DAWN_PACKAGE = "npm:webgpu@0.6.2";

/**
 * Options of Dawn: they allow unsafe features, which matrix units are while they are experimental,
 * f16 on NVIDIA, which Dawn hides, and timestamps in finer steps than 0.1 ms.
 */
const DAWN_OPTIONS: readonly string[] = [
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  "disable-dawn-features=timestamp_quantization",
];

const DAWN_PERMISSION =
  "Dawn is a native library, which this program is not permitted to load. Use `deno task dawn` " +
  "instead of `deno task unmask`, or add --allow-ffi to `deno run`; --gpu native needs neither.";

/**
 * Starts Dawn.
 * @param options further options for the package's `create`, such as `backend=null`
 * @throws {GpuError} when Dawn is not permitted, or cannot be downloaded or loaded
 */
export async function startDawn(options: readonly string[] = []): Promise<GPU> {
  // Checked first, because an import without the permission would still download the package.
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    throw new GpuError(DAWN_PERMISSION, { cause: new Deno.errors.NotCapable("ffi") });
  }
  prepareEnvironment();
  try {
    slowDawnPolling();
    const { create } = await import(DAWN_PACKAGE) as { create(options: string[]): GPU };
    return keepProvider(create([...DAWN_OPTIONS, ...options]));
  } catch (error) {
    throw new GpuError(
      `Dawn could not be loaded: ${(error as Error).message}\nIt comes with the npm package ` +
        "webgpu, for 64-bit Linux, macOS and Windows, and is downloaded when it is first used. Use " +
        "--gpu native.",
      { cause: error },
    );
  }
}

/** A line for the user about what `auto` chose, and why; undefined where the user chose. */
export function providerLine({ name, reason }: Provider): string | undefined {
  if (reason === undefined) return undefined;
  // A reason may be a whole message, of several lines.
  const [first] = reason.split("\n");
  return `--gpu auto: ${name === "dawn" ? "Dawn" : "Deno's own WebGPU"} computes. Why: ${first}`;
}

/** The message for a machine on which Dawn starts but finds no adapter. */
export function noDawnAdapterMessage(os: string): string {
  const driver = os === "linux"
    ? "It needs a newer Vulkan driver than Deno does: Mesa 22.3 (Debian 12) is too old, 25.0 is " +
      "new enough (there: sudo apt-get install -t bookworm-backports mesa-vulkan-drivers)."
    : "Update the graphics driver.";
  return `Dawn found no GPU adapter that it can use. ${driver} Or use --gpu native.`;
}

/**
 * Opens a provider.
 * @param wanted adapter that was asked for, as `acquireGpu` takes it
 * @param start function that starts Dawn
 * @throws {GpuError} saying what to do: for `dawn` when it cannot be loaded or finds no adapter, for
 * `auto` only when the program is not permitted to load it
 */
export async function openProvider(
  name: ProviderName,
  wanted?: string,
  start: () => Promise<GPU> = startDawn,
): Promise<Provider> {
  if (name === "native") return { name, gpu: undefined };
  try {
    const gpu = await start();
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new GpuError(noDawnAdapterMessage(Deno.build.os));
    if (name === "dawn") return { name, gpu };
    // A device is asked, because what an adapter lists is tried on one.
    using tried = await acquireGpu({ provider: gpu, adapter: wanted });
    const { matrixUnits, noMatrixUnits, name: adapterName } = tried;
    return matrixUnits
      ? { name: "dawn", gpu, reason: `its matrix units multiply ${matrixUnits.shape}` }
      : { name: "native", gpu: undefined, reason: `Dawn on ${adapterName}: ${noMatrixUnits}` };
  } catch (error) {
    const forbidden = error instanceof GpuError && error.cause instanceof Deno.errors.NotCapable;
    if (name === "dawn" || forbidden || !(error instanceof GpuError)) throw error;
    return { name: "native", gpu: undefined, reason: error.message };
  }
}
