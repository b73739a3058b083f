/** A device of a few numbers: what denoising steps cost on it, with the noise of a busy machine. */

import type { FastController, FastWay, Pass } from "../../../src/denoise/auto/fast_controller.ts";

/** What steps cost, and how many it takes. */
export interface DeviceProfile {
  /** Milliseconds per row of a pass. */
  readonly passes: Readonly<Record<string, number>>;
  /** Steps behind a block's first for each token that its first pass is not sure of, by rule. */
  readonly rules: Readonly<Record<string, number>>;
  /** Milliseconds per row of a forward pass of the draft. */
  readonly draft: number;
}

/** What a block asks for. */
export interface Content {
  /** Tokens that its first pass is not sure of. */
  readonly open: number;
  /** How much harder it is than such blocks usually are. */
  readonly hardness: number;
}

/** Reproducible numbers in [0, 1) (mulberry32). */
export function randomFrom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** About the standard normal distribution. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** As the embedded target's answers to the public prompts are: half of the blocks are sure at once. */
const OPEN = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 5, 8];

/** Blocks of some answers, one or two each. */
export function drawAnswers(answers: number, random: () => number): Content[][] {
  return Array.from(
    { length: answers },
    () =>
      Array.from({ length: random() < 0.12 ? 2 : 1 }, () => ({
        open: OPEN[Math.floor(OPEN.length * random())],
        hardness: Math.exp(0.4 * normal(random)),
      })),
  );
}

/** Passes of a block. */
export function passesOf(device: DeviceProfile, way: FastWay, content: Content): Pass[] {
  const { open, hardness } = content;
  const further = open === 0
    ? 0
    : Math.max(1, Math.round(open * hardness * device.rules[way.rule]));
  return [way.first, ...new Array<Pass>(further).fill(way.later)];
}

/** What a block costs without noise, milliseconds per row. */
export function trueCost(device: DeviceProfile, way: FastWay, content: Content): number {
  return passesOf(device, way, content)
    .reduce((total, { name }) => total + device.passes[name], 0);
}

/** A cost as it is measured: some of it off either way, one in twenty several times too long. */
export function measured(cost: number, random: () => number): number {
  const hiccup = random() < 0.05 ? 2 + 4 * random() : 1;
  return cost * Math.exp(0.15 * normal(random)) * hiccup;
}

/** How many times longer everything takes, by what else the machine does, measurement by measurement. */
export function driftingLoad(random: () => number): () => number {
  let load = 1;
  return () => {
    load = random() < 0.004 ? 1 + 3 * random() : load * Math.exp(0.04 * random() - 0.02);
    return load = Math.max(1, Math.min(5, load));
  };
}

/**
 * Answers as the controller says, with noise; the first use of a pass compiles for a long time.
 * @returns what it cost without the noise and the compilation, milliseconds per row
 */
export function answerAll(
  device: DeviceProfile,
  controller: FastController,
  ways: readonly FastWay[],
  answers: readonly (readonly Content[])[],
  random: () => number,
): number {
  const blockWays = ways.filter(({ drafts }) => !drafts);
  const compiled = new Set<string>();
  let total = 0;
  for (const blocks of answers) {
    let way = controller.choose(ways, device.draft);
    for (const [i, content] of blocks.entries()) {
      if (i > 0 && !way.drafts) way = controller.choose(blockWays);
      total += trueCost(device, way, content);
      const passes = passesOf(device, way, content);
      for (const pass of passes) {
        const cost = measured(device.passes[pass.name], random);
        controller.learnSteps([pass], compiled.has(pass.name) ? cost : 50 * cost);
        compiled.add(pass.name);
      }
      const { open } = content;
      controller.learnBlock(way, { steps: passes.length, tokens: 32, open });
    }
  }
  return total;
}
