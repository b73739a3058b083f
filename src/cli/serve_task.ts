/**
 * What `deno task serve` runs: the server, and a look now and then at the npx that started the task.
 * npx hands SIGTERM to a shell that does not hand it on, so that the server would stay on its port. A
 * served process can see its parent only; this one may run `ps`, and the task below it.
 */

/** Milliseconds between two looks. */
const INTERVAL = 1000;

/** A process as `ps` shows it. */
export interface ProcessLine {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** Reads the output of `ps -A -o pid=,ppid=,args=`. */
export function readProcesses(output: string): ReadonlyMap<number, ProcessLine> {
  const lines = output.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm);
  return new Map(
    [...lines].map(([, pid, parent, command]) => {
      return [Number(pid), { pid: Number(pid), parent: Number(parent), command }];
    }),
  );
}

/**
 * The processes from a parent up to the npx above it; empty where there is none.
 * @param parent the process that started this one
 */
export function chainToNpx(
  processes: ReadonlyMap<number, ProcessLine>,
  parent: number,
): readonly number[] {
  const chain: number[] = [];
  let process = processes.get(parent);
  while (process && !chain.includes(process.pid)) {
    chain.push(process.pid);
    if (/\bnpx\b|\bnpm(-cli\.js)? exec\b/.test(process.command)) return chain;
    process = processes.get(process.parent);
  }
  return [];
}

/** The processes that are there; undefined where they cannot be listed, now or, as on Windows, ever. */
async function processes(): Promise<ReadonlyMap<number, ProcessLine> | undefined> {
  try {
    const command = new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid=,args="] });
    const { success, stdout } = await command.output();
    return success ? readProcesses(new TextDecoder().decode(stdout)) : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves when the npx that started this process has ended; never, where none did. */
async function npxEnd(): Promise<void> {
  const before = await processes();
  const chain = before ? chainToNpx(before, Deno.ppid) : [];
  while (chain.length > 0) {
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    const now = await processes();
    if (now && String(chainToNpx(now, Deno.ppid)) !== String(chain)) return;
  }
  await new Promise(() => {});
}

if (import.meta.main) {
  const server = new Deno.Command(Deno.execPath(), {
    args: ["task", "unmask", "serve", ...Deno.args],
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const hand = (signal: Deno.Signal) => {
    try {
      server.kill(signal);
    } catch {
      // It has ended.
    }
  };
  // A terminal sends Ctrl-C to the server as well; it takes both for one.
  Deno.addSignalListener("SIGINT", () => hand("SIGINT"));
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => hand("SIGTERM"));
  npxEnd().then(() => hand("SIGTERM"));
  Deno.exit((await server.status).code);
}
