/** The report of `unmask bench device`; units are in the names. */

import type { GpuFeature } from "../gpu/device.ts";
import type { RowForm } from "../gpu/row_form.ts";
import type { WeightChoice } from "../model/memory/plan_request.ts";
import type { Acceptance, AutoRun } from "./acceptance.ts";
import type { CacheSpeed } from "./expected_speed.ts";
import type { Floors, PassCeilings } from "./floors.ts";
import type { PassTime } from "./pass_timing.ts";
import type { SchemeTiming } from "./scheme_timing.ts";

/** The device, as its driver describes it. */
export interface AdapterReport {
  readonly name: string;
  /** Vendor, architecture, device and description. */
  readonly identity: string;
  readonly software: boolean;
  readonly kernelForm: RowForm;
  readonly kernelFormReason: string;
  readonly subgroups: boolean;
  /** Shape of one multiplication; null if there are no matrix units. */
  readonly matrixUnits: string | null;
  readonly features: readonly GpuFeature[];
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  readonly workgroupMemoryBytes: number;
  /** Bytes that may be used: as asked for, or free on the host of a software adapter; null if not known. */
  readonly memoryBytes: number | null;
}

/** A pass with its floors, and the speeds that it allows. */
export interface PassReport extends PassTime, Floors {
  /** The floor as a share of the time. */
  readonly shareOfFloor: number;
  /** At one token a pass; null where what it needs was not timed. */
  readonly tokensPerSecondOneAPass: number | null;
  /** At the acceptance; null likewise. */
  readonly tokensPerSecondAtAcceptance: number | null;
}

/** A scheme with the speeds of its passes. */
export interface SchemeReport extends Omit<SchemeTiming, "passes"> {
  readonly passes: readonly PassReport[];
  /** What strategy auto with quality `fast` expects of each cache, the fastest first. */
  readonly cacheSpeeds: readonly CacheSpeed[];
}

/** The report that `--json` writes; units are in the names. */
export interface DeviceReport extends PassCeilings {
  readonly version: string;
  readonly date: string;
  readonly processors: number;
  readonly adapter: AdapterReport;
  /** Null if there was no time to measure it. */
  readonly acceptance: Acceptance | null;
  /** What auto did on the model of which the acceptance was measured. */
  readonly auto: readonly AutoRun[];
  readonly model: { readonly name: string; readonly layers: number };
  readonly schemes: readonly SchemeReport[];
  /** The weights that are loaded unless others are asked for; null if none fit, or it is not known. */
  readonly autoWeights: WeightChoice | null;
  /** A line for each thing that was left out. */
  readonly leftOut: readonly string[];
  readonly minutesAllowed: number;
  readonly secondsSpent: number;
}
