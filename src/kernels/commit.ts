/** Ranks candidates and commits the best on the GPU, with the same result as `selectCommits`. */

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
    ranking: "u32",
    stop_at_end: "u32",
    rule: "u32",
    rule_value: "f32",
  },
  constants: { GUIDED: 0 },
});

/** Words of 4 bytes in an entry of the log: header (committed, candidates, finished), then commits. */
export const LOG_ENTRY_WORDS = 4;

/** The shader's numbers of the rankings. */
export const RANKINGS = { low_confidence: 0, random: 1 } as const;

/** The shader's numbers of the selection rules. */
export const RULES = { count: 0, threshold: 1, factor: 2 } as const;

/** One of {@linkcode RULES} and its value; see the shader. */
export type CommitRule =
  | { readonly kind: "count" }
  | { readonly kind: "threshold"; readonly threshold: number }
  | { readonly kind: "factor"; readonly factor: number };

function valueOf(rule: CommitRule): number {
  switch (rule.kind) {
    case "count":
      return 0;
    case "threshold":
      return 1 / rule.threshold - 1;
    case "factor":
      return rule.factor;
  }
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
    /** Offset in the log, in entries. */
    readonly logOffset: number;
    readonly logStride: number;
    readonly ranking: keyof typeof RANKINGS;
    readonly stopAtEnd: boolean;
    /** Selection rule; default `count`. */
    readonly rule?: CommitRule;
  },
): void {
  const { rule = { kind: "count" } } = options;
  recorder.dispatch(commitKernel, {
    bindings: tensors,
    params: {
      capacity: options.capacity,
      plan_offset: options.planOffset,
      mask_token: options.maskToken,
      twin_rows: options.twinRows,
      log_offset: options.logOffset,
      log_stride: options.logStride,
      ranking: RANKINGS[options.ranking],
      stop_at_end: options.stopAtEnd ? 1 : 0,
      rule: RULES[rule.kind],
      rule_value: valueOf(rule),
    },
    constants: { GUIDED: options.twinRows > 0 ? 1 : 0 },
    workgroups: [options.count],
  });
}
