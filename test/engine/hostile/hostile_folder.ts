/** A model folder made to harm whoever loads it, from the embedded one: one trick each. */
import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** One trick. */
export interface Hostile {
  readonly name: string;
  /** Changes a folder that is good until then. */
  build(dir: string): void;
  /** Matches the error, which begins with the path of the file. */
  readonly message: RegExp;
}

/** The embedded folder. */
export const TINY = fileURLToPath(new URL("../../../models/tiny-target", import.meta.url));
const FILES = [...Deno.readDirSync(TINY)].map(({ name }) => name);
export const WEIGHTS = "model.safetensors";
export const INDEX = "model.safetensors.index.json";
export const CONFIG = "config.json";
export const TOKENIZER = "tokenizer.json";
export const TOKENIZER_CONFIG = "tokenizer_config.json";
export const TEMPLATE = "chat_template.jinja";

/** Makes the folder of a trick in an empty one. */
export function makeHostile({ build }: Hostile, dir: string): void {
  for (const name of FILES) Deno.symlinkSync(join(TINY, name), join(dir, name));
  build(dir);
}

/** Puts a file into the folder. */
export function write(dir: string, name: string, content: string | Uint8Array): void {
  const path = join(dir, name);
  try {
    Deno.removeSync(path);
  } catch {
    // It was not there.
  }
  if (typeof content === "string") Deno.writeTextFileSync(path, content);
  else Deno.writeFileSync(path, content);
}

// deno-lint-ignore no-explicit-any
export type Json = any;

/** A file of the embedded folder. */
export function json(name: string): Json {
  return JSON.parse(Deno.readTextFileSync(join(TINY, name)));
}

/** A JSON file that is changed. */
export function edited(
  file: string,
  name: string,
  edit: (json: Json) => void,
  message: RegExp,
): Hostile {
  return {
    name,
    message,
    build(dir) {
      const value = json(file);
      edit(value);
      write(dir, file, JSON.stringify(value));
    },
  };
}

/** A file with other content. */
export function replaced(
  file: string,
  name: string,
  content: () => string | Uint8Array,
  message: RegExp,
): Hostile {
  return { name, message, build: (dir: string) => write(dir, file, content()) };
}
