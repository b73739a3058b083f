import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Gpu } from "../src/gpu/device.ts";
import { Readback } from "../src/gpu/readback.ts";
import { Recorder } from "../src/gpu/recorder.ts";
import { anyGpu, forms } from "./gpu/device.ts";
import type { KernelCase, KernelRun, Word } from "./kernels/case.ts";

/** Reference words that rounding may decide: a case must be sure of nearly all of them. */
const MOST_UNDECIDED = 0.05;

const folder = new URL("./kernels/", import.meta.url);
const files = [...Deno.readDirSync(folder)].map(({ name }) => name)
  .filter((name) => Deno.readTextFileSync(new URL(name, folder)).includes("= defineCase<"))
  .sort();

/** Bits of every output after the run. */
async function run(gpu: Gpu, kernelRun: KernelRun): Promise<Map<string, Uint32Array>> {
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const { tensors, record, outputs } = kernelRun.upload(gpu);
  using _ = tensors;
  record(recorder);
  const found = new Map<string, Uint32Array>();
  for (const [name, { tensor, length }] of Object.entries(outputs)) {
    found.set(name, new Uint32Array(await readback.read(recorder, tensor, 4 * length)));
  }
  return found;
}

function compare(
  name: string,
  bits: Uint32Array,
  expected: Float64Array,
  words: readonly Word[],
  tolerance: number,
): void {
  assertEquals(bits.length, expected.length, `${name}: words`);
  const floats = new Float32Array(bits.buffer);
  let undecided = 0;
  expected.forEach((value, i) => {
    if (Number.isNaN(value)) return undecided++;
    const isFloat = words[i % words.length] === "f32";
    const found = isFloat ? floats[i] : bits[i];
    if (found === value) return;
    const allowed = isFloat ? tolerance * Math.max(1, Math.abs(value)) : 0;
    assertAlmostEquals(
      found,
      value,
      allowed,
      `${name}[${i}]: expected ${value} within ${allowed}, found ${found}`,
    );
  });
  assert(undecided <= MOST_UNDECIDED * expected.length, `${name}: ${undecided} words undecided`);
}

Deno.test("the software adapter runs both forms of every kernel", () => {
  if (anyGpu.name.includes("llvmpipe")) assertEquals([...forms.keys()], ["subgroups", "plain"]);
  assert(forms.has("plain"));
});

for (const file of files) {
  const { kernelCase }: { kernelCase: KernelCase } = await import(new URL(file, folder).href);
  const { kernel, runs } = kernelCase;

  for (const kernelRun of runs) {
    const { tolerance, feature } = kernelRun;
    const lacking = feature !== undefined && !anyGpu.features.includes(feature);
    const name = `${kernel}: ${kernelRun.name}${lacking ? ` (this device lacks ${feature})` : ""}`;
    Deno.test({ name, ignore: lacking }, async () => {
      const expected = kernelRun.reference();
      let first: Map<string, Uint32Array> | undefined;
      for (const [form, gpu] of forms) {
        const found = await run(gpu, kernelRun);
        const { tensors, outputs } = kernelRun.upload(gpu);
        tensors[Symbol.dispose]();
        assertEquals([...found.keys()], Object.keys(expected));
        for (const [name, bits] of found) {
          compare(`${form} ${name}`, bits, expected[name], outputs[name].words, tolerance);
        }
        // The same sums in the same order, so the same bits.
        first ??= found;
        assertEquals(found, first, `${form} differs from ${[...forms.keys()][0]}`);
      }
    });
  }
}
