import { assert, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { skipIf } from "../skip.ts";
import { HOSTILE } from "./hostile/folders.ts";
import { makeHostile } from "./hostile/hostile_folder.ts";

const script = fileURLToPath(new URL("hostile/load.ts", import.meta.url));
/** Most memory of the whole process, in MB: Deno alone takes 60, the drivers of a GPU 80 more. */
const MOST_MEGABYTES = 250;
/** Seconds after which a process counts as hung. They take 0.3 each on an idle machine. */
const HUNG = 30;

const NOT_HERE = Deno.build.os === "linux" ? undefined : "it needs pipes and devices of Linux";

interface Report {
  readonly message?: string;
  readonly seconds: number;
  readonly peak: number;
}

async function load(dir: string): Promise<Report> {
  const command = new Deno.Command(Deno.execPath(), {
    // As the tasks run it.
    args: ["run", "-A", "--v8-flags=--max-semi-space-size=4", script, dir],
    signal: AbortSignal.timeout(1000 * HUNG),
    stderr: "inherit",
  });
  const { code, signal, stdout } = await command.output();
  assert(code === 0, `it ended with ${signal ?? code}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

const worst = { seconds: 0, peak: 0 };

for (const hostile of HOSTILE) {
  Deno.test({
    ...skipIf(NOT_HERE, `refused: ${hostile.name}`),
    async fn() {
      const dir = await Deno.makeTempDir({ prefix: "unmask-hostile-" });
      try {
        makeHostile(hostile, dir);
        let report = await load(dir);
        // On a busy machine a template is stopped later by the clock, and leaves more behind until then.
        for (let again = 0; again < 3 && report.peak >= MOST_MEGABYTES; again++) {
          report = await load(dir);
        }
        const { message, seconds, peak } = report;
        assert(message !== undefined, "it was loaded");
        assertMatch(message, hostile.message);
        assert(message.startsWith(dir), `the file is not named: ${message}`);
        assert(message.length < 700, `${message.length} characters`);
        assert(peak < MOST_MEGABYTES, `${peak} MB`);
        worst.seconds = Math.max(worst.seconds, seconds);
        worst.peak = Math.max(worst.peak, peak);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

addEventListener("unload", () => {
  console.log(
    `${HOSTILE.length} hostile folders: at most ${worst.seconds.toFixed(1)} s and ` +
      `${worst.peak.toFixed(0)} MB each`,
  );
});
