/** Where the golden data lies, for tests; src/cli/golden_files.ts says what its files hold. */

import { fileURLToPath } from "node:url";

/** Path of a file or folder under test/golden. */
export function goldenPath(path: string): string {
  return fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
}

/** A JSON file under test/golden. */
export function readGolden<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(goldenPath(path)));
}
