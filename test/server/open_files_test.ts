import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { connectionsThatFit } from "../../src/server/open_files.ts";
import { Running } from "../cli/command.ts";
import { OWN_CACHE } from "../cli/own_cache.ts";
import { skipIf } from "../skip.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NOT_HERE = Deno.build.os === "windows" ? "it has no ulimit" : undefined;

Deno.test("where there are files enough, as many connections fit as are wanted", () => {
  assertEquals(connectionsThatFit(16), { connections: 16, backlog: 40 });
});

/** A program that may open so many files. */
function limited(files: number, args: readonly string[]): Running {
  return new Running(
    new Deno.Command("sh", {
      args: ["-c", `ulimit -n ${files}; exec "$DENO" "$@"`, "sh", ...args],
      cwd: ROOT,
      env: { NO_COLOR: "1", DENO: Deno.execPath(), INIT_CWD: ROOT, ...OWN_CACHE },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }),
  );
}

/** The answer of a server that resets connections until it has seen the end of others. */
async function answered(url: string): Promise<Response> {
  const signal = AbortSignal.timeout(20_000);
  for (;;) {
    try {
      return await fetch(url, { signal });
    } catch (error) {
      if (signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

Deno.test({
  ...skipIf(NOT_HERE, "with few files a server takes fewer connections, says so, and goes on"),
  async fn() {
    const args = ["task", "-q", "unmask", "serve", "--port", "0", "--quiet"];
    await using server = limited(160, args);
    const [, fits] = await server.stderr.match(/it takes (\d+) connections at once, not 512/);
    assert(Number(fits) > 8 && Number(fits) < 112, fits);
    const [url] = await server.stdout.match(/http:\/\/127\.0\.0\.1:\d+(?=\/v1)/);
    const port = Number(new URL(url).port);
    const connections: Deno.Conn[] = [];
    for (let i = 0; i < 112; i++) {
      connections.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    }
    // Those beyond are closed or reset.
    const beyond = connections.map((one) => one.read(new Uint8Array(1)).catch(() => null));
    assertEquals(await Promise.race(beyond), null);
    for (const connection of connections) connection.close();
    await Promise.all(beyond);
    assertEquals((await (await answered(`${url}/health`)).json()).status, "ok");
  },
});
