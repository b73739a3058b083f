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
  { provider }: Pick<DeviceChoice, "provider">,
  onProvider?: (line: string) => void,
): Promise<GPU | undefined> {
  if (typeof provider !== "string") return provider;
  const opened = await openProvider(provider);
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
  const { rowForm } = choice;
  return await acquireGpu({ ...options, provider: await openChoice(choice, onProvider), rowForm });
}
