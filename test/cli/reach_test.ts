/** What a process that serves can still reach: it is asked, in both of its threads. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { VARIABLES } from "../../src/cli/permissions.ts";
import type { Report } from "./asks_for_more.ts";
import { knownAnswer, Running } from "./command.ts";
import { OWN_CACHE } from "./own_cache.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What a server needs. */
const NEEDED = ["read the model", "know free memory"];
/** What the task permits, because it does not know the command. */
const AT_START = [
  ...NEEDED,
  "read a file",
  "read it through node:fs",
  "read the users",
  "read beside the model",
  "list the root",
  "list the working folder",
  "write a file",
  "write to the working folder",
  "write to the model",
  "connect to a port",
  "fetch from a port",
  "listen",
  "know HOME",
  "know the keys",
  "know other variables",
];
const { prompt, answer } = knownAnswer("2026-006");

/**
 * Starts `serve` by the task's command, with asks_for_more.ts before it. The file that it is asked for
 * later is its file of keys, which it reads once.
 */
function serveAsking(folder: string, model: string, port: number): Running {
  const preload = new URL("./asks_for_more.ts", import.meta.url);
  preload.search = `${new URLSearchParams({ folder, model, port: `${port}` })}`;
  const command = config.tasks.unmask.command
    .replace("--no-prompt", `--no-prompt --preload="${preload}"`);
  return new Running(
    new Deno.Command(Deno.execPath(), {
      args: [
        "task",
        "--eval",
        `${command} serve --port 0 --model "${model}" --api-keys "${join(folder, "secret")}"`,
      ],
      cwd: root,
      env: { NO_COLOR: "1", INIT_CWD: folder, UNMASK_API_KEYS: "a-key", ...OWN_CACHE },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }),
  );
}

/** The next report of a thread. */
async function reported(server: Running, asked: Report["asked"], from = 0): Promise<Report> {
  const [line] = await server.stdout.match(new RegExp(`^\\{"asked":"${asked}".*$`, "m"), from);
  return JSON.parse(line);
}

/** What was given, or refused for another reason than that it may not be. */
const notDenied = ({ answers }: Report) =>
  Object.entries(answers).filter(([, answer]) => answer !== "denied")
    .map(([what, answer]) => answer === "given" ? what : `${what}: ${answer}`);

Deno.test("a process that serves is denied all but its model and its code, in both threads", async () => {
  const folder = await Deno.makeTempDir({ prefix: "unmask_reach_" });
  const other = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("", { headers: { "content-type": "text/javascript" } }),
  );
  try {
    await Deno.writeTextFile(join(folder, "secret"), "nobody should know");
    await Deno.writeTextFile(join(folder, "module.js"), "");
    const model = join(folder, "model");
    await Deno.mkdir(model);
    for (const { name } of Deno.readDirSync(join(root, "models/tiny-target"))) {
      await Deno.copyFile(join(root, "models/tiny-target", name), join(model, name));
    }
    await using server = serveAsking(folder, model, other.addr.port);
    const start = await reported(server, "at start");
    // As the task permits, before the options are known: what is denied later is not so by chance.
    assertEquals(notDenied(start), AT_START);
    const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
    await server.stdout.match(/^Model model is ready on /m);
    const answers = async () => {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: "Bearer a-key" },
        body: JSON.stringify({ messages: [{ role: "user", content: prompt }] }),
      });
      assertEquals((await response.json()).choices[0].message.content, answer);
    };
    const bothAreDenied = async () => {
      const from = server.stdout.text.length;
      Deno.kill(start.pid, "SIGUSR2");
      for (const thread of ["main", "worker"] as const) {
        const report = await reported(server, thread, from);
        assert(Object.keys(report.answers).length > AT_START.length);
        assertEquals(notDenied(report), NEEDED, thread);
      }
    };
    await answers();
    await bothAreDenied();
    // The Worker that takes another's place loads the model again, with no more permissions.
    Deno.kill(start.pid, "SIGCONT");
    await server.stderr.match(/it threw: .*as it was told to/);
    await server.stdout.match(/^Model model is ready again/m);
    await bothAreDenied();
    await answers();
  } finally {
    await other.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the variables that a command knows of are those of its task", () => {
  for (const { command } of [config.tasks.unmask, config.tasks.dawn]) {
    const [, names] = /--allow-env=(\S+)/.exec(command)!;
    assertEquals(names.split(","), VARIABLES);
  }
});
