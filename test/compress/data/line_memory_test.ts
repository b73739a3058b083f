/** A file of data is not held in memory. */

import { assert, assertEquals } from "@std/assert";
import { LineFile } from "../../../src/compress/data/line_file.ts";
import { alone } from "../../alone.ts";
import { heapInUse } from "../../heap.ts";

const LINES = 1 << 16;

alone(import.meta.url, () => {
  Deno.test("of a file of 64 MiB, 12 bytes a line are kept", async () => {
    const path = Deno.makeTempFileSync({ suffix: ".jsonl" });
    try {
      const line = new TextEncoder().encode(`${JSON.stringify({ text: "x".repeat(1012) })}\n`);
      const file = Deno.openSync(path, { write: true });
      const block = new Uint8Array(64 * line.length);
      for (let at = 0; at < block.length; at += line.length) block.set(line, at);
      for (let written = 0; written < LINES; written += 64) file.writeSync(block);
      file.close();
      const before = await heapInUse() + Deno.memoryUsage().external;
      using lines = new LineFile(path);
      const kept = await heapInUse() + Deno.memoryUsage().external - before;
      assertEquals([lines.count, lines.byteLength], [LINES, LINES * line.length]);
      assertEquals(lines.line(LINES - 1).length, line.length);
      assert(kept < 12 * LINES + 500_000, `${kept} bytes kept for ${LINES} lines`);
    } finally {
      Deno.removeSync(path);
    }
  });
});
