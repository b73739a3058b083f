/** The twin of `selectCommits`: ranks candidates and commits the best, on the GPU. */

import source from "../../shaders/commit.wgsl" with { type: "text" };
import noise from "../../shaders/lib/noise.wgsl" with { type: "text" };
import prediction from "../../shaders/lib/prediction.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/commit.wgsl */
export const commitKernel = defineKernel({
  name: "commit",
  source,
  snippets: [noise, prediction, stepPlan],
  bindings: {
    asked: "read",
    counts: "read",
    predictions: "read",
    plans: "read",
    answers: "read",
    ids: "write",
    finished: "write",
    commit_log: "write",
  },
  params: {
    capacity: "u32",
    plan_offset: "u32",
    mask_token: "u32",
    twin_rows: "u32",
    log_offset: "u32",
    log_stride: "u32",
    random: "u32",
    stop_at_end: "u32",
    rule: "u32",
    rule_value: "f32",
  },
  constants: { GUIDED: 0 },
});

/** Words of 4 bytes in an entry of the log: header (committed, candidates, finished), then commits. */
export const LOG_ENTRY_WORDS = 4;

/** Which of the ranked candidates pass; see the shader. */
export type CommitRule =
  | { readonly kind: "count" }
  | { readonly kind: "threshold"; readonly threshold: number }
  | { readonly kind: "factor"; readonly factor: number };

function ruleParams(rule: CommitRule): { rule: number; rule_value: number } {
  if (rule.kind === "threshold") return { rule: 1, rule_value: 1 / rule.threshold - 1 };
  if (rule.kind === "factor") return { rule: 2, rule_value: rule.factor };
  return { rule: 0, rule_value: 0 };
}

/** Records one step's commits; see the shader for the tensors' layouts. */
export function commit(
  recorder: Recorder,
  tensors: {
    readonly asked: Tensor;
    readonly counts: Tensor;
    readonly predictions: Tensor;
    readonly plans: Tensor;
    readonly answers: Tensor;
    readonly ids: Tensor;
    readonly finished: Tensor;
    readonly commit_log: Tensor;
  },
  options: {
    readonly count: number;
    readonly capacity: number;
    readonly planOffset: number;
    readonly maskToken: number;
    readonly twinRows: number;
    /** In log entries. */
    readonly logOffset: number;
    readonly logStride: number;
    readonly random: boolean;
    readonly stopAtEnd: boolean;
    readonly rule: CommitRule;
  },
): void {
  recorder.dispatch(commitKernel, {
    bindings: tensors,
    params: {
      capacity: options.capacity,
      plan_offset: options.planOffset,
      mask_token: options.maskToken,
      twin_rows: options.twinRows,
      log_offset: options.logOffset,
      log_stride: options.logStride,
      random: options.random ? 1 : 0,
      stop_at_end: options.stopAtEnd ? 1 : 0,
      ...ruleParams(options.rule),
    },
    constants: { GUIDED: options.twinRows > 0 ? 1 : 0 },
    workgroups: [options.count],
  });
}
