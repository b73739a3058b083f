/** The server's process is told to end, or killed, while clients stream; then it is started again. */

import { OWN_CACHE } from "../../cli/own_cache.ts";
import type { Fault, Happening } from "./fault.ts";
import { ask } from "./light_load.ts";

/** Milliseconds that answers under way may take, on a busy machine too. */
const PATIENCE = 60_000;

/** Answers that are under way for certain when a signal comes. */
function underWay(
  { server }: Happening,
  answers: number,
): Promise<Awaited<ReturnType<typeof ask>>[]> {
  return Promise.all(Array.from({ length: answers }, (_, i) => ask(server.url, i)));
}

/** Files below the cache folder whose writing was begun and not ended. */
async function halfWritten(): Promise<readonly string[]> {
  const folder = OWN_CACHE.XDG_CACHE_HOME;
  if (folder === undefined) return [];
  const { stdout } = await new Deno.Command("find", { args: [folder, "-type", "f"] }).output();
  const files = new TextDecoder().decode(stdout).split("\n").filter((file) => file !== "");
  const broken: string[] = [];
  for (const file of files) {
    if (/\.(tmp|part|new)$|~$/.test(file)) broken.push(file);
    else if (file.endsWith(".json")) {
      try {
        JSON.parse(await Deno.readTextFile(file));
      } catch {
        broken.push(file);
      }
    }
  }
  return broken;
}

/** Starts it again, on the same port, and asks at once. */
async function restart({ server, tell, fail, random }: Happening, what: string): Promise<void> {
  const took = await server.restart();
  const question = Math.floor(random() * 5);
  const { told, text } = await ask(server.url, question);
  if (told !== undefined) fail(`${what}: the first answer is ${told}: ${text}`);
  const broken = await halfWritten();
  if (broken.length > 0) fail(`${what}: half written: ${broken}`);
  tell("started again", took);
}

export const sigterm: Fault = {
  kind: "SIGTERM",
  server: "task",
  counts: { short: 1, full: 3 },
  clients: 3,
  // Those who ask while it ends, those whose connection is closed behind an answer, and those who
  // come before it listens again.
  told: ["shutting_down", "refused", "model_loading"],
  async happen(happening) {
    const { server, count, tell, fail, load } = happening;
    for (let i = 0; i < count; i++) {
      await load.more(2);
      const answers = underWay(happening, 3);
      while ((await server.requests()).running === 0) await new Promise((go) => setTimeout(go, 5));
      const begun = performance.now();
      server.kill("SIGTERM");
      const code = await Promise.race([
        server.ended(),
        new Promise<void>((resolve) => setTimeout(resolve, PATIENCE)),
      ]);
      tell(`exit code ${code}`, performance.now() - begun);
      if (code !== 0) fail(`it ended with ${code}`);
      for (const { told, text } of await answers) {
        // One that came after the signal is refused; none that had begun is cut.
        if (told !== undefined && told !== "shutting_down") fail(`under way: ${told}: ${text}`);
        else tell(told === undefined ? "finished" : "refused", 0);
      }
      await restart(happening, "SIGTERM");
    }
    await load.more(3);
  },
};

export const sigkill: Fault = {
  kind: "SIGKILL",
  server: "task",
  counts: { short: 1, full: 3 },
  clients: 3,
  told: ["cut", "broken off", "refused", "model_loading"],
  async happen(happening) {
    const { server, count, load } = happening;
    for (let i = 0; i < count; i++) {
      await load.more(2);
      server.kill("SIGKILL");
      await server.ended();
      await restart(happening, "SIGKILL");
    }
    await load.more(3);
  },
};
