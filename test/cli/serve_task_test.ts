import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { chainToNpx, readProcesses } from "../../src/cli/serve_task.ts";
import { skipIf } from "../skip.ts";
import { Running } from "./command.ts";
import { OWN_CACHE } from "./own_cache.ts";

const LISTED = `    1     0 /sbin/init
  400     1 bash
  410   400 npm exec deno@2.9.6 task serve --port 8243
  420   410 sh -c 'deno' task serve --port 8243
  430   420 deno task serve --port 8243
  500   400 deno task serve
`;

Deno.test("the chain to npx is found, and known to be broken when a process of it ends", () => {
  const processes = readProcesses(LISTED);
  assertEquals(processes.size, 6);
  assertEquals(chainToNpx(processes, 430), [430, 420, 410]);
  // npx ended: the shell has another parent.
  const without = readProcesses(
    LISTED.replace(/^.*npm exec.*\n/m, "").replace("420   410", "420     1"),
  );
  assertEquals(chainToNpx(without, 430), []);
});

Deno.test("a task that no npx started watches nothing", () => {
  assertEquals(chainToNpx(readProcesses(LISTED), 500), []);
  assertEquals(chainToNpx(readProcesses("  5   5 loop\n"), 5), []);
  assertEquals(chainToNpx(readProcesses(""), 7), []);
});

async function found(command: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

const MISSING = await found("npx") ? undefined : "there is no npx";

Deno.test({
  ...skipIf(MISSING, "SIGTERM to the README's npx command stops the server"),
  async fn() {
    await using running = new Running(
      new Deno.Command("npx", {
        args: ["--yes", "deno@2.9.6", "task", "serve", "--port", "0"],
        cwd: fileURLToPath(new URL("../../", import.meta.url)),
        env: { NO_COLOR: "1", ...OWN_CACHE },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        detached: true,
      }),
    );
    const [url] = await running.stdout.match(/http:\/\/127\.0\.0\.1:\d+(?=\/v1)/);
    assertEquals((await (await fetch(`${url}/health`)).json()).status, "ok");
    running.kill("SIGTERM");
    // The streams end when the last process of the chain has ended.
    await running.end();
    const after = await fetch(`${url}/health`).then(() => "answered", () => "gone");
    assertEquals(after, "gone");
    assert(!running.stderr.text.includes("unmask:"), running.stderr.text);
  },
});
