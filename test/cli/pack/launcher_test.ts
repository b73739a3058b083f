/** How the packed file unpacks itself, with a shell program in Deno's place: what it trusts, and what it leaves. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { basename, join } from "node:path";
import { tarGz } from "../../../src/cli/pack/archive.ts";
import { batchFile, selfExtracting } from "../../../src/cli/pack/launcher.ts";
import { ownTarget, type TargetName } from "../../../src/cli/pack/targets.ts";
import { skipIf } from "../../skip.ts";

const noShell = Deno.build.os === "windows" ? "Windows has no sh" : undefined;
const notRoot = noShell ?? (Deno.uid() === 0 ? undefined : "it takes root to be another user");
const FLAGS = ["--no-prompt", "--allow-net=127.0.0.1,[::1],[::]"];
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Tells where it lies and what it was given, a line each, as Deno would get it. */
const FAKE_DENO = `#!/bin/sh
if [ "$1" = --version ]; then exit 0; fi
printf '%s\\n' "$0" "$DENO_DIR" "$@"
if [ "$FAKE_WAIT" ]; then exec sleep 60; fi
exit "\${FAKE_EXIT:-0}"
`;

interface Started {
  readonly code: number;
  readonly stderr: string;
  /** The folder it was unpacked into. */
  readonly folder: string;
  /** What comes behind it. */
  readonly args: readonly string[];
}

/** A packed file in a folder of its own, with homes and a folder for temporary files. */
class Packed implements AsyncDisposable {
  readonly root = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "unmask_launcher_" }));
  readonly file = join(this.root, "a packed file");
  readonly cache = join(this.root, "cache");
  readonly temporary = join(this.root, "temporary");
  readonly unpacked = join(this.cache, "unmask", "packed");

  static async make(target: TargetName = ownTarget()): Promise<Packed> {
    const packed = new Packed();
    const archive = await tarGz([
      { name: "deno", content: new TextEncoder().encode(FAKE_DENO), executable: true },
      { name: "app/deno.json", content: new TextEncoder().encode("{}") },
    ]);
    const parts = selfExtracting({ version: "1.2.3", target, flags: FLAGS }, archive);
    await Deno.writeFile(packed.file, new Blob(parts).stream(), { mode: 0o755 });
    for (const folder of [packed.cache, packed.temporary]) Deno.mkdirSync(folder, { mode: 0o700 });
    return packed;
  }

  /** Where programs stand below the cache folder. */
  folders(): string[] {
    return [...Deno.readDirSync(this.unpacked)].map(({ name }) => name);
  }

  command(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Deno.Command {
    return new Deno.Command(this.file, {
      args: [...args],
      clearEnv: true,
      env: {
        PATH: "/usr/bin:/bin",
        TMPDIR: this.temporary,
        // Each system has its own.
        HOME: this.root,
        XDG_CACHE_HOME: this.cache,
        ...env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  async start(...given: Parameters<Packed["command"]>): Promise<Started> {
    const { code, stdout, stderr } = await this.command(...given).output();
    const [program = "", denoDir, ...args] = text(stdout).split("\n");
    const folder = program.replace(/\/deno$/, "");
    if (code === 0) assertEquals(denoDir, `${folder}/cache`);
    return { code, stderr: text(stderr), folder, args };
  }

  /** Waits for the temporary folder to be empty, which it is a moment after the program's end. */
  async emptied(): Promise<void> {
    for (let tries = 0; [...Deno.readDirSync(this.temporary)].length > 0; tries++) {
      assert(tries < 1200, "the temporary folder was not removed");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

const onLinux = noShell ?? (Deno.build.os === "linux" ? undefined : "its cache folder is Linux's");

Deno.test(
  skipIf(onLinux, "a packed file unpacks once, and hands over all that it is given"),
  async () => {
    await using packed = await Packed.make();
    const first = await packed.start(["a b", "", "c\\n*", "--port"]);
    assertEquals([first.code, first.stderr], [0, ""]);
    assertMatch(first.folder.slice(packed.unpacked.length), /^\/[0-9a-f]{64}$/);
    const place = (name: string) => `${first.folder}/app/${name}`;
    assertEquals(first.args, [
      ...["run", ...FLAGS, "--config", place("deno.json"), "--lock", place("deno.lock")],
      ...[place("src/cli/main.ts"), "a b", "", "c\\n*", "--port", ""],
    ]);
    const made = Deno.statSync(`${first.folder}/deno`);
    assertEquals(Deno.statSync(first.folder).mode! & 0o077, 0);
    const second = await packed.start([], { FAKE_EXIT: "7" });
    assertEquals([second.code, second.folder], [7, first.folder]);
    assertEquals(Deno.statSync(`${first.folder}/deno`).ino, made.ino);
    assertEquals(packed.folders().length, 1);
  },
);

Deno.test(
  skipIf(onLinux, "first starts at the same time share one folder, and leave no other"),
  async () => {
    await using packed = await Packed.make();
    const starts = await Promise.all(Array.from({ length: 12 }, () => packed.start()));
    assertEquals(starts.map(({ code, stderr }) => [code, stderr]), starts.map(() => [0, ""]));
    assertEquals(new Set(starts.map(({ folder }) => folder)).size, 1);
    assertEquals(packed.folders().length, 1);
    assertEquals([...Deno.readDirSync(starts[0].folder)].map(({ name }) => name).sort(), [
      "app",
      "deno",
    ]);
  },
);

Deno.test(
  skipIf(
    onLinux,
    "what a cleaner removed is unpacked anew, and killed starts are cleaned up after",
  ),
  async () => {
    await using packed = await Packed.make();
    const { folder } = await packed.start();
    const [killed, unpacking] = ["killed", "unpacks"].map((name) => `unmask.${name}`);
    for (const name of [killed, unpacking]) {
      Deno.mkdirSync(join(packed.unpacked, name, "app"), {
        recursive: true,
      });
    }
    Deno.utimeSync(join(packed.unpacked, killed), 0, 0);
    Deno.removeSync(join(folder, "deno"));
    assertEquals(await packed.start(), await packed.start());
    assertEquals(packed.folders().sort(), [basename(folder), unpacking]);
  },
);

Deno.test(
  skipIf(noShell, "without a cache folder it runs from a temporary one, which goes with it"),
  async () => {
    await using packed = await Packed.make();
    const noFolder = join(packed.root, "a packed file");
    const homes = ["", "relative", noFolder, join(noFolder, "below")];
    await Promise.all(homes.map(async (home) => {
      const { code, stderr, folder } = await packed.start([], { HOME: home, XDG_CACHE_HOME: "" });
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, "for this run only");
      assertEquals(folder.startsWith(`${packed.temporary}/unmask.`), true, folder);
    }));
    await packed.emptied();
  },
);

Deno.test(
  skipIf(noShell, "a signal reaches the program, and its temporary folder goes"),
  async () => {
    await using packed = await Packed.make();
    const env = { HOME: "", XDG_CACHE_HOME: "", FAKE_WAIT: "1" };
    const child = packed.command([], env).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill("SIGTERM");
    assertEquals((await child.status).signal, "SIGTERM");
    await Promise.all([reader.cancel(), child.stderr.cancel()]);
    await packed.emptied();
  },
);

Deno.test(
  skipIf(onLinux, "a folder that others may write to is not trusted, wherever it stands"),
  async () => {
    await using packed = await Packed.make();
    const { folder } = await packed.start();
    const planted = `#!/bin/sh\ntouch "${packed.root}/started"\n`;
    Deno.writeTextFileSync(join(folder, "deno"), planted, { mode: 0o755 });
    const writable = [
      [folder, 0o777],
      [folder, 0o720],
      [folder, 0o1777],
      [packed.unpacked, 0o777],
      [join(packed.cache, "unmask"), 0o770],
      [packed.cache, 0o702],
    ] as const;
    for (const [path, mode] of writable) {
      Deno.chmodSync(path, mode);
      const started = await packed.start();
      assertEquals([started.code, started.folder.startsWith(packed.temporary)], [0, true], path);
      Deno.chmodSync(path, 0o700);
    }
    assertEquals([...Deno.readDirSync(packed.root)].some(({ name }) => name === "started"), false);
    // Above, each may write but remove only what is theirs, as in /tmp.
    Deno.writeTextFileSync(join(folder, "deno"), FAKE_DENO);
    Deno.chmodSync(packed.cache, 0o1777);
    assertEquals((await packed.start()).folder, folder);
    await packed.emptied();
    Deno.chmodSync(packed.temporary, 0o777);
    const { code, stderr } = await packed.start([], { HOME: "", XDG_CACHE_HOME: "" });
    assertEquals(code, 1);
    assertStringIncludes(stderr, "XDG_CACHE_HOME or TMPDIR");
  },
);

Deno.test(
  skipIf(notRoot ?? onLinux, "a folder of another user is not trusted, nor one below it"),
  async () => {
    await using packed = await Packed.make();
    const { folder } = await packed.start();
    for (const path of [folder, packed.unpacked, packed.cache]) {
      Deno.chownSync(path, 65534, 65534);
      const started = await packed.start();
      assertEquals([started.code, started.folder.startsWith(packed.temporary)], [0, true], path);
      Deno.chownSync(path, 0, 0);
    }
    assertEquals((await packed.start()).folder, folder);
    await packed.emptied();
  },
);

Deno.test(skipIf(onLinux, "it runs from where links lead, not from the links"), async () => {
  await using packed = await Packed.make();
  const link = join(packed.root, "link");
  Deno.symlinkSync(packed.cache, link);
  const { folder, stderr } = await packed.start([], { XDG_CACHE_HOME: link });
  assertEquals([folder.startsWith(packed.unpacked), stderr], [true, ""]);
});

Deno.test(
  skipIf(noShell, "a file that is cut off, and one for another system, say so and leave nothing"),
  async () => {
    await using packed = await Packed.make();
    Deno.truncateSync(packed.file, Deno.statSync(packed.file).size - 20);
    const cut = await packed.start();
    assertEquals(cut.code, 1);
    assertStringIncludes(cut.stderr, "there is no folder to unpack it into");
    assertMatch(cut.stderr, /tar|gzip/);
    assertEquals([...Deno.readDirSync(packed.temporary)], []);
    const names = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"] as const;
    await using other = await Packed.make(names.find((name) => name !== Deno.build.target));
    const started = await other.start();
    assertEquals(started.code, 126);
    assertMatch(started.stderr, /^unmask: this file is for \S+; here is \w+, \w+\n$/);
  },
);

Deno.test("the batch file starts what lies beside it, with the same flags", () => {
  const launched = { version: "1.2.3", target: "x86_64-pc-windows-msvc", flags: FLAGS } as const;
  const lines = text(batchFile(launched)).split("\r\n");
  assertEquals(
    lines.at(-2),
    `"%~dp0deno.exe" run ${FLAGS.join(" ")} --config "%~dp0app\\deno.json" ` +
      `--lock "%~dp0app\\deno.lock" "%~dp0app\\src\\cli\\main.ts" %*`,
  );
  assertEquals(lines.some((line) => line.includes("\n")), false);
});
