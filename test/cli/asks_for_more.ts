/**
 * Preloaded into a process that serves: at its start, and in both of its threads on SIGUSR2, it asks
 * for more than a server needs, and prints what it was given. On SIGCONT the engine's Worker throws.
 * The folder that it wants, a port and the model's folder stand in its URL.
 */

/** What was asked for, and the answer: `denied`, or what came instead. */
export type Answers = Readonly<Record<string, string>>;

/** A line that is printed. */
export interface Report {
  readonly asked: "at start" | "main" | "worker";
  readonly pid: number;
  readonly answers: Answers;
}

/**
 * Asks. Its text also runs in the Worker, which may not read this file.
 * @param lasting whether to ask as well for what lasts, once it was given
 */
async function ask(
  lasting: boolean,
  folder: string,
  port: number,
  model: string,
): Promise<Answers> {
  const fs = await import("node:fs");
  const { spawnSync } = await import("node:child_process");
  const hostname = "127.0.0.1";
  const granted = ({ state }: Deno.PermissionStatus) => state === "granted" || undefined;
  // An attempt that gives undefined was denied, as one that throws.
  const attempts: Record<string, () => unknown> = {
    "read the model": () => Deno.readTextFileSync(`${model}/config.json`),
    "know free memory": () => Deno.systemMemoryInfo(),
    "read a file": () => Deno.readTextFileSync(`${folder}/secret`),
    "read it through node:fs": () => fs.readFileSync(`${folder}/secret`),
    "read the users": () => Deno.readTextFileSync("/etc/passwd"),
    "read beside the model": () => Deno.readTextFileSync(`${model}/../secret`),
    "list the root": () => [...Deno.readDirSync("/")],
    "list the working folder": () => [...Deno.readDirSync(".")],
    "write a file": () => Deno.writeTextFileSync(`${folder}/written`, "") ?? true,
    "write to the working folder": () => Deno.writeTextFileSync("written", "") ?? true,
    "write to the model": () => Deno.writeTextFileSync(`${model}/written`, "") ?? true,
    "link the model's folder elsewhere": () => Deno.symlinkSync("/", `${model}/link`) ?? true,
    "connect to a port": async () => (await Deno.connect({ hostname, port })).close() ?? true,
    "fetch from a port": async () => (await fetch(`http://${hostname}:${port}`)).status,
    "fetch from a host": async () => (await fetch("http://192.0.2.1")).status,
    "resolve a name": () => Deno.resolveDns("example.com", "A"),
    "listen": () => Deno.listen({ hostname, port: 0 }).close() ?? true,
    "know PATH": () => Deno.env.get("PATH"),
    "know HOME": () => Deno.env.get("HOME"),
    "know the keys": () => Deno.env.get("UNMASK_API_KEYS"),
    "know other variables": () =>
      Object.keys(Deno.env.toObject()).find((name) =>
        !["DENO_WEBGPU_BACKEND", "XDG_RUNTIME_DIR"].includes(name)
      ),
    "know the host's name": () => Deno.hostname(),
    "know its addresses": () => Deno.networkInterfaces(),
    "run a program": () => new Deno.Command(Deno.execPath(), { args: ["-V"] }).outputSync(),
    "run one by node:child_process": () => spawnSync("true").status === 0 || undefined,
    "load a library": () => Deno.dlopen(`${folder}/secret`, {}),
  };
  if (lasting) {
    Object.assign(attempts, {
      "be permitted to read": () => granted(Deno.permissions.requestSync({ name: "read" })),
      "be permitted a file": () =>
        granted(Deno.permissions.requestSync({ name: "read", path: `${folder}/secret` })),
      "be permitted to connect": () => granted(Deno.permissions.requestSync({ name: "net" })),
      "import from a port": () => import(`http://${hostname}:${port}/module.js`),
      "import from a host": () => import("https:" + "//esm.sh/left-pad"),
      "import a package": () => import("npm:" + "@unmask/no-such-package@1.0.0"),
      "import a file": () => import(`file://${folder}/module.js`),
    });
  }
  const answers: Record<string, string> = {};
  for (const [what, attempt] of Object.entries(attempts)) {
    try {
      answers[what] = await attempt() === undefined ? "denied" : "given";
    } catch (error) {
      const { name, message } = error as Error;
      const denied = name === "NotCapable" || /^Requires \w+ access|--cached-only/.test(message);
      answers[what] = denied ? "denied" : `${name}: ${message}`;
    }
  }
  return answers;
}

const parameters = new URL(import.meta.url).searchParams;
const asking = [
  parameters.get("folder")!,
  Number(parameters.get("port")),
  parameters.get("model")!,
] as const;

const report = (asked: Report["asked"], answers: Answers) =>
  console.log(JSON.stringify({ asked, pid: Deno.pid, answers } satisfies Report));

/** A Worker that also asks, and throws, when it is told to. */
class AskingWorker extends Worker {
  constructor(specifier: string | URL, options?: WorkerOptions) {
    const text = `
      import ${JSON.stringify(specifier)};
      const ask = ${ask};
      addEventListener("message", async ({ data }) => {
        if (data.type === "ask") postMessage({ type: "asked", answers: await ask(true, ...data.asking) });
        if (data.type === "throw") setTimeout(() => { throw new Error("as it was told to"); });
      });`;
    super(`data:text/javascript,${encodeURIComponent(text)}`, options);
    this.addEventListener("message", ({ data }) => {
      if (data.type === "asked") report("worker", data.answers);
    });
    worker = this;
  }
}

let worker: Worker | undefined;
globalThis.Worker = AskingWorker;
Deno.addSignalListener("SIGUSR2", async () => {
  report("main", await ask(true, ...asking));
  worker?.postMessage({ type: "ask", asking });
});
Deno.addSignalListener("SIGCONT", () => worker?.postMessage({ type: "throw" }));
report("at start", await ask(false, ...asking));
