/** `unmask bench device`: what to expect of a device, within a few minutes. */

import { VERSION } from "../engine/version.ts";
import type { AccuracyItem } from "../evaluate/accuracy.ts";
import type { Gpu } from "../gpu/device.ts";
import type { ProviderName } from "../gpu/provider.ts";
import { chosenRowForm, type RowForm } from "../gpu/row_form.ts";
import { freeHostBytes } from "../model/memory/host_memory.ts";
import type { WeightChoice } from "../model/memory/plan_request.ts";
import { type Acceptance, type AutoRun, measureAcceptance } from "./acceptance.ts";
import { Budget } from "./budget.ts";
import { measureCeilings } from "./ceilings.ts";
import type { AdapterReport, DeviceReport, SchemeReport } from "./device_report.ts";
import { printAdapter, printCeilings, printSummary, printTimings } from "./device_tables.ts";
import { cacheSpeeds, tokensPerSecond } from "./expected_speed.ts";
import { floorsOf, higherCeilings, type PassCeilings, passCeilings } from "./floors.ts";
import type { ModelSource } from "./model_source.ts";
import { type ShowProgress, SILENT } from "./progress.ts";
import { type SchemeTiming, timeScheme } from "./scheme_timing.ts";

/** Share of the time that measuring the acceptance may take. */
const ACCEPTANCE_SHARE = 0.15;

/** Share of the time that may be kept for measuring the ceilings again. */
const MOST_KEPT = 0.2;

/** Options of the device bench. */
export interface DeviceBenchOptions {
  /** Models; the first of which a scheme can be loaded is timed. */
  readonly sources: readonly ModelSource[];
  /** Minutes after which nothing more is begun. */
  readonly minutes: number;
  /** Bytes of GPU memory that may be used; default: what a software adapter's host has free. */
  readonly gpuMemory?: number;
  /** Layers to load; the times of all are scaled from them. */
  readonly layers?: number;
  /** The form that was asked for, if any. */
  readonly rowForm?: RowForm;
  /** Tokens per forward pass, or where to measure them. */
  readonly acceptance: Acceptance | {
    readonly place: string;
    readonly prompts: readonly AccuracyItem[];
    readonly provider?: ProviderName;
    readonly adapter?: string;
  };
  /** The device's ceilings, if they are known; default: measured before and after the passes. */
  readonly ceilings?: PassCeilings;
  readonly progress?: ShowProgress;
}

/**
 * Measures a device's ceilings and a model's passes in each scheme that fits, and prints what to expect.
 * Every model is freed before the next is loaded.
 * @throws {GpuFaultError} when the device fails
 */
export async function benchDevice(gpu: Gpu, options: DeviceBenchOptions): Promise<DeviceReport> {
  const { minutes, rowForm, progress = SILENT } = options;
  const budget = new Budget(minutes);
  const memoryNow = () => options.gpuMemory ?? freeHostBytes(gpu);
  const adapter = describeAdapter(gpu, rowForm, memoryNow());
  printAdapter(adapter);
  const before = options.ceilings ?? passCeilings(await measureCeilings(gpu));
  const ceilingSeconds = budget.spentSeconds;
  // They are measured again at the end.
  if (!options.ceilings) budget.keep(Math.min(2 * ceilingSeconds, MOST_KEPT * budget.leftSeconds));
  printCeilings("ceilings", before);

  const { acceptance, auto, leftOut } = await acceptanceOf(options, budget, progress);
  let source = options.sources[0];
  let timings: SchemeTiming[] = [];
  for (const candidate of options.sources) {
    leftOut.push(...timings.flatMap((one) => one.leftOut.map((line) => `${source.name}, ${line}`)));
    source = candidate;
    timings = [];
    for (const [i, weights] of source.choices.entries()) {
      timings.push(
        await timeScheme(gpu, source, weights, {
          ceilings: before,
          budget,
          schemesLeft: source.choices.length - i,
          memoryBytes: memoryNow(),
          layers: options.layers,
          progress,
        }),
      );
    }
    if (timings.some(({ fits }) => fits !== false)) break;
  }
  budget.keep(0);
  let ceilings = before;
  if (!options.ceilings) {
    const lacking = budget.lacks(ceilingSeconds);
    if (lacking) leftOut.push(`ceilings: not measured again: ${lacking}`);
    else {
      ceilings = higherCeilings(before, passCeilings(await measureCeilings(gpu)));
      printCeilings("ceilings, the higher of before and after", ceilings);
    }
  }
  const schemes = timings.map((timing) => speedsOf(timing, ceilings, acceptance));
  const report: DeviceReport = {
    version: VERSION,
    date: new Date().toISOString(),
    processors: navigator.hardwareConcurrency,
    adapter,
    ...ceilings,
    acceptance: acceptance ?? null,
    auto,
    model: { name: source.name, layers: source.config.layers },
    schemes,
    autoWeights: autoWeights(schemes),
    leftOut: [...leftOut, ...schemes.flatMap((scheme) => scheme.leftOut)],
    minutesAllowed: minutes,
    secondsSpent: budget.spentSeconds,
  };
  printTimings(report);
  printSummary(report);
  return report;
}

function describeAdapter(
  gpu: Gpu,
  rowForm: RowForm | undefined,
  memoryBytes: number | undefined,
): AdapterReport {
  const { limits } = gpu;
  const { form, reason } = chosenRowForm(gpu.software, rowForm);
  return {
    name: gpu.name,
    identity: gpu.identity,
    software: gpu.software,
    kernelForm: form,
    kernelFormReason: reason,
    subgroups: gpu.subgroups,
    matrixUnits: gpu.matrixUnits?.shape ?? null,
    features: gpu.features,
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    workgroupMemoryBytes: limits.maxComputeWorkgroupStorageSize,
    memoryBytes: memoryBytes ?? null,
  };
}

/** The acceptance that was given, or measures it in its share of the time. */
async function acceptanceOf(
  { acceptance: asked, rowForm }: DeviceBenchOptions,
  budget: Budget,
  progress: ShowProgress,
): Promise<{ acceptance?: Acceptance; auto: readonly AutoRun[]; leftOut: string[] }> {
  if (!("place" in asked)) return { acceptance: asked, auto: [], leftOut: [] };
  const lacking = budget.lacks(1);
  if (lacking) return { auto: [], leftOut: [`acceptance: not measured: ${lacking}`] };
  const { place, prompts, provider, adapter } = asked;
  const measured = await measureAcceptance(place, prompts, {
    provider,
    adapter,
    rowForm,
    until: budget.endOfShare(1 / ACCEPTANCE_SHARE),
    progress,
  });
  return { ...measured, leftOut: [] };
}

function speedsOf(
  timing: SchemeTiming,
  ceilings: PassCeilings,
  acceptance: Acceptance | undefined,
): SchemeReport {
  const { passes } = timing;
  return {
    ...timing,
    passes: passes.map((pass) => {
      const floors = floorsOf(pass, ceilings);
      return {
        ...pass,
        ...floors,
        shareOfFloor: floors.floorMilliseconds / pass.passMilliseconds,
        tokensPerSecondOneAPass: tokensPerSecond(pass, 1, passes) ?? null,
        tokensPerSecondAtAcceptance: acceptance
          ? tokensPerSecond(pass, acceptance.tokensPerForward, passes) ?? null
          : null,
      };
    }),
    cacheSpeeds: acceptance ? cacheSpeeds(passes, acceptance.tokensPerForward) : [],
  };
}

/** The largest that fits; null where a larger one is not known to fit or not to. */
function autoWeights(schemes: readonly SchemeReport[]): WeightChoice | null {
  const first = schemes.find(({ fits }) => fits !== false);
  return first?.fits ? first.weights : null;
}
