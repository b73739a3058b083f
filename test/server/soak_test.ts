/** More streaming clients than may wait, for 8 s: `soak.ts` is the same for as long as is asked. */
import { assert, assertEquals } from "@std/assert";
import { skipIf } from "../skip.ts";
import { growth, runSoak, soakTable } from "./soak.ts";

/** Milliseconds within which `/health` must answer, on a machine that wakes a clock in time. */
const HEALTHY = 50;
/**
 * Share by which memory may be above what it was at first: 5% once heaps have settled, which takes
 * more answers than there is time for here, and 20 MB.
 */
const MOST_GROWTH = 0.05 + 20 / 300;
const SHORT = { seconds: 8, warmUp: 3, warmAnswers: 48 };
const NOT_HERE = Deno.build.os === "linux" ? undefined : "it needs /dev/full and ps";

Deno.test({
  ...skipIf(
    NOT_HERE,
    "64 clients of which 24 may wait: each is answered right or told to come again",
  ),
  async fn() {
    const report = await runSoak({ ...SHORT, clients: 64, maxWaiting: 24 });
    console.log(soakTable(report));
    assertEquals(report.wrong, []);
    assert(report.right >= 24 && report.refused > 0, `${report.right}, ${report.refused}`);
    assert(report.retryAfter!.p50 >= 1, `${report.retryAfter!.p50} s`);
    // Both threads, the server's and the watcher's, may be woken as late as the watcher's clock was.
    const most = HEALTHY + 2 * report.watcherLate.p100;
    assert(report.health.p100 <= most, `${report.health.p100} ms, of at most ${most}`);
    assert(growth(report) <= MOST_GROWTH, `${report.memory.samples} MB`);
    assertEquals(report.exitCode, 0);
  },
});
