/** What `unmask doctor` finds of the GPU: driver, adapter, features, limits, memory, Dawn. */

import { findAdapters } from "../../gpu/adapters.ts";
import {
  acquireGpu,
  type Gpu,
  GpuError,
  noAdapterMessage,
  prepareEnvironment,
} from "../../gpu/device.ts";
import type { DeviceChoice } from "../../gpu/device_choice.ts";
import { runProbe } from "../../gpu/probe.ts";
import { openProvider, type ProviderName } from "../../gpu/provider.ts";
import { binarySize } from "../../model/memory/binary_size.ts";
import { freeHostBytes } from "../../model/memory/host_memory.ts";
import { type Finding, fine, problem, warning } from "./finding.ts";

/** Where Vulkan drivers for Linux are listed. */
const DRIVER_FOLDERS = [
  "/usr/share/vulkan/icd.d",
  "/etc/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
];
/** WebGPU's least limit of a buffer's binding, with which matrices are split into many buffers. */
const SMALL_BINDING = 128 * 2 ** 20;
/** A shader whose result is known. */
const ANSWER = 42;
const ANSWER_SHADER = `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1) fn main() { y[0] = ${ANSWER}u; }`;

/** What was found, and the device, if there is one. */
export interface DeviceFindings {
  readonly findings: readonly Finding[];
  readonly gpu: Gpu | undefined;
}

/** Opens the device that was chosen, and tells how far that went. Never throws for a missing GPU. */
export async function deviceFindings(
  choice: DeviceChoice & { readonly provider: ProviderName },
): Promise<DeviceFindings> {
  // Asked before it is set for the driver.
  const backend = Deno.env.get("DENO_WEBGPU_BACKEND") || undefined;
  prepareEnvironment();
  const findings = [driverFinding()];
  let gpu: Gpu | undefined;
  try {
    const provider = await openProvider(choice.provider, choice.adapter);
    const adapters = await findAdapters(provider.gpu ?? navigator.gpu);
    if (adapters.length === 0) {
      findings.push(noAdapter(backend));
    } else {
      gpu = await acquireGpu({ ...choice, provider: provider.gpu });
      const { identity, name, software } = gpu;
      const list = adapters.map((one) => `${one.index}: ${one.name}`).join("; ");
      const found = adapters.length === 1 ? name : `${name} (of ${list})`;
      findings.push(
        software
          ? warning(
            "adapter",
            found,
            "This computes on the processor, slowly: where there is a GPU, install its vendor's driver.",
          )
          : fine("adapter", found + (identity.includes(name) ? "" : ` (${identity})`)),
      );
      findings.push(await computing(gpu), ...featureFindings(gpu), limitFinding(gpu), memory(gpu));
    }
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    const [found, ...advice] = error.message.split(/(?<=\.)\s/);
    findings.push(
      problem("adapter", found, advice.join(" ") || "Choose another with --adapter or --gpu."),
    );
  }
  findings.push(await dawnFinding(choice));
  return { findings, gpu };
}

/** What the system knows of drivers. Only Linux lists them in files that this program may read. */
function driverFinding(): Finding {
  const what = "driver";
  const { os } = Deno.build;
  if (os !== "linux") {
    return fine(what, os === "darwin" ? "Metal, of macOS" : "Direct3D 12 or Vulkan");
  }
  const drivers = vulkanDrivers();
  if (drivers === undefined) return fine(what, "Vulkan; its list may not be read");
  if (drivers.length > 0) return fine(what, `Vulkan: ${drivers.join(", ")}`);
  return warning(
    what,
    "no Vulkan driver is listed in " + DRIVER_FOLDERS.join(" or "),
    "Install your GPU vendor's driver, or the software one.",
  );
}

/** Names of the installed Vulkan drivers; undefined where none of the lists may be read. */
function vulkanDrivers(): string[] | undefined {
  const drivers = new Set<string>();
  for (const folder of DRIVER_FOLDERS) {
    try {
      for (const { name } of Deno.readDirSync(folder)) {
        if (name.endsWith(".json")) drivers.add(name.replace(/(_icd)?(\.\w+)?\.json$/, ""));
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) return undefined;
    }
  }
  return [...drivers].sort();
}

function noAdapter(backend: string | undefined): Finding {
  const what = "adapter";
  if (backend !== undefined && backend !== "vulkan") {
    return problem(
      what,
      `none, with DENO_WEBGPU_BACKEND=${backend}`,
      "Unset DENO_WEBGPU_BACKEND, or set it to vulkan, metal or dx12 as the system has.",
    );
  }
  const { os } = Deno.build;
  if (os !== "linux" || !vulkanDrivers()?.length) {
    const message = noAdapterMessage(os);
    return problem(what, "none", message.slice(message.indexOf("one. ") + 5));
  }
  return problem(
    what,
    "none, though drivers are installed",
    "Let this user open the GPU (sudo usermod -aG render,video USER), hand it to the container " +
      "(docker run --device /dev/dri, or --gpus all with NVIDIA_DRIVER_CAPABILITIES=all), or " +
      "install the software driver: sudo apt-get install mesa-vulkan-drivers (Fedora: sudo dnf " +
      "install mesa-vulkan-drivers; Arch: sudo pacman -S vulkan-swrast).",
  );
}

async function computing({ device }: Gpu): Promise<Finding> {
  const found = await runProbe(device, { code: ANSWER_SHADER, bytes: 4 });
  return found && new Uint32Array(found)[0] === ANSWER
    ? fine("computing", "a first shader gave the right result")
    : problem(
      "computing",
      "a first shader gave no or a wrong result",
      "Update the graphics driver.",
    );
}

function featureFindings({ features, subgroups, matrixUnits }: Gpu): Finding[] {
  const feature = (what: string, there: boolean, without: string) =>
    there ? fine(what, "yes") : warning(what, "no", `${without}; a newer driver may have it.`);
  return [
    feature(
      "f16",
      features.includes("shader-f16"),
      "Keys and values are kept in f32 and take twice the memory",
    ),
    feature("subgroups", subgroups, "Kernels run in their slower form"),
    feature(
      "timestamps",
      features.includes("timestamp-query"),
      "generate --profile and bench device cannot time kernels",
    ),
    ...matrixUnits ? [fine("matrix units", matrixUnits.shape)] : [],
  ];
}

function limitFinding({ limits }: Gpu): Finding {
  const { maxBufferSize, maxStorageBufferBindingSize: binding } = limits;
  const found = `buffers to ${binarySize(maxBufferSize)}, bindings to ${binarySize(binding)}`;
  return binding >= SMALL_BINDING
    ? fine("limits", found)
    : warning("limits", found, "Large matrices are split into many buffers; update the driver.");
}

function memory(gpu: Gpu): Finding {
  const free = freeHostBytes(gpu);
  if (free !== undefined) return fine("GPU memory", `the host's: ${binarySize(free)} may be used`);
  return fine(
    "GPU memory",
    "not told by WebGPU: unmask info --model DIR says what a model needs, --gpu-memory sets a limit",
  );
}

/** Whether Dawn could compute; it is only started where it is permitted. */
async function dawnFinding({ provider }: { readonly provider: ProviderName }): Promise<Finding> {
  const what = "Dawn";
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    return fine(what, "not permitted here, and not needed: deno task dawn doctor looks at it");
  }
  try {
    const { gpu } = await openProvider("dawn");
    const [first] = await findAdapters(gpu!);
    return fine(what, `starts, on ${first.name}`);
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    const [found, ...advice] = error.message.split(/(?<=\.)\s/);
    const made = provider === "dawn" ? problem : warning;
    return made(what, found, advice.join(" "));
  }
}
