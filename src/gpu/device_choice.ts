/** What users choose of a device, carried as one value from a command or a program to the device. */

import { acquireGpu, type Gpu, type GpuOptions } from "./device.ts";
import { openProvider, providerLine, type ProviderName } from "./provider.ts";
import type { RowForm } from "./row_form.ts";

/** A choice of the WebGPU to compute with, and of how its kernels compute. */
export interface DeviceChoice {
  /**
   * The WebGPU to compute with: Deno's own (default), Dawn, or any object with the `GPU` interface,
   * such as `navigator.gpu` or one from another package.
   */
  readonly provider?: ProviderName | GPU;
  /**
   * Index or name of the adapter, or a part of its name (default: the fastest). `unmask info` lists
   * them.
   */
  readonly adapter?: string;
  /** How rows come to the lanes of kernels that have both forms (default: as suits the adapter). */
  readonly rowForm?: RowForm;
}

/**
 * Opens the provider that was chosen.
 * @param onProvider told in one line which provider `auto` chose, and why
 * @returns the object for `acquireGpu`; undefined for Deno's own
 * @throws {GpuError} when the provider does not start; it says what to do
 */
export async function openChoice(
  { provider, adapter }: Pick<DeviceChoice, "provider" | "adapter">,
  onProvider?: (line: string) => void,
): Promise<GPU | undefined> {
  if (typeof provider !== "string") return provider;
  const opened = await openProvider(provider, adapter);
  const line = providerLine(opened);
  if (line !== undefined) onProvider?.(line);
  return opened.gpu;
}

/**
 * Acquires the device that was chosen.
 * @param options.onProvider as for {@linkcode openChoice}
 * @throws {GpuError} when the provider does not start or there is no adapter; it says what to do
 */
export async function openGpu(
  choice: DeviceChoice,
  { onProvider, ...options }: Omit<GpuOptions, keyof DeviceChoice> & {
    readonly onProvider?: (line: string) => void;
  } = {},
): Promise<Gpu> {
  const { adapter, rowForm } = choice;
  const provider = await openChoice(choice, onProvider);
  return await acquireGpu({ ...options, provider, adapter, rowForm });
}
