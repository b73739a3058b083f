/** Finds the kernels' cases, runs them on a device and compares. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { attentionKernel } from "../../src/kernels/attention.ts";
import { attentionBackwardKeysKernel } from "../../src/kernels/attention_backward_keys.ts";
import { attentionBackwardQueriesKernel } from "../../src/kernels/attention_backward_queries.ts";
import { embedKernel } from "../../src/kernels/embed.ts";
import { headKernel } from "../../src/kernels/head.ts";
import { matmulKernel } from "../../src/kernels/matmul.ts";
import { qkvKernel } from "../../src/kernels/qkv.ts";
import { reduceLogitsKernel } from "../../src/kernels/reduce_logits.ts";
import { swigluKernel } from "../../src/kernels/swiglu.ts";
import type { KernelCase, KernelRun, Word } from "./case.ts";

/** Reference words that rounding may decide: a case must be sure of nearly all of them. */
const MOST_UNDECIDED = 0.05;

const folder = new URL("./", import.meta.url);
const files = [...Deno.readDirSync(folder)].map(({ name }) => name)
  .filter((name) =>
    /^export const kernelCase = /m.test(Deno.readTextFileSync(new URL(name, folder)))
  )
  .sort();

/** Every kernel's case. */
export const kernelCases: readonly KernelCase[] = await Promise.all(files.map(async (file) => {
  const { kernelCase }: { kernelCase: KernelCase } = await import(new URL(file, folder).href);
  return kernelCase;
}));

/** Kernels to which rows or quantised weights come in a form that the device chooses. */
export const HAS_FORMS: readonly string[] = [
  attentionKernel,
  attentionBackwardKeysKernel,
  attentionBackwardQueriesKernel,
  embedKernel,
  matmulKernel,
  qkvKernel,
  swigluKernel,
  headKernel,
  reduceLogitsKernel,
]
  .map(({ name }) => name);

/** Bits of every output after the run. */
export async function runCase(
  gpu: Gpu,
  kernelRun: KernelRun,
): Promise<Map<string, Uint32Array>> {
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

/**
 * Compares every output with the reference.
 * @param form stands in front of an output's name in errors
 */
export function compareCase(
  gpu: Gpu,
  form: string,
  kernelRun: KernelRun,
  found: ReadonlyMap<string, Uint32Array>,
  expected: Readonly<Record<string, Float64Array>>,
): void {
  const { tensors, outputs } = kernelRun.upload(gpu);
  tensors[Symbol.dispose]();
  assertEquals([...found.keys()], Object.keys(expected));
  for (const [name, bits] of found) {
    compare(`${form} ${name}`, bits, expected[name], outputs[name].words, kernelRun.tolerance);
  }
}

function compare(
  name: string,
  bits: Uint32Array,
  expected: Float64Array,
  words: readonly Word[],
  tolerance: number,
): void {
  const floats = words[0] === "f16" ? new Float16Array(bits.buffer) : new Float32Array(bits.buffer);
  assertEquals(floats.length, expected.length, `${name}: numbers`);
  let undecided = 0;
  expected.forEach((value, i) => {
    if (Number.isNaN(value)) return undecided++;
    const isFloat = words[i % words.length] !== "u32";
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
