/** What `unmask bench device` prints. */

import { binarySize } from "../model/memory/binary_size.ts";
import type { AdapterReport, DeviceReport, PassReport, SchemeReport } from "./device_report.ts";
import type { PassCeilings } from "./floors.ts";
import { passName } from "./pass_timing.ts";
import { FittedTable } from "./fitted_table.ts";

/** Prints the adapter, before anything is measured. */
export function printAdapter(adapter: AdapterReport): void {
  const { identity, kernelForm, kernelFormReason, memoryBytes } = adapter;
  const table = new FittedTable();
  table.push(
    ["adapter", adapter.name],
    ["driver says", identity],
    [
      "kernels",
      `${adapter.subgroups ? "with" : "without"} subgroups, rows ${kernelForm}: ` +
      kernelFormReason,
    ],
    ["matrix units", adapter.matrixUnits ?? "none"],
    ["features", adapter.features.join(", ") || "none"],
    [
      "memory",
      (memoryBytes === null
        ? "not told by the driver; --gpu-memory sets a limit"
        : `${binarySize(memoryBytes)} may be used`) +
      `; buffers to ${binarySize(adapter.maxBufferBytes)}, ` +
      `bindings to ${binarySize(adapter.maxBindingBytes)}, ` +
      `${binarySize(adapter.workgroupMemoryBytes)} a workgroup`,
    ],
  );
  console.log(`${table}`);
}

/** Prints the ceilings. */
export function printCeilings(
  title: string,
  { multiplyAddGflopPerSecond: rates, copyGigabytesPerSecond }: PassCeilings,
): void {
  const texts = Object.entries(rates)
    .map(([arithmetic, rate]) => `${rate.toFixed(1)} in ${arithmetic}`);
  console.log(
    `${title}: multiply-add ${texts.join(", ")} GFLOP/s` +
      `${rates.f16 ? "" : " (no f16: the device lacks shader-f16)"}; ` +
      `copy ${copyGigabytesPerSecond.toFixed(1)} GB/s, read and written`,
  );
}

/** Prints the times of all passes. */
export function printTimings({ model, schemes, acceptance, adapter }: DeviceReport): void {
  const timed = schemes.filter(({ passes }) => passes.length > 0);
  if (timed.length === 0) return;
  const table = new FittedTable({
    head: [
      model.name,
      "pass",
      "ms",
      "floor, ms",
      "bound by",
      "of floor",
      "tokens/s, 1 a pass",
      ...acceptance ? [`tokens/s, ${acceptance.tokensPerForward.toFixed(2)} a pass`] : [],
    ],
  });
  for (const scheme of timed) {
    for (const [i, pass] of scheme.passes.entries()) {
      table.push([
        i === 0 ? schemeText(scheme) : "",
        passName(pass),
        milliseconds(pass.passMilliseconds),
        milliseconds(pass.floorMilliseconds),
        pass.bound,
        `${(100 * pass.shareOfFloor).toFixed(0)}%`,
        ...speeds(pass, acceptance !== null),
      ]);
    }
  }
  console.log(`${table}`);
  const runs = timed.flatMap(({ passes }) => passes.map((pass) => pass.runs));
  const [fewest, most] = [Math.min(...runs), Math.max(...runs)];
  console.log(
    `Medians of ${fewest === most ? most : `${fewest} to ${most}`} runs, after one to warm up.`,
  );
  console.log(
    "A floor is the time to move all weights (and kept keys) once at the rate of a copy, or to do " +
      "all operations at the f32 multiply-add rate, whichever is longer. A block's tokens/s pay for " +
      "its first pass, over all positions.",
  );
  if (timed.some(({ passes }) => passes.some(({ shareOfFloor }) => shareOfFloor > 1))) {
    console.log(
      "Above 100%: something else kept the machine busy while its ceilings were measured" +
        (timed.some(({ timedLayers, layers }) => timedLayers < layers)
          ? ", or a time that is scaled from few layers is too short."
          : "."),
    );
  }
  if (adapter.matrixUnits) {
    console.log("Matrix units may exceed the f32 rate: no ceiling of theirs is measured.");
  }
}

function schemeText({ weights, layers, timedLayers }: SchemeReport): string {
  return timedLayers < layers
    ? `${weights}, timed with ${timedLayers} of ${layers} layers, scaled`
    : weights;
}

function speeds(pass: PassReport, accepted: boolean): string[] {
  const text = (value: number | null) => value === null ? "-" : value.toPrecision(3);
  const { tokensPerSecondOneAPass: one, tokensPerSecondAtAcceptance: several } = pass;
  return accepted ? [text(one), text(several)] : [text(one)];
}

const milliseconds = (value: number) =>
  value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);

/** Prints where the acceptance comes from, what auto chooses here, and what was left out. */
export function printSummary(report: DeviceReport): void {
  const { acceptance, auto, schemes, autoWeights, leftOut } = report;
  if (acceptance) {
    const { tokensPerForward, source } = acceptance;
    console.log(`acceptance: ${tokensPerForward.toFixed(2)} tokens a pass (${source})`);
  }
  for (const { quality, chose, tokensPerForward, tokensPerSecond } of auto) {
    console.log(
      `auto, ${quality}, on that model here: most steps by ${chose}; ` +
        `${tokensPerForward.toFixed(2)} tokens a pass, ${tokensPerSecond.toFixed(1)} tokens/s`,
    );
  }
  const chosen = schemes.find(({ weights }) => weights === autoWeights);
  console.log(`auto weights: ${autoWeightsText(report)}`);
  const [best, other] = chosen?.cacheSpeeds ?? [];
  if (best && other) {
    console.log(
      `auto, fast, at these costs: cache ${best.cache}, ${best.tokensPerSecond.toPrecision(3)} ` +
        `tokens/s (cache ${other.cache}: ${other.tokensPerSecond.toPrecision(3)})`,
    );
  }
  for (const line of leftOut) console.log(line);
  console.log(
    `${report.secondsSpent.toFixed(0)} s of ${60 * report.minutesAllowed} s; device ` +
      `${report.adapter.name}`,
  );
}

function autoWeightsText({ autoWeights, schemes }: DeviceReport): string {
  if (autoWeights !== null) return `${autoWeights}, the largest that fits with 512 positions`;
  return schemes.every(({ fits }) => fits === false)
    ? "none fits with 512 positions"
    : "not known; the largest is tried first, and a smaller one where memory runs out";
}
