/** Model folders made to harm whoever loads them. */
import { join } from "node:path";
import {
  CONFIG,
  edited,
  type Hostile,
  replaced,
  TEMPLATE,
  TOKENIZER,
  TOKENIZER_CONFIG,
  WEIGHTS,
} from "./hostile_folder.ts";
import { TEMPLATES, TOKENIZERS } from "./text.ts";
import { HEADERS, INDEXES } from "./weights.ts";

/** Each file of the folder as what has no end, or no content. */
const DEVICES: readonly Hostile[] = [
  CONFIG,
  WEIGHTS,
  TOKENIZER,
  TOKENIZER_CONFIG,
  TEMPLATE,
  "generation_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
].flatMap((file) => [
  {
    name: `${file} is /dev/zero`,
    message: /file is a folder or device, expected a plain file/,
    build(dir: string) {
      removeIfThere(join(dir, file));
      Deno.symlinkSync("/dev/zero", join(dir, file));
    },
  },
  {
    name: `${file} is a pipe`,
    message: /file is a folder or device, expected a plain file/,
    build(dir: string) {
      removeIfThere(join(dir, file));
      new Deno.Command("mkfifo", { args: [join(dir, file)] }).outputSync();
    },
  },
  {
    name: `${file} is a folder`,
    message: /file is a folder or device, expected a plain file/,
    build(dir: string) {
      removeIfThere(join(dir, file));
      Deno.mkdirSync(join(dir, file));
    },
  },
  {
    name: `${file} is a link to itself`,
    message: /circle of symbolic links/,
    build(dir: string) {
      removeIfThere(join(dir, file));
      Deno.symlinkSync(file, join(dir, file));
    },
  },
]);

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not there.
  }
}

function config(field: string, value: unknown, message: RegExp): Hostile {
  return edited(CONFIG, `${field} ${value}`, (json) => json[field] = value, message);
}

const CONFIGS: readonly Hostile[] = [
  config("n_layers", 1e9, /n_layers is 1000000000/),
  config("n_layers", 4096, /is missing, expected shape/),
  config("n_layers", "8", /n_layers is "8"/),
  config("n_layers", -1, /n_layers is -1/),
  config("n_heads", 0, /n_heads is 0/),
  config("d_model", 2 ** 24, /config\.json|shape is/),
  config("vocab_size", 2 ** 31, /vocab_size is 2147483648/),
  config("max_sequence_length", 2 ** 31, /max_sequence_length is 2147483648/),
  config("rms_norm_eps", 0, /rms_norm_eps is 0/),
  config("rope_theta", 1e308, /rope_theta is 1e\+308/),
  config("eos_token_id", Array.from({ length: 100_000 }, (_, i) => i), /eos_token_id/),
  replaced(CONFIG, "brackets", () => "[".repeat(500_000), /depth is above 64/),
  replaced(CONFIG, "a config too large", () => " ".repeat(2 ** 20 + 1), /size is 1048577 bytes/),
  replaced(CONFIG, "a config not UTF-8", () => new Uint8Array([0xff, 0xfe]), /not valid UTF-8/),
  replaced("generation_config.json", "defaults of brackets", () => "[".repeat(500_000), /depth is/),
  replaced("generation_config.json", "steps of 1e9", () => '{"steps":1000000000}', /steps is/),
];

/** All tricks. */
export const HOSTILE: readonly Hostile[] = [
  ...HEADERS,
  ...INDEXES,
  ...DEVICES,
  ...CONFIGS,
  ...TOKENIZERS,
  ...TEMPLATES,
];
