/** The driver set-up, with the adapter that is there, without one, and with an apt-get that only notes. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { noAdapterMessage } from "../../src/gpu/device.ts";
import { runTask } from "./command.ts";

const script = fileURLToPath(new URL("../../src/cli/setup.ts", import.meta.url));

/** Points the Vulkan loader at drivers that are not there. */
const NO_DRIVER = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" };

interface Ran {
  readonly code: number;
  readonly stderr: string;
  readonly stdout: string;
  /** Calls of apt-get, one a line. */
  readonly calls: string;
}

/**
 * Runs one step of setup.ts with the task's permissions, but with a folder of its own as PATH.
 * @param options.apt body of a shell script that stands for apt-get; without one there is none
 * @param options.user runs it as another user
 */
async function setup(
  step: string,
  options: { readonly apt?: string; readonly user?: number; readonly driver?: boolean } = {},
): Promise<Ran> {
  const dir = await Deno.makeTempDir();
  try {
    const [apt, calls, cache] = ["apt-get", "calls", "cache"].map((name) => join(dir, name));
    await Deno.writeTextFile(calls, "");
    await Deno.mkdir(cache);
    if (options.apt !== undefined) {
      await Deno.writeTextFile(
        apt,
        `#!/bin/sh\necho "$DEBIAN_FRONTEND: $*" >> '${calls}'\n${options.apt}\n`,
        { mode: 0o755 },
      );
    }
    for (const path of [dir, calls, cache]) await Deno.chmod(path, 0o777);
    const command = [
      Deno.execPath(),
      "run",
      "--no-prompt",
      "--no-lock",
      "--allow-env=DENO_WEBGPU_BACKEND,XDG_RUNTIME_DIR",
      "--allow-sys=uid",
      `--allow-run=${apt}`,
      script,
      step,
    ];
    // Another user could not read what belongs to this one, such as Deno itself.
    const asUser = options.user === undefined ? [] : [
      "/usr/bin/setpriv",
      `--reuid=${options.user}`,
      "--clear-groups",
      "--inh-caps=+dac_override",
      "--ambient-caps=+dac_override",
    ];
    const [program, ...args] = [...asUser, ...command];
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      env: {
        PATH: dir,
        NO_COLOR: "1",
        ...options.user === undefined ? {} : { DENO_DIR: cache },
        ...options.driver ? {} : NO_DRIVER,
      },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return {
      code,
      stdout: text(stdout),
      stderr: text(stderr).replace(/^(Download|Info) .*\n/gm, ""),
      calls: await Deno.readTextFile(calls),
    };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("setup is silent where an adapter is found", async () => {
  const { code, stdout, stderr } = await runTask("setup", []);
  assertEquals([code, stdout, stderr], [0, "", ""]);
  const ran = await setup("install", { driver: true, apt: "exit 0" });
  assertEquals(ran, { code: 0, stdout: "", stderr: "", calls: "" });
});

Deno.test("setup says in one message what is missing and how to install it", async () => {
  const { code, stdout, stderr } = await setup("verify", { apt: "exit 0" });
  assertEquals([code, stdout, stderr], [1, "", `unmask: ${noAdapterMessage(Deno.build.os)}\n`]);
  for (
    const line of [
      "  Debian/Ubuntu: sudo apt-get install mesa-vulkan-drivers\n",
      "  Fedora: sudo dnf install mesa-vulkan-drivers\n",
      "  Arch: sudo pacman -S vulkan-swrast\n",
    ]
  ) assertStringIncludes(stderr, line);
});

/** What `install` leaves where it may not install anything. */
const NOTHING: Ran = { code: 1, stdout: "", stderr: "", calls: "" };
const isRoot = Deno.uid() === 0;
/** Somebody who is not root. */
const otherUser = isRoot ? 65534 : undefined;

Deno.test("setup installs the driver with apt as root, and nothing as another user", async () => {
  assertEquals(await setup("install", { apt: "exit 0", user: otherUser }), NOTHING);
  const ran = await setup("install", { apt: "exit 0" });
  if (!isRoot) return assertEquals(ran, NOTHING);
  assertEquals([ran.code, ran.stdout], [1, ""]);
  assertEquals(
    ran.stderr,
    "unmask: no GPU adapter found; installing the software driver mesa-vulkan-drivers with apt\n" +
      "unmask: installed mesa-vulkan-drivers\n",
  );
  const [version, update, install, ...others] = ran.calls.trim().split("\n");
  assertEquals([version, update, others], [
    "noninteractive: --version",
    "noninteractive: update",
    [],
  ]);
  assertMatch(install, /^noninteractive: install --yes .* mesa-vulkan-drivers$/);
});

Deno.test("setup shows what apt said when it failed", async () => {
  const failing = 'if [ "$1" = install ]; then echo "E: no such package" >&2; exit 100; fi';
  const ran = await setup("install", { apt: failing });
  if (!isRoot) return assertEquals(ran, NOTHING);
  assertEquals(ran.code, 1);
  assertMatch(ran.stderr, /^E: no such package\nunmask: apt-get install .* failed$/m);
  assert(!ran.stderr.includes("unmask: installed"));
});

Deno.test("a driver that was installed is found by the process that verifies", async () => {
  const { code, stderr } = await setup("verify", { driver: true });
  assertEquals(code, 0);
  assertMatch(stderr, /^unmask: found .+\n$/);
});

Deno.test("the setup task without adapter and apt prints its message once, and fails", async () => {
  assertEquals(await setup("install"), NOTHING);
  const dir = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await runTask("setup", [], {
      env: { PATH: dir, ...NO_DRIVER },
    });
    assertEquals([code, stdout], [1, ""]);
    assertEquals(stderr, `unmask: ${noAdapterMessage(Deno.build.os)}\n`);
  } finally {
    await Deno.remove(dir);
  }
});
