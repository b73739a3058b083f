/** Typed access to the fields of a configuration file, with one error text for all of them. */
import type { JsonObject } from "../../weights/json_file.ts";
import { ConfigError, show } from "../../weights/model_file_error.ts";

/** Limit of sizes and positions: they are exact in f32 up to here. */
export const MAX_SIZE = 2 ** 24;
/** Limit of layers: far above any model, and low enough to list all tensors. */
export const MAX_LAYERS = 4096;

/** The fields of one file. A field that is read must be there; no field has a default. */
export class Fields {
  readonly #json: JsonObject;
  readonly #file: string;

  /**
   * Takes a parsed file.
   * @param file path for error messages
   */
  constructor(json: JsonObject, file: string) {
    this.#json = json;
    this.#file = file;
  }

  /** Makes the error for a field with an unexpected value. */
  wrong(field: string, found: string, expected: string, remedy?: string): ConfigError {
    return new ConfigError({ file: this.#file, field, found, expected, remedy });
  }

  /** A field's value as one line, for an error. */
  show(field: string): string {
    return Object.hasOwn(this.#json, field) ? show(this.#json[field]) : "missing";
  }

  /** A field's value, unchecked; `expected` describes it in the error if it is missing. */
  value(field: string, expected = "a value, if only null"): unknown {
    if (Object.hasOwn(this.#json, field)) return this.#json[field];
    const remedy = "A missing field is not guessed, because the defaults of the configuration " +
      "class are not those of the published model. Download the file again.";
    throw this.wrong(field, "missing", expected, remedy);
  }

  /** A field that must be one of some values. */
  only<const T extends string | number | boolean | null>(field: string, values: readonly T[]): T {
    const list = values.map(show).join(" or ");
    const value = this.value(field, list);
    const match = values.find((supported) => supported === value);
    if (match !== undefined) return match;
    const remedy = "Other values are not supported: use another model.";
    throw this.wrong(field, show(value), list, remedy);
  }

  /** Like `only`, but the field may also be missing or null; with no values it must be. */
  onlyIfPresent<const T extends string | number | boolean>(
    field: string,
    values: readonly T[],
  ): T | undefined {
    return this.ifPresent(field, () => {
      if (values.length > 0) return this.only(field, values);
      const remedy = "This is not supported: use a model without it.";
      throw this.wrong(field, this.show(field), "no such field, or null", remedy);
    });
  }

  /** The result of `read()`, or undefined if the field is missing or null. */
  ifPresent<T>(field: string, read: () => T): T | undefined {
    return Object.hasOwn(this.#json, field) && this.#json[field] !== null ? read() : undefined;
  }

  /** An integer in `[least, most]`; `because` says where the limit comes from. */
  integer(field: string, least: number, most: number, because = ""): number {
    const expected = `an integer from ${least} to ${most}${because && `, because ${because}`}`;
    const value = this.value(field, expected);
    const fits = Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
    if (fits) return value as number;
    throw this.wrong(field, show(value), expected);
  }

  /**
   * One token id or a list of them, each below `embeddingSize`; at least one.
   * @param mask no such id: an answer could not end
   */
  tokenIds(field: string, embeddingSize: number, mask: number): readonly number[] {
    const expected = `one or several integers from 0 to ${embeddingSize - 1}, because ` +
      `embedding_size is ${embeddingSize}`;
    const value = this.value(field, expected);
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    const fits = (id: unknown) => Number.isInteger(id) && Number(id) >= 0;
    if (ids.length === 0 || !ids.every((id) => fits(id) && Number(id) < embeddingSize)) {
      throw this.wrong(field, show(value), expected);
    }
    if (!ids.includes(mask)) return ids as number[];
    const other = `other ids than mask_token_id ${mask}, or an answer could not end`;
    throw this.wrong(field, show(value), other);
  }

  /** A positive integer that divides the field `of`, whose value is `dividend`. */
  divisor(field: string, of: string, dividend: number): number {
    const expected = `a divisor of ${of}, which is ${dividend}`;
    const value = this.value(field, expected);
    const fits = Number.isInteger(value) && (value as number) > 0;
    if (fits && dividend % (value as number) === 0) return value as number;
    throw this.wrong(field, show(value), expected);
  }

  /** A number above 0 in f32. */
  positive(field: string): number {
    return this.#number(field, "a number above 0", (value) => value > 0);
  }

  /** A number of at least 0. */
  notNegative(field: string): number {
    return this.#number(field, "a number of 0 or more", (value) => value >= 0);
  }

  #number(field: string, expected: string, fits: (f32: number) => boolean): number {
    const value = this.value(field, expected);
    // Checked as f32, which shaders use: there 1e-50 is 0, and 1e50 is infinite.
    if (typeof value === "number") {
      const f32 = Math.fround(value);
      if (Number.isFinite(f32) && fits(f32)) return value;
    }
    throw this.wrong(field, show(value), expected);
  }
}
