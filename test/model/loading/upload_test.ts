import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { UploadReport } from "./upload_memory.ts";

/** Host memory that loading may take beyond what lies on the device. */
const MOST_BYTES = 64 * 2 ** 20;

Deno.test("300 MB of weights take at most 64 MiB of host memory on their way", async () => {
  const program = fileURLToPath(new URL("upload_memory.ts", import.meta.url));
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--frozen", "--lock=.lock/test.lock", "-A", program],
    cwd: fileURLToPath(new URL("../../../", import.meta.url)),
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  const report: UploadReport = JSON.parse(new TextDecoder().decode(stdout));
  assert(report.pieces > 60, `${report.pieces} pieces`);
  assert(report.worstBytes <= MOST_BYTES, `${report.worstBytes} bytes beyond the device's`);
  assertEquals(report.answered, report.asked);
});
