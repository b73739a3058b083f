/** Errors about a model folder's files; each says where, what was found, and what to do. */

/** Description of a fault in a file. */
export interface Finding {
  /** Path of the file, or of the folder when a file is missing. */
  readonly file: string;
  /** Name of the tensor, if the fault is about one. */
  readonly tensor?: string;
  /** The field's name in the file (`dtype`, `n_heads`), or a property such as `size`. */
  readonly field?: string;
  /** What was found. */
  readonly found: string;
  /** What was expected. */
  readonly expected: string;
  /** What to do; default: download the file again. */
  readonly remedy?: string;
}

/** The error of a file of a model folder that cannot be used. */
export class ModelFileError extends Error implements Finding {
  readonly file: string;
  readonly tensor?: string;
  readonly field?: string;
  readonly found: string;
  readonly expected: string;

  /** Makes the message from the finding. */
  constructor(finding: Finding) {
    const { file, tensor, field, found, expected, remedy = "Download the file again." } = finding;
    const subject = [tensor === undefined ? [] : `tensor ${show(tensor)}`, field ?? []].flat();
    super(`${file}: ${subject.join(": ")} is ${found}, expected ${expected}. ${remedy}`);
    this.name = new.target.name;
    this.file = file;
    this.tensor = tensor;
    this.field = field;
    this.found = found;
    this.expected = expected;
  }
}

/** The error of weights that cannot be used: a safetensors file, an index, or a tensor. */
export class CheckpointError extends ModelFileError {}

/** The error of a field of config.json or generation_config.json that is missing or wrong. */
export class ConfigError extends ModelFileError {}

/** Formats a JSON value as one short line, so that a hostile file cannot fill the terminal. */
export function show(value: unknown): string {
  if (Array.isArray(value)) {
    const plain = value.length <= 8 && value.every((e) => e === null || typeof e !== "object");
    return plain ? `[${value.map(show).join(", ")}]` : `an array of ${value.length}`;
  }
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, 200)) : String(value);
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`;
}
