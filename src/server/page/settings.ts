/** How answers are denoised: what the user chose, kept in this browser. */

/** Strategies, in a few words. */
export const STRATEGIES: Readonly<Record<string, string>> = {
  auto: "picks what pays here",
  plain: "a token a step",
  threshold: "all that are sure enough",
  factor: "the surer, the more",
  self: "guesses ahead, checks itself",
  lossless: "a draft proposes",
  gate: "draft and model agree",
  commit_verify: "a draft writes, the model judges",
};

/** The choices. Undefined leaves a thing to the server. */
export interface Settings {
  readonly strategy: string;
  readonly quality: "exact" | "fast";
  /** Denoising steps for each block of a fixed canvas; undefined: the model's own length and pace. */
  readonly stepsPerBlock?: number;
  readonly threshold: number;
  readonly factor: number;
  readonly blockLength?: number;
  readonly temperature: number;
  readonly seed: number;
  /** Whether every answer has the same seed. */
  readonly seedPinned: boolean;
  readonly maxTokens?: number;
  /** Whether the last answer is asked again when a control moves. */
  readonly rerun: boolean;
}

/** What a visitor begins with. */
export const FIRST_SETTINGS: Settings = {
  strategy: "auto",
  quality: "exact",
  threshold: 0.9,
  factor: 1,
  temperature: 0,
  seed: 1,
  seedPinned: true,
  rerun: true,
};

const PLACE = "unmask.settings";

/** The choices, and who is told when they change. */
export class SettingsStore {
  #settings: Settings;
  readonly #told = new Set<(settings: Settings) => void>();

  constructor() {
    this.#settings = { ...FIRST_SETTINGS, ...readSettings(kept()) };
  }

  get value(): Settings {
    return this.#settings;
  }

  /** Changes some choices, and tells. */
  change(changes: Partial<Settings>): void {
    this.#settings = { ...this.#settings, ...changes };
    localStorage.setItem(PLACE, JSON.stringify(this.#settings));
    for (const tell of this.#told) tell(this.#settings);
  }

  /** Calls `tell` after each change. */
  watch(tell: (settings: Settings) => void): void {
    this.#told.add(tell);
  }
}

function kept(): unknown {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch {
    return {};
  }
}

/** The choices that a value holds, such as one that came with a link; what is no choice is left out. */
export function readSettings(value: unknown): Partial<Settings> {
  if (typeof value !== "object" || value === null) return {};
  const given = value as Readonly<Record<string, unknown>>;
  const whole = (name: string, least: number) =>
    Number.isSafeInteger(given[name]) && Number(given[name]) >= least
      ? { [name]: given[name] }
      : {};
  const within = (name: string, least: number, most: number) =>
    Number(given[name]) >= least && Number(given[name]) <= most
      ? { [name]: Number(given[name]) }
      : {};
  const flag = (name: string) => typeof given[name] === "boolean" ? { [name]: given[name] } : {};
  return {
    ...Object.hasOwn(STRATEGIES, String(given.strategy))
      ? { strategy: String(given.strategy) }
      : {},
    ...given.quality === "fast" || given.quality === "exact" ? { quality: given.quality } : {},
    ...whole("stepsPerBlock", 1),
    ...whole("blockLength", 1),
    ...whole("maxTokens", 1),
    ...whole("seed", 0),
    ...within("threshold", 0, 1),
    ...within("factor", 0, 1000),
    ...within("temperature", 0, 2),
    ...flag("seedPinned"),
    ...flag("rerun"),
  };
}

/** Whether a strategy takes the threshold, or the factor. */
export function takes(strategy: string, field: "threshold" | "factor"): boolean {
  return strategy === field;
}

/** Positions of a fixed canvas where nothing says. */
const FIXED_LENGTH = 64;

/** A request's fields for the choices: those alone that the strategy takes. */
export function fieldsOf(settings: Settings): Readonly<Record<string, unknown>> {
  const { strategy, quality, blockLength, temperature, maxTokens } = settings;
  return {
    strategy,
    ...strategy === "auto" ? { quality } : {},
    ...takes(strategy, "threshold") ? { threshold: settings.threshold } : {},
    ...takes(strategy, "factor") ? { factor: settings.factor } : {},
    ...blockLength === undefined ? {} : { block_length: blockLength },
    ...maxTokens === undefined ? {} : { max_tokens: maxTokens },
    ...stepsOf(settings),
    temperature,
    ...settings.seedPinned ? { seed: settings.seed } : {},
  };
}

/** Steps fix the canvas, and each block has as many of them. */
function stepsOf({ stepsPerBlock, blockLength = 32, maxTokens = FIXED_LENGTH }: Settings) {
  if (stepsPerBlock === undefined) return {};
  const blocks = Math.ceil(maxTokens / blockLength);
  return {
    block_length: blockLength,
    max_tokens: maxTokens,
    steps: blocks * Math.min(stepsPerBlock, blockLength),
  };
}
