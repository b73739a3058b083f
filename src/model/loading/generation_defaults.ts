/** `generation_config.json` -> {@linkcode GenerationDefaults}. */
import { join } from "node:path";
import type { CanvasStep } from "../../denoise/predictor.ts";
import { show } from "../../weights/model_file_error.ts";
import type { ModelConfig } from "../model_config.ts";
import { readGenerationConfig } from "./config.ts";
import { Fields, MAX_SIZE } from "./config_fields.ts";

type Remasking = CanvasStep["remasking"];

/** What a model folder says about generating with it; a field is undefined where it says nothing. */
export interface GenerationDefaults {
  /** `gen_length`: tokens of an answer, in whole blocks. */
  readonly genLength?: number;
  /** `block_length`: tokens per block. */
  readonly blockLength?: number;
  /** `steps`: denoising steps in all, a multiple of the number of blocks. */
  readonly steps?: number;
  /** `temperature`; 0 is greedy. */
  readonly temperature?: number;
  /** `cfg_scale`; 0 is off. */
  readonly cfgScale?: number;
  /** `remasking`. */
  readonly remasking?: Remasking;
  /** `bos_token_id`. */
  readonly bosTokenId?: number;
  /** `eos_token_id`: one or several, each of which ends an answer, besides config.json's. */
  readonly endTokenIds?: readonly number[];
  /** `eot_token_id`: ends a turn. */
  readonly eotTokenId?: number;
}

/**
 * Reads `generation_config.json` of a model folder; without one, nothing is defined.
 * @param config of the same folder: token ids must fit it, and the mask must be the same
 * @param remaskings what `remasking` may be
 * @throws {ConfigError} naming the field that is wrong
 */
export function readGenerationDefaults(
  dir: string,
  config: ModelConfig,
  remaskings: readonly Remasking[],
): GenerationDefaults {
  const file = join(dir, "generation_config.json");
  const json = readGenerationConfig(dir);
  if (json === undefined) return {};
  const fields = new Fields(json, file);
  fields.ifPresent("mask_token_id", () => {
    if (json.mask_token_id === config.maskTokenId) return;
    const expected = `${config.maskTokenId}, as in config.json`;
    throw fields.wrong("mask_token_id", fields.show("mask_token_id"), expected);
  });
  const integer = (field: string, least: number, most: number, because?: string) =>
    fields.ifPresent(field, () => fields.integer(field, least, most, because));
  const length = [1, config.maxSequenceLength, "max_sequence_length is that"] as const;
  const token = [0, config.embeddingSize - 1, `embedding_size is ${config.embeddingSize}`] as const;
  const amount = (field: string) => fields.ifPresent(field, () => fields.notNegative(field));

  const genLength = integer("gen_length", ...length);
  const blockLength = integer("block_length", ...length);
  const steps = integer("steps", 1, MAX_SIZE);
  if (genLength !== undefined && blockLength !== undefined) {
    fields.divisor("block_length", "gen_length", genLength);
    const blocks = genLength / blockLength;
    if (steps !== undefined && steps % blocks !== 0) {
      throw fields.wrong("steps", `${steps}`, `a multiple of ${blocks}, the number of blocks`);
    }
  }
  return {
    genLength,
    blockLength,
    steps,
    temperature: temperatureOf(fields),
    cfgScale: amount("cfg_scale"),
    remasking: fields.onlyIfPresent("remasking", remaskings),
    bosTokenId: integer("bos_token_id", ...token),
    endTokenIds: fields.ifPresent(
      "eos_token_id",
      () => fields.tokenIds("eos_token_id", config.embeddingSize, config.maskTokenId),
    ),
    eotTokenId: integer("eot_token_id", ...token),
  };
}

/** `temperature` as `do_sample` says: without sampling 0, with it 1 where none is given. */
function temperatureOf(fields: Fields): number | undefined {
  const sample = fields.onlyIfPresent("do_sample", [true, false]);
  const temperature = fields.ifPresent("temperature", () => fields.notNegative("temperature"));
  if (sample === undefined) return temperature;
  return sample ? temperature ?? 1 : 0;
}

/** Sampling of other programs that this one does not do, and the values at which it does nothing. */
const NOT_APPLIED: Readonly<Record<string, readonly unknown[]>> = {
  top_k: [0, null],
  top_p: [1, null],
  min_p: [0, null],
  typical_p: [1, null],
  repetition_penalty: [1, null],
  no_repeat_ngram_size: [0, null],
  num_beams: [1, null],
};

/** What generation_config.json says that is not done: a line for each. */
export function generationNotes(dir: string): string[] {
  const json = readGenerationConfig(dir) ?? {};
  const value = (field: string) => `generation_config.json: ${field} is ${show(json[field])}`;
  const notes: string[] = [];
  if (json.do_sample === false && (json.temperature ?? 0) !== 0) {
    notes.push(`${value("temperature")}, and do_sample false. It is taken as 0.`);
  }
  for (const [field, neutral] of Object.entries(NOT_APPLIED)) {
    if (!Object.hasOwn(json, field) || neutral.includes(json[field])) continue;
    notes.push(`${value(field)}. It is not applied.`);
  }
  return notes;
}
