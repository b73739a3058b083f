/** What users choose of a device, carried as one value from a command or a program to the device. */

import { acquireGpu, type Gpu, type GpuOptions } from "./device.ts";
import { openProvider, type ProviderName } from "./provider.ts";
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
 * Acquires the device that was chosen.
 * @throws {GpuError} when the provider does not start or there is no adapter; it says what to do
 */
export async function openGpu(
  { provider, rowForm }: DeviceChoice,
  options: Omit<GpuOptions, keyof DeviceChoice> = {},
): Promise<Gpu> {
  return await acquireGpu({
    ...options,
    provider: typeof provider === "string" ? (await openProvider(provider)).gpu : provider,
    rowForm,
  });
}
