/** Tokens per second that measured passes allow, and what strategy auto makes of them. */

import { PASSES } from "../denoise/auto/auto_fast.ts";
import { FastController, type FastWay } from "../denoise/auto/fast_controller.ts";
import type { CachePolicy } from "../denoise/cache_plan.ts";
import { MOST_KEYS, type PassTime } from "./pass_timing.ts";

/** Measurements that a controller trusts whatever related passes cost. */
const TRUSTED = 8;
/** What is compared: no cache, and the one whose step is timed. */
const CACHES: readonly CachePolicy[] = ["none", "dual"];

/**
 * Tokens per second of a pass that commits so many tokens. A block's step also pays its share of the
 * block's first step, which runs all positions; undefined if that was not timed.
 */
export function tokensPerSecond(
  pass: PassTime,
  tokensPerForward: number,
  passes: readonly PassTime[],
): number | undefined {
  if (pass.kind === "forward") return 1000 * tokensPerForward / pass.passMilliseconds;
  const refresh = passes.find(({ kind, rows }) => kind === "forward" && rows === pass.keys);
  if (!refresh) return undefined;
  const steps = Math.max(1, pass.rows / tokensPerForward);
  const milliseconds = refresh.passMilliseconds + (steps - 1) * pass.passMilliseconds;
  return 1000 * pass.rows / milliseconds;
}

/** What strategy auto with a quality that may differ from plain expects of a cache. */
export interface CacheSpeed {
  readonly cache: CachePolicy;
  readonly tokensPerSecond: number;
}

/**
 * What auto's own controller expects of each cache at these costs, the fastest first; empty if the
 * passes that it needs were not timed.
 */
export function cacheSpeeds(passes: readonly PassTime[], tokensPerForward: number): CacheSpeed[] {
  const block = passes.find(({ kind }) => kind === "block");
  const whole = passes.find(({ kind, rows }) => kind === "forward" && rows === MOST_KEYS);
  if (!block || !whole) return [];
  const costs = new Map([
    [PASSES.none.later.name, whole.passMilliseconds],
    [PASSES.dual.first.name, whole.passMilliseconds],
    [PASSES.dual.later.name, block.passMilliseconds],
  ]);
  const controller = new FastController();
  const ways = CACHES.map((cache): FastWay => ({
    name: cache,
    rule: "measured",
    ...PASSES[cache],
    drafts: false,
  }));
  const steps = Math.max(1, block.rows / tokensPerForward);
  for (const way of ways) {
    for (let i = 0; i < TRUSTED; i++) {
      for (const pass of [way.first, way.later]) {
        controller.learnSteps([pass], costs.get(pass.name)! / MOST_KEYS);
      }
    }
    controller.learnBlock(way, { steps, tokens: block.rows, open: steps - 1 });
  }
  // Rates are per row of the sequence.
  return CACHES.map((cache) => ({
    cache,
    tokensPerSecond: 1000 * controller.rates[cache] / MOST_KEYS,
  })).sort((a, b) => b.tokensPerSecond - a.tokensPerSecond);
}
