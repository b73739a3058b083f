/** The schedule: how many positions are unmasked at each denoising step. */

/**
 * Limit of the positions and of the steps of one generation: the noise key has 16 bits for each
 * (noise.ts).
 */
export const SCHEDULE_LIMIT = 65536;

/** Lengths, in tokens, and the number of denoising steps of one generation. */
export interface ScheduleOptions {
  /** Positions to generate, a multiple of `blockLength`. */
  readonly genLength: number;
  /** Positions of one block. */
  readonly blockLength: number;
  /** Denoising steps over all blocks, a multiple of the number of blocks. */
  readonly steps: number;
}

/** One denoising step of a schedule. */
export interface PlannedStep {
  /** Index of the block, from 0. */
  readonly block: number;
  /** End of that block, counted from the start of the generation. */
  readonly blockEnd: number;
  /** Number of positions to unmask; may be 0 if there are more steps than tokens. */
  readonly commits: number;
}

/** The error of lengths and steps that do not divide evenly; `field` names the value to change. */
export class ScheduleError extends Error {
  /** Name of the wrong field of {@linkcode ScheduleOptions}. */
  readonly field: keyof ScheduleOptions;
  /** Makes the error; `message` names the value found and values that fit. */
  constructor(field: keyof ScheduleOptions, message: string) {
    super(message);
    this.name = "ScheduleError";
    this.field = field;
  }
}

/**
 * Splits `masked` positions over `steps` steps: `floor(masked / steps)` each, and the remainder one by
 * one to the earliest (`get_num_transfer_tokens` in the published code).
 * @returns `[steps]`
 */
export function numTransferTokens(masked: number, steps: number): number[] {
  const base = Math.floor(masked / steps);
  const remainder = masked % steps;
  return Array.from({ length: steps }, (_, step) => base + (step < remainder ? 1 : 0));
}

/**
 * Lists every step of a generation, blocks from left to right. If there are more steps than tokens,
 * the last steps of a block unmask nothing, as in the published code.
 * @returns `[steps]`
 * @throws {ScheduleError} when a value is not a whole number from 1 to {@linkcode SCHEDULE_LIMIT}, or
 * the generation does not split into whole blocks, or the steps not into equal numbers per block
 */
export function planSteps(options: ScheduleOptions): PlannedStep[] {
  checkWhole("genLength", options.genLength);
  checkWhole("blockLength", options.blockLength);
  checkWhole("steps", options.steps);
  const { genLength, blockLength, steps } = options;
  if (genLength % blockLength !== 0) {
    throw new ScheduleError(
      "genLength",
      `genLength is ${genLength}: expected a multiple of blockLength ${blockLength}, such as ` +
        nearestMultiples(genLength, blockLength),
    );
  }
  const blocks = genLength / blockLength;
  if (steps % blocks !== 0) {
    throw new ScheduleError(
      "steps",
      `steps is ${steps}: expected a multiple of the number of blocks ${blocks} ` +
        `(genLength ${genLength} / blockLength ${blockLength}), such as ` +
        nearestMultiples(steps, blocks),
    );
  }
  const perStep = numTransferTokens(blockLength, steps / blocks);
  return Array.from(
    { length: blocks },
    (_, block) =>
      perStep.map((commits) => ({ block, blockEnd: (block + 1) * blockLength, commits })),
  ).flat();
}

function checkWhole(field: keyof ScheduleOptions, value: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= SCHEDULE_LIMIT) return;
  let nearest = "";
  if (Number.isFinite(value)) {
    nearest = `, such as ${Math.min(Math.max(Math.round(value), 1), SCHEDULE_LIMIT)}`;
  }
  throw new ScheduleError(
    field,
    `${field} is ${value}: expected a whole number from 1 to ${SCHEDULE_LIMIT}${nearest}`,
  );
}

/** The nearest multiples of `unit` around `value` that are in range; `unit` itself always is. */
function nearestMultiples(value: number, unit: number): string {
  const below = value - (value % unit);
  return [below, below + unit].filter((n) => n >= 1 && n <= SCHEDULE_LIMIT).join(" or ");
}
