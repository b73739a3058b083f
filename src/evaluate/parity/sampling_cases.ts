/** Schedule, trajectory and temperature cases of `unmask parity`. */

import { denoise } from "../../denoise/denoise.ts";
import type { DenoiseStep } from "../../denoise/denoise_step.ts";
import { confidenceOf } from "../../denoise/confidence.ts";
import { sampleToken } from "../../denoise/noise.ts";
import type { Predictor } from "../../denoise/predictor.ts";
import { numTransferTokens, planSteps } from "../../denoise/schedule.ts";
import { newSequence } from "../../denoise/sequence.ts";
import type { Model } from "../../model/model.ts";
import type { ParityResult, SamplingCase, ScheduleFile, TemperatureCase } from "./golden_files.ts";

/** Tolerance of confidences, from the README of the golden data. */
const CONFIDENCE_ABS = 5e-4;

/** The model without its canvas, so that TypeScript selects and commits. */
export function stepwise(model: Model): Predictor {
  return { predict: (inputs) => model.predict(inputs) };
}

/**
 * Result of a trajectory: it passed if nothing is `wrong` and the confidences are within tolerance.
 */
export function verdict(
  name: string,
  wrong: string[],
  confidence: number,
  detail: string,
): ParityResult {
  if (confidence > CONFIDENCE_ABS) {
    wrong.push(`confidence off by ${confidence}, ${CONFIDENCE_ABS} allowed`);
  }
  return {
    name,
    passed: wrong.length === 0,
    detail: wrong[0] ?? `${detail}, confidence ${confidence.toExponential(1)}`,
  };
}

/** Collects all that a generator of steps yields, and what it returns. */
export async function drain<R>(steps: AsyncGenerator<DenoiseStep, R, void>) {
  const yielded: DenoiseStep[] = [];
  let next = await steps.next();
  for (; !next.done; next = await steps.next()) yielded.push(next.value);
  return { steps: yielded, result: next.value };
}

/**
 * Runs a trajectory twice: on the canvas, where the GPU commits, and step by step, where TypeScript
 * does. Both must equal the record.
 */
export async function samplingCase(golden: SamplingCase, model: Model): Promise<ParityResult> {
  const wrong: string[] = [];
  let confidence = 0;
  for (const [path, predictor] of [["canvas", model], ["step by step", stepwise(model)]] as const) {
    const run = await trajectory(golden, model, predictor);
    confidence = Math.max(confidence, run.confidence);
    wrong.push(...run.wrong.map((what) => `${path}: ${what}`));
  }
  const detail = `${golden.log.length} steps, ${golden.nfe} forwards`;
  return verdict(`sampling/llada ${golden.name}`, wrong, confidence, detail);
}

async function trajectory(golden: SamplingCase, model: Model, predictor: Predictor) {
  const { config } = model;
  const sequences = golden.prompt.map((ids, i) =>
    newSequence(
      Uint32Array.from(ids),
      golden.gen_length,
      config.maskTokenId,
      golden.attention_mask ? Uint8Array.from(golden.attention_mask[i]) : undefined,
    )
  );
  const eosToken = golden.eos_id_for_this_case ?? config.eosTokenId;
  const { steps, result } = await drain(denoise(sequences, predictor, {
    blockLength: golden.block_length,
    steps: golden.steps,
    seeds: sequences.map(() => 0),
    cfgScale: golden.cfg_scale,
    logitsEosInf: golden.logits_eos_inf,
    confidenceEosEotInf: golden.confidence_eos_eot_inf,
    eosToken,
    eotToken: golden.eot_id_for_this_case,
    endTokens: [eosToken],
    stopAtEnd: false,
  }));
  const { wrong, confidence } = compareSteps(steps, golden.log);
  if (result.nfe !== golden.nfe) {
    wrong.push(`${result.nfe} forwards, expected ${golden.nfe}`);
  }
  for (const [row, { ids }] of result.sequences.entries()) {
    if (!sameNumbers(ids, golden.final[row])) wrong.push(`row ${row}: final ids differ`);
  }
  return { wrong, confidence };
}

/** Compares steps with their record. @returns differences, and the largest one of confidences */
export function compareSteps(steps: readonly DenoiseStep[], log: SamplingCase["log"]) {
  const wrong: string[] = [];
  let confidence = 0;
  for (const [i, step] of steps.slice(0, log.length).entries()) {
    const compared = compareStep(step, log[i]);
    if (compared.wrong) wrong.push(`step ${i}: ${compared.wrong}`);
    confidence = Math.max(confidence, compared.confidence);
  }
  if (steps.length !== log.length) wrong.push(`${steps.length} steps, expected ${log.length}`);
  return { wrong, confidence };
}

function compareStep(step: DenoiseStep, expected: SamplingCase["log"][number]) {
  let wrong: string | undefined;
  let confidence = 0;
  for (const [row, record] of expected.rows.entries()) {
    const commits = step.commits[row] ?? [];
    const positions = commits.map((commit) => commit.position);
    const tokens = commits.map((commit) => commit.token);
    if (!sameNumbers(positions, record.positions)) {
      wrong ??= `row ${row}: positions [${positions}], expected [${record.positions}]`;
    } else if (!sameNumbers(tokens, record.tokens)) {
      wrong ??= `row ${row}: tokens [${tokens}], expected [${record.tokens}]`;
    } else {
      commits.forEach((commit, i) => {
        const off = Math.abs(commit.confidence - record.confidence[i]);
        confidence = Math.max(confidence, Number.isNaN(off) ? Infinity : off);
      });
    }
  }
  if (step.block !== expected.block) wrong ??= `block ${step.block}, expected ${expected.block}`;
  return { wrong, confidence };
}

/** The schedule tables: every entry, and every combination that must be refused. */
export function* scheduleCases(golden: ScheduleFile): Generator<ParityResult, void, void> {
  for (const { masked, steps, num_transfer_tokens } of golden.masked_and_steps) {
    const found = numTransferTokens(masked, steps);
    yield result(
      `sampling/schedule ${masked} masked in ${steps} steps`,
      sameNumbers(found, num_transfer_tokens),
      `[${found}]`,
    );
  }
  for (const run of golden.runs) {
    const plan = planSteps({
      genLength: run.gen_length,
      blockLength: run.block_length,
      steps: run.steps,
    });
    const each = run.num_transfer_tokens_of_every_block;
    const blocks = run.gen_length / run.block_length;
    const expected = Array.from({ length: blocks }, () => each).flat();
    yield result(
      `sampling/schedule run ${run.gen_length}/${run.block_length}/${run.steps}`,
      sameNumbers(plan.map((step) => step.commits), expected),
      `${plan.length} steps in ${blocks} blocks`,
    );
  }
  for (const run of golden.rejected) {
    const name = `sampling/schedule refuses ${run.gen_length}/${run.block_length}/${run.steps}`;
    try {
      planSteps({ genLength: run.gen_length, blockLength: run.block_length, steps: run.steps });
      yield result(name, false, "it was accepted");
    } catch (error) {
      yield result(name, true, (error as Error).message);
    }
  }
}

/** One case of temperature.json: the token with and without noise, and its confidence. */
export function temperatureCase(golden: TemperatureCase): ParityResult {
  let wrong: string | undefined;
  let confidence = 0;
  for (const [row, logits] of golden.logits.entries()) {
    const values = Float64Array.from(logits);
    const token = sampleToken(values, golden.uniform[row], golden.temperature);
    const greedy = sampleToken(values, golden.uniform[row], 0);
    if (token !== golden.tokens[row]) {
      wrong ??= `row ${row}: token ${token}, expected ${golden.tokens[row]}`;
    }
    if (greedy !== golden.greedy_tokens[row]) {
      wrong ??= `row ${row}: greedy token ${greedy}, expected ${golden.greedy_tokens[row]}`;
    }
    const found = confidenceOf(values, token, new Set()).confidence;
    confidence = Math.max(confidence, Math.abs(found - golden.confidence[row]));
  }
  if (!(confidence <= CONFIDENCE_ABS)) wrong ??= `confidence off by ${confidence}`;
  return result(
    `sampling/temperature ${golden.temperature}`,
    wrong === undefined,
    wrong ?? `${golden.tokens.length} tokens, confidence ${confidence.toExponential(1)}`,
  );
}

function result(name: string, passed: boolean, detail: string): ParityResult {
  return { name, passed, detail };
}

/** Whether two lists of numbers are equal. */
export function sameNumbers(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.prototype.every.call(a, (value, i) => value === b[i]);
}
