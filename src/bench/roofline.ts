/**
 * `unmask bench roofline`: compares linear layers of the 8B pair with the device's measured
 * ceilings.
 */

import constantWeights from "../../shaders/lib/constant_weights.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { type Arithmetic, ARITHMETICS } from "../gpu/kernel.ts";
import { bytesPerColumn, QUANTISED, SCHEMES } from "../quant/scheme.ts";
import { type LinearRate, linearRate } from "./linear_layers.ts";
import { type Ceilings, measureCeilings } from "./ceilings.ts";
import { VERSION } from "../engine/version.ts";
import { FittedTable } from "./fitted_table.ts";

/** Default numbers of rows to time. */
export const ROOFLINE_ROWS: readonly number[] = [32, 64, 128, 512];

/** [inner, columns]: output projection; queries, keys and values, and gate or up; down; the draft's. */
const SHAPES = [[4096, 4096], [4096, 12288], [12288, 4096], [4096, 9216], [9216, 4096]] as const;

const FORMS: readonly (readonly [LinearRate["scheme"], readonly Arithmetic[]])[] = [
  ["bf16", ARITHMETICS.filter((arithmetic) => arithmetic !== "int8")],
  ...QUANTISED.map((name) => [name, ARITHMETICS] as const),
];

/** Limit of a call's expected time in seconds; slower layers are left out. */
const LONGEST_SECONDS = 8;
/** Share of its ceiling that a kernel is assumed to reach, to estimate its time. */
const EXPECTED_SHARE = 0.3;

/** The highest rate that a layer can reach. */
export interface Roof {
  readonly bound: "multiply-add" | "memory";
  readonly gflopPerSecond: number;
}

/** A layer's rate, compared with its roof. */
export interface RooflineRow extends LinearRate {
  readonly roof: Roof;
  /** Share of the roof. */
  readonly share: number;
  /** Rate per CPU-second as a share of the ceiling's, for a software adapter on a busy machine. */
  readonly shareOfCpuCeiling: number;
}

/** The report that `--json` writes. */
export interface RooflineReport {
  readonly version: string;
  readonly date: string;
  readonly adapter: string;
  readonly subgroups: boolean;
  readonly processors: number;
  readonly ceilings: Ceilings;
  readonly rows: readonly RooflineRow[];
  /** Layers whose weights are computed from their index instead of loaded. */
  readonly withoutLoads: readonly LinearRate[];
}

type Layer = Pick<LinearRate, "scheme" | "arithmetic" | "rows" | "inner" | "columns">;

/**
 * Computes a layer's roof: the lower of the multiply-add ceiling and copy bandwidth times
 * intensity. Bytes are those of weights, scales, rows and results, each moved once.
 * @throws {Error} when there is no ceiling for the layer's arithmetic
 */
export function roofOf(layer: Layer, ceilings: Ceilings): Roof {
  const { scheme, arithmetic, rows, inner, columns } = layer;
  const most = ceilings.multiplyAdd[arithmetic];
  if (!most) throw new Error(`no ceiling was measured for ${arithmetic} arithmetic`);
  const bytes = columns * bytesPerColumn(SCHEMES[scheme], inner) + 4 * rows * (inner + columns);
  const fromMemory = ceilings.copyGigabytesPerSecond * 2 * rows * inner * columns / bytes;
  return fromMemory < most.gflopPerSecond
    ? { bound: "memory", gflopPerSecond: fromMemory }
    : { bound: "multiply-add", gflopPerSecond: most.gflopPerSecond };
}

/** Compares a measured layer with its roof. */
export function rooflineRow(rate: LinearRate, ceilings: Ceilings): RooflineRow {
  const roof = roofOf(rate, ceilings);
  return {
    ...rate,
    roof,
    share: rate.gflopPerSecond / roof.gflopPerSecond,
    shareOfCpuCeiling: rate.gflopPerCpuSecond /
      ceilings.multiplyAdd[rate.arithmetic]!.gflopPerCpuSecond,
  };
}

/** Measures the layers and prints the results. */
export async function benchRoofline(
  gpu: Gpu,
  rowCounts: readonly number[],
): Promise<RooflineReport> {
  const processors = navigator.hardwareConcurrency;
  console.log(`${gpu.name}, ${processors} processors, subgroups ${gpu.subgroups ? "on" : "off"}`);
  const ceilings = await measureCeilings(gpu);
  printCeilings(ceilings);
  const rows: RooflineRow[] = [];
  for (const [inner, columns] of SHAPES) {
    for (const [scheme, arithmetics] of FORMS) {
      for (const arithmetic of arithmetics) {
        for (const count of rowCounts) {
          const layer = { scheme, arithmetic, rows: count, inner, columns };
          const skipped = whySkipped(layer, ceilings);
          if (skipped) {
            console.log(`${nameOf(layer)}: left out, ${skipped}`);
            continue;
          }
          const rate = await linearRate(gpu, scheme, count, inner, columns, { arithmetic });
          rows.push(rooflineRow(rate, ceilings));
          printRow(rows.at(-1)!);
        }
      }
    }
  }
  const [inner, columns] = SHAPES[0];
  const withoutLoads: LinearRate[] = [];
  for (const count of rowCounts) {
    const form = { snippet: constantWeights };
    withoutLoads.push(await linearRate(gpu, "bf16", count, inner, columns, form));
  }
  printTable(gpu, rows, withoutLoads, ceilings);
  return {
    version: VERSION,
    date: new Date().toISOString(),
    adapter: gpu.name,
    subgroups: gpu.subgroups,
    processors,
    ceilings,
    rows,
    withoutLoads,
  };
}

const nameOf = ({ scheme, arithmetic, rows, inner, columns }: Layer) =>
  `${inner} -> ${columns}, ${scheme}, ${arithmetic}, ${rows} rows`;
const percent = (value: number) => `${(100 * value).toFixed(0)}%`;

/** Why a layer is left out; undefined if it is measured. */
function whySkipped(layer: Layer, ceilings: Ceilings): string | undefined {
  const most = ceilings.multiplyAdd[layer.arithmetic];
  if (!most) return "the device lacks shader-f16";
  const seconds = 2 * layer.rows * layer.inner * layer.columns /
    (1e9 * EXPECTED_SHARE * most.gflopPerSecond);
  return seconds > LONGEST_SECONDS ? `a call would take about ${seconds.toFixed(0)} s` : undefined;
}

function printCeilings({ multiplyAdd, copyGigabytesPerSecond }: Ceilings): void {
  for (const [arithmetic, rate] of Object.entries(multiplyAdd)) {
    console.log(
      `multiply-add ceiling, ${arithmetic}: ${rate.gflopPerSecond.toFixed(1)} GFLOP/s, ` +
        `${rate.gflopPerCpuSecond.toFixed(1)} per CPU-second`,
    );
  }
  if (!multiplyAdd.f16) console.log("multiply-add ceiling, f16: the device lacks shader-f16");
  console.log(`copy: ${copyGigabytesPerSecond.toFixed(1)} GB/s, read and written\n`);
}

function printRow(row: RooflineRow): void {
  console.log(
    `${nameOf(row)}: ${row.gflopPerSecond.toFixed(1)} GFLOP/s, ` +
      `${row.gflopPerCpuSecond.toFixed(1)} per CPU-second`,
  );
}

function printTable(
  { name }: Gpu,
  rows: readonly RooflineRow[],
  withoutLoads: readonly LinearRate[],
  { multiplyAdd }: Ceilings,
): void {
  const table = new FittedTable({
    head: [name, "rows", "GFLOP/s", "per CPU-s", "bound by", "of roof", "of it per CPU-s"],
  });
  for (const row of rows) {
    table.push([
      `${row.inner} -> ${row.columns}, ${row.scheme}, ${row.arithmetic}`,
      row.rows,
      row.gflopPerSecond.toFixed(1),
      row.gflopPerCpuSecond.toFixed(1),
      row.roof.bound,
      percent(row.share),
      percent(row.shareOfCpuCeiling),
    ]);
  }
  console.log(`\n${table}`);
  for (const rate of withoutLoads) {
    console.log(
      `${rate.inner} -> ${rate.columns}, ${rate.rows} rows, weights computed instead of loaded: ` +
        `${rate.gflopPerSecond.toFixed(1)} GFLOP/s, ${rate.gflopPerCpuSecond.toFixed(1)} per ` +
        `CPU-second, ${percent(rate.gflopPerCpuSecond / multiplyAdd.f32!.gflopPerCpuSecond)} of ` +
        "the ceiling",
    );
  }
}
