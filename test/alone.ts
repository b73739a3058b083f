/** Tests that change the whole process, which other files' tests share: they get one of their own. */

import { assertEquals } from "@std/assert";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Names the file whose tests a process is for. */
const VARIABLE = "UNMASK_TEST_ALONE";
const ROOT = fileURLToPath(new URL("../", import.meta.url));

/**
 * Defines a file's tests: in a process that was started for them, or as one test that starts it and
 * passes where all of them do.
 * @param url the file's `import.meta.url`
 */
export function alone(url: string, define: () => void): void {
  const file = fileURLToPath(url);
  if (Deno.env.get(VARIABLE) === file) return define();
  const name = relative(ROOT, file);
  Deno.test(`in a process of its own: ${name}`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--lock=.lock/test.lock", "--allow-all", "--no-check", name],
      cwd: ROOT,
      env: { [VARIABLE]: file, NO_COLOR: "1" },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertEquals(code, 0, decode(stdout) + decode(stderr));
  });
}
