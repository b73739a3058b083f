/** Model folders for the text tests: the embedded one, and made-up ones. */
import { loadTokenizer, type TextTokenizer } from "../../src/text/tokenizer.ts";

/** A file or folder beside this one, as a path. */
function pathOf(relative: string): string {
  return decodeURIComponent(new URL(relative, import.meta.url).pathname);
}

/** Folder of the embedded target model. */
export const TINY = pathOf("../../models/tiny-target");

/** Its tokenizer. */
export const tiny: TextTokenizer = loadTokenizer(TINY);

/** Its tokenizer.json, parsed, as a fresh copy to change. */
export function tinyTokenizerJson(): TokenizerJson {
  return JSON.parse(Deno.readTextFileSync(`${TINY}/tokenizer.json`));
}

/** The fields of tokenizer.json that tests change. */
export interface TokenizerJson {
  [field: string]: unknown;
  added_tokens: Record<string, unknown>[];
  model: { [field: string]: unknown; vocab: Record<string, unknown>; merges: unknown[] };
}

/** Prompts with the token ids that the reference tokenizer gives them. */
export const evalItems: { id: string; prompt: string; prompt_ids: number[]; expected: string }[] =
  JSON.parse(Deno.readTextFileSync(pathOf("../../models/eval-public.json"))).items;

/** Runs `body` on a temporary folder with these files: texts as they are, objects as JSON. */
export async function withFolder(
  files: Record<string, unknown>,
  body: (dir: string) => void | Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const text = typeof content === "string" ? content : JSON.stringify(content);
      await Deno.writeTextFile(`${dir}/${name}`, text);
    }
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
