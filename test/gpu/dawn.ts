/** Dawn for tests: a device that compiles and computes nothing, and those of this machine's driver. */

import { acquireGpu, type Gpu } from "../../src/gpu/device.ts";
import { MATRIX_FEATURE } from "../../src/gpu/matrix_units.ts";
import { openProvider, startDawn } from "../../src/gpu/provider.ts";

/** How linear layers and rows are handled. */
export type DawnForm = "matrix units" | "subgroups" | "plain" | "uniform";

async function attempt<T>(make: () => Promise<T>): Promise<{ made?: T; reason?: string }> {
  try {
    return { made: await make() };
  } catch (error) {
    const [reason] = (error as Error).message.split(/[.\n]/);
    return { reason };
  }
}

const compiling = await attempt(async () => {
  return await acquireGpu({ provider: await startDawn(["backend=null"]) });
});
/** Dawn without a driver: all of its validation and its shader compiler, and no results. */
export const dawnCompiler: Gpu | undefined = compiling.made;
/** Why there is none; undefined where there is. */
export const noDawnCompiler: string | undefined = compiling.reason;

async function acquireForms(): Promise<Map<DawnForm, Gpu>> {
  const { gpu: provider } = await openProvider("dawn");
  const [uniform, plain, subgroups, matrix] = [
    await acquireGpu({ provider, rowForm: "uniform", subgroups: false, matrixUnits: false }),
    await acquireGpu({ provider, rowForm: "exchanged", subgroups: false, matrixUnits: false }),
    await acquireGpu({ provider, rowForm: "exchanged", matrixUnits: false }),
    await acquireGpu({ provider }),
  ];
  const forms: [DawnForm, Gpu | undefined][] = [
    ["matrix units", matrix.matrixUnits && matrix],
    ["subgroups", subgroups.subgroups ? subgroups : undefined],
    ["plain", plain],
    ["uniform", uniform],
  ];
  return new Map(forms.filter((form): form is [DawnForm, Gpu] => form[1] !== undefined));
}

const computing = await attempt(acquireForms);
/** Every form that Dawn has on this machine. */
export const dawnForms: ReadonlyMap<DawnForm, Gpu> = computing.made ?? new Map();
/** Why there is none of a form; undefined where there is. */
export function noDawnForm(form: DawnForm): string | undefined {
  if (dawnForms.has(form)) return undefined;
  if (computing.reason !== undefined) return computing.reason;
  return form === "matrix units"
    ? `its adapter has no matrix units: no ${MATRIX_FEATURE} with f16 factors and f32 sums`
    : "its adapter has no subgroups that kernels can use";
}
