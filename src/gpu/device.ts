/** Acquires a GPU from a provider. Features are found by trying them, not by reading a list. */

import { adapterIdentity, adapterName, isSoftware, requestAdapter } from "./adapters.ts";
import { multipliesMatrices } from "./matrix_probe.ts";
import {
  MATRIX_FEATURE,
  type MatrixUnits,
  matrixUnitsOf,
  SIZE_FEATURE,
  whyNoMatrixUnits,
} from "./matrix_units.ts";
import { runProbe } from "./probe.ts";
import { chosenRowForm, type RowForm } from "./row_form.ts";
import subgroupProbe from "../../shaders/lib/subgroup_probe.wgsl" with { type: "text" };

/** The error of a GPU that is missing, too small or failed; the message says what to do. */
export class GpuError extends Error {
  /** An error with a message for the user. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GpuError";
  }
}

/** The error of a lost or faulty device. It is unusable; what it holds must be loaded again. */
export class GpuFaultError extends GpuError {
  /** An error with a message for the user. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "GpuFaultError";
  }
}

/** The error of GPU memory that ran out; work that needs no more memory can go on. */
export class GpuMemoryError extends GpuError {
  /** An error with a message for the user. */
  constructor(message: string) {
    super(message);
    this.name = "GpuMemoryError";
  }
}

/** Options of `acquireGpu`. */
export interface GpuOptions {
  /** Any object with the `GPU` interface; default Deno's own `navigator.gpu`. */
  readonly provider?: GPU;
  /** Index or name of an adapter, as `chosenAdapter` takes it (default: the fastest). */
  readonly adapter?: string;
  /** False to run kernels without subgroups, even if the adapter has them. */
  readonly subgroups?: boolean;
  /** How rows come to lanes (default: as {@linkcode chosenRowForm} decides). */
  readonly rowForm?: RowForm;
  /** False to run kernels without matrix units, even if the adapter has them. */
  readonly matrixUnits?: boolean;
  /**
   * Told true before the thread may stand still for long, for the GPU or for a driver that compiles,
   * and false afterwards.
   */
  readonly onWait?: (waits: boolean) => void;
}

/** A device, and its properties. */
export interface Gpu extends Disposable {
  readonly device: GPUDevice;
  /** Name of the adapter, from the driver. */
  readonly name: string;
  /** Vendor, architecture, device and description, by which the provider distinguishes adapters. */
  readonly identity: string;
  /** Limits in force on the device. */
  readonly limits: GPUSupportedLimits;
  /** Whether kernels exchange rows within a subgroup; found by running a probe. */
  readonly subgroups: boolean;
  /** How rows come to lanes, in kernels that have both forms. */
  readonly rowForm: RowForm;
  /** Matrix units that linear layers use; undefined if there are none. */
  readonly matrixUnits: MatrixUnits | undefined;
  /** Why there are none, where the provider knows of matrix units. */
  readonly noMatrixUnits?: string;
  /** Granted optional features. */
  readonly features: readonly GpuFeature[];
  /** As in {@linkcode GpuOptions}. */
  readonly onWait?: (waits: boolean) => void;
  /** Whether the provider is Deno's own WebGPU. */
  readonly native: boolean;
  /** Whether the adapter computes on the host, in the host's memory. */
  readonly software: boolean;
  /** Directives that a shader must begin with to use the features. */
  readonly directives: string;
  /**
   * @throws {GpuFaultError} when the device reported an error or was lost since it was made
   * @throws {GpuMemoryError} when memory ran out since {@linkcode forgetOutOfMemory}
   */
  throwIfFaulty(): void;
  /**
   * Clears the out-of-memory state. Call it once everything that used the failed buffer is freed.
   */
  forgetOutOfMemory(): void;
  /** @throws {GpuError} naming the limit, when a buffer of this size cannot be made or bound */
  checkBufferSize(label: string, bytes: number): void;
}

/** Optional features that kernels or the profiler use; both also work without them. */
export const OPTIONAL_FEATURES = ["subgroups", "shader-f16", "timestamp-query"] as const;
/** Features that matrix units need; only providers other than Deno's own have them. */
const MATRIX_FEATURES = [MATRIX_FEATURE, SIZE_FEATURE] as const;
/** A feature to ask for. */
export type GpuFeature = typeof OPTIONAL_FEATURES[number] | typeof MATRIX_FEATURES[number];

/** Directive that a shader needs to use a feature. */
const DIRECTIVES: Readonly<Partial<Record<GpuFeature, string>>> = {
  "subgroups": "subgroups",
  "shader-f16": "f16",
  [MATRIX_FEATURE]: "chromium_experimental_subgroup_matrix",
  [SIZE_FEATURE]: "subgroup_size_control",
};

/** The directives that the device's compiler accepts: Deno's refuses one that Dawn needs. */
async function directivesFor(
  device: GPUDevice,
  features: readonly GpuFeature[],
): Promise<string> {
  let directives = "";
  for (const feature of features) {
    const name = DIRECTIVES[feature];
    if (name === undefined) continue;
    const directive = `enable ${name}; `;
    device.pushErrorScope("validation");
    device.createShaderModule({ code: `${directive}@compute @workgroup_size(1) fn main() {}` });
    if (!await device.popErrorScope()) directives += directive;
  }
  return directives;
}

const PROBE_LANES = 32;
/** The kernels exchange rows among the first eight lanes of each subgroup. */
const LEAST_SUBGROUP_SIZE = 8;

/** Commands that install a driver on Linux if no adapter is found. */
export const VULKAN_DRIVER_COMMANDS: Readonly<Record<string, string>> = {
  "Debian/Ubuntu": "sudo apt-get install mesa-vulkan-drivers",
  "Fedora": "sudo dnf install mesa-vulkan-drivers",
  "Arch": "sudo pacman -S vulkan-swrast",
};

/** The message for a machine without an adapter. */
export function noAdapterMessage(os: string): string {
  const driver = os === "linux"
    ? "No Vulkan driver was found. Install your GPU vendor's driver, or the software one:\n" +
      Object.entries(VULKAN_DRIVER_COMMANDS).map(([system, command]) => `  ${system}: ${command}`)
        .join("\n")
    : "Update the graphics driver; macOS needs Metal, Windows needs Direct3D 12.";
  return `No GPU adapter: this program computes on WebGPU and needs one. ${driver}`;
}

/** Sets environment variables for drivers. Call it before the first adapter is requested. */
export function prepareEnvironment(): void {
  if (Deno.build.os !== "linux") return;
  // Without a Vulkan driver Deno may return a GL adapter that lacks features the kernels need.
  if (!Deno.env.get("DENO_WEBGPU_BACKEND")) Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
  // libwayland prints a complaint when the variable is missing.
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
}

const kept = new Set<GPU>();

/**
 * Keeps a provider alive: if Dawn is garbage-collected, the process crashes when a promise settles.
 */
export function keepProvider(provider: GPU): GPU {
  kept.add(provider);
  return provider;
}

/** Where a device is requested: each request takes an adapter of its own. */
interface Place {
  readonly provider: GPU;
  readonly wanted: string | undefined;
}

async function requestDevice({ provider, wanted }: Place, features: readonly GpuFeature[]) {
  const adapter = await requestAdapter(provider, wanted);
  if (typeof adapter === "string") throw new GpuError(adapter);
  if (!adapter) throw new GpuError(noAdapterMessage(Deno.build.os));
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: features as GPUFeatureName[],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      minUniformBufferOffsetAlignment: limits.minUniformBufferOffsetAlignment,
      minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
    },
  });
  return { adapter, device };
}

async function requestWithFeatures(place: Place, native: boolean) {
  const wanted: readonly GpuFeature[] = native
    ? OPTIONAL_FEATURES
    : [...OPTIONAL_FEATURES, ...MATRIX_FEATURES];
  try {
    const granted = wanted;
    return { ...await requestDevice(place, granted), granted };
  } catch (error) {
    if (error instanceof GpuError) throw error;
  }
  const granted: GpuFeature[] = [];
  for (const feature of wanted) {
    try {
      (await requestDevice(place, [feature])).device.destroy();
      granted.push(feature);
    } catch (error) {
      if (error instanceof GpuError) throw error;
    }
  }
  return { ...await requestDevice(place, granted), granted };
}

/** Runs the exchange that the kernels rely on and compares every lane's result. */
async function exchangesRows(device: GPUDevice, directives: string): Promise<boolean> {
  const code = directives + subgroupProbe;
  const found = await runProbe(device, { code, bytes: 4 * PROBE_LANES });
  const expected = Array.from({ length: LEAST_SUBGROUP_SIZE }, (_, i) => i)
    .reduce((sum, i) => sum * 10 + i + 1, 0);
  return found !== undefined && new Uint32Array(found).every((value) => value === expected);
}

/** The matrix units of a device, tried; or why kernels use none. */
async function findMatrixUnits(
  { info }: GPUAdapter,
  device: GPUDevice,
  granted: readonly GpuFeature[],
  directives: string,
): Promise<Pick<Gpu, "matrixUnits" | "noMatrixUnits">> {
  const none = (noMatrixUnits: string) => ({ matrixUnits: undefined, noMatrixUnits });
  if (!granted.includes(MATRIX_FEATURE)) return none("it lists no matrix units");
  if (!granted.includes("shader-f16")) return none("matrix units need shader-f16");
  const asked = [info, device.limits, granted.includes(SIZE_FEATURE)] as const;
  const matrixUnits = matrixUnitsOf(...asked);
  if (!matrixUnits) return none(whyNoMatrixUnits(...asked)!);
  return await multipliesMatrices(device, directives, matrixUnits)
    ? { matrixUnits }
    : none(`its matrix units, ${matrixUnits.shape}, multiply wrongly or not at all`);
}

/**
 * Acquires a device with the adapter's full limits.
 * @throws {GpuError} when there is no adapter, naming the driver to install, or none of that name,
 * listing those there are
 */
export async function acquireGpu(options: GpuOptions = {}): Promise<Gpu> {
  prepareEnvironment();
  const provider = options.provider ?? navigator.gpu;
  const native = provider === navigator.gpu;
  if (!provider) throw new GpuError(noAdapterMessage(Deno.build.os));
  keepProvider(provider);
  const { adapter, device, granted } = await requestWithFeatures(
    { provider, wanted: options.adapter },
    native,
  );

  let fault: string | undefined;
  let outOfMemory: string | undefined;
  let closed = false;
  device.addEventListener("uncapturederror", (event) => {
    event.preventDefault?.();
    const { error } = event as GPUUncapturedErrorEvent;
    // Compared by name, because another provider has its own classes. Errors that follow from a
    // buffer that could not be made are not separate faults.
    if (error.constructor.name === "GPUOutOfMemoryError") outOfMemory ??= error.message;
    else if (outOfMemory === undefined) fault ??= error.message;
  });
  device.lost.then((info) => {
    if (!closed) fault ??= `the device was lost (${info.reason}): ${info.message}`;
  });

  const directives = await directivesFor(device, granted);
  const subgroups = options.subgroups !== false && granted.includes("subgroups") &&
    (adapter.info?.subgroupMinSize ?? 0) >= LEAST_SUBGROUP_SIZE &&
    await exchangesRows(device, directives);
  const units = native || options.matrixUnits === false
    ? { matrixUnits: undefined }
    : await findMatrixUnits(adapter, device, granted, directives);
  const { limits } = device;
  const name = adapterName(adapter);
  const software = isSoftware(adapter);
  return {
    device,
    name,
    identity: adapterIdentity(adapter),
    limits,
    subgroups,
    rowForm: chosenRowForm(software, options.rowForm).form,
    ...units,
    features: granted,
    onWait: options.onWait,
    native,
    software,
    directives,
    throwIfFaulty() {
      if (fault) throw new GpuFaultError(`GPU error on ${name}: ${fault}`);
      if (outOfMemory) throw new GpuMemoryError(`${name} is out of memory: ${outOfMemory}`);
    },
    forgetOutOfMemory() {
      outOfMemory = undefined;
    },
    checkBufferSize(label, bytes) {
      for (const limit of ["maxBufferSize", "maxStorageBufferBindingSize"] as const) {
        if (bytes > limits[limit]) {
          throw new GpuError(
            `${label} needs ${bytes} bytes in one buffer, ${name} allows ${limits[limit]} ` +
              `(${limit}).`,
          );
        }
      }
    },
    [Symbol.dispose]() {
      closed = true;
      device.destroy();
    },
  };
}
