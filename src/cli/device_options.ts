/** Options that choose the GPU, for every command that opens one. */

import { type Command, Option } from "commander";
import type { Gpu, GpuOptions } from "../gpu/device.ts";
import { type DeviceChoice, openGpu } from "../gpu/device_choice.ts";
import { type ProviderName, PROVIDERS } from "../gpu/provider.ts";
import { ROW_FORMS, type RowForm } from "../gpu/row_form.ts";

/** Values of the options of {@linkcode addDeviceOptions} as commander parses them. */
export interface DeviceFlags {
  readonly gpu: ProviderName;
  readonly adapter?: string;
  readonly kernelForm?: RowForm;
}

/** Adds `--gpu NAME`, `--adapter NAME` and `--kernel-form NAME`. */
export function addDeviceOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--gpu <name>", "Deno's own WebGPU, Dawn, or Dawn where it has matrix units")
        .choices(PROVIDERS).default("native"),
    )
    .option("--adapter <name>", "GPU adapter, by name or index: unmask info lists them")
    .addOption(
      new Option(
        "--kernel-form <name>",
        "how rows come to a kernel's lanes: read by all at one address, or exchanged " +
          "(default: as suits the adapter; unmask info says which)",
      ).choices(ROW_FORMS),
    );
}

/** A device as the options name it; plain values, which can be sent to a Worker. */
export interface NamedDevice {
  readonly provider: ProviderName;
  readonly adapter?: string;
  readonly rowForm?: RowForm;
}

/** The device that the options choose. */
export function deviceOf({ gpu, adapter, kernelForm }: DeviceFlags): NamedDevice {
  return { provider: gpu, adapter, rowForm: kernelForm };
}

/** Prints which provider `--gpu auto` chose, and why, where it does not mix with results. */
export function tellProvider(line: string): void {
  console.error(line);
}

/** Acquires a device, and says what `--gpu auto` chose. */
export async function openDevice(
  choice: DeviceChoice,
  options: Omit<GpuOptions, keyof DeviceChoice> = {},
): Promise<Gpu> {
  return await openGpu(choice, { ...options, onProvider: tellProvider });
}
