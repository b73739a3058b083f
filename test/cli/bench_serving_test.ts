/** `unmask bench serving` as a child process. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import type { ServingBench } from "../../src/bench/serving.ts";
import { runTask } from "./command.ts";

Deno.test("bench serving: tables, all of it as JSON, a picture, and every answer as alone", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const [json, picture] = ["out.json", "out.png"].map((name) => join(dir, name));
    const { code, stdout, stderr } = await runTask("bench", [
      ...["serving", "--concurrency", "3", "--limit", "4", "--rounds", "2"],
      ...["--only", "threshold,commit_verify", "--json", json, "--picture", picture],
    ]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /^serving: 100 % of 10 times 4 requests/m);
    for (const name of ["threshold", "commit_verify"]) {
      assertStringIncludes(stdout, `${name}: 16 of 16 answers were those of one alone, bit by bit`);
    }
    const report: ServingBench = JSON.parse(await Deno.readTextFile(json));
    assertEquals(report.passes.map(({ rows }) => rows), [32, 128, 512]);
    assertEquals(report.shared.map(({ kind, sequences }) => [kind, sequences]), [
      ...[1, 2, 3].map((sequences) => ["whole", sequences]),
      ...[1, 2, 3].map((sequences) => ["block", sequences]),
    ]);
    for (const { milliseconds } of [...report.passes, ...report.shared]) assert(milliseconds > 0);
    for (const { levels } of report.settings) {
      assertEquals(levels.map(({ concurrency }) => concurrency), [1, 3]);
      const [alone, three] = levels;
      assertEquals(three.rounds.length, 2);
      assertEquals(three.toAlone, alone.fastest.seconds / three.fastest.seconds);
      assertEquals(three.fastest.forwards, alone.fastest.forwards);
      assertEquals(alone.fastest.requestsPerPass, 1);
      // Whether requests share a pass is decided by what passes cost on this device.
      const { requestsPerPass } = three.fastest;
      assert(requestsPerPass >= 1 && requestsPerPass <= 3, `${requestsPerPass}`);
    }
    assertEquals([...(await Deno.readFile(picture)).subarray(1, 4)], [
      ...new TextEncoder().encode("PNG"),
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  const refused = await runTask("bench", ["serving", "--concurrency", "1,x"]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "--concurrency 1,x: expected whole numbers from 1");
});
