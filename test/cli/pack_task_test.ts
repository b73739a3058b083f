/** `deno task pack`: its file alone, in an empty folder, for a user who has nothing else of the project. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import OpenAI from "openai";
import { skipIf } from "../skip.ts";
import { knownAnswer, Running, runTask } from "./command.ts";

const noShell = Deno.build.os === "windows"
  ? "Windows gets an archive, which is unpacked by hand"
  : undefined;
/** Another user than the one who packed it; who is not root can be no other. */
const NOBODY = Deno.build.os !== "windows" && Deno.uid() === 0 ? { uid: 65534, gid: 65534 } : {};
const { prompt, answer } = knownAnswer("2026-006");

/** Files of a home folder that Deno and npm would read: some cannot even be parsed. */
const OTHERS = {
  "package.json": "{",
  "deno.json": "{",
  ".npmrc": "registry=https://npm.example/\n@hono:registry=https://npm.example/\n",
};

/** A line of Deno's log of permissions that were asked for. */
interface Asked {
  readonly permission: string;
  readonly value?: string;
}

Deno.test(
  skipIf(
    noShell,
    "a packed file serves from an empty folder, and asks for nothing that lies outside of its own",
  ),
  async () => {
    const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "unmask_pack_" }));
    try {
      const file = join(root, "unmask");
      const packed = await runTask("pack", ["--output", file]);
      assertEquals(packed.code, 0, packed.stderr);
      const [empty, home] = ["empty", "home"].map((name) => join(root, name));
      const audit = join(home, "asked.jsonl");
      await Deno.chmod(root, 0o755);
      for (const folder of [empty, home]) {
        await Deno.mkdir(folder);
        if (NOBODY.uid !== undefined) await Deno.chown(folder, NOBODY.uid, NOBODY.gid);
      }
      // What a user may have for other programs.
      for (const [name, text] of Object.entries(OTHERS)) {
        await Deno.writeTextFile(join(home, name), text);
      }
      const start = (...args: string[]) =>
        new Deno.Command(file, {
          args,
          cwd: empty,
          ...NOBODY,
          clearEnv: true,
          env: {
            PATH: "/usr/bin:/bin",
            HOME: home,
            NPM_CONFIG_REGISTRY: "https://npm.example/",
            DENO_AUDIT_PERMISSIONS: audit,
          },
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
          detached: true,
        });
      await using server = new Running(start("serve", "--port", "0"));
      const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
      const { choices } = await client.chat.completions.create({
        model: "tiny-target",
        messages: [{ role: "user", content: prompt }],
      });
      assertEquals(choices[0].message.content, answer);
      server.kill("SIGTERM");
      assertEquals(await server.end(), 0);
      assertEquals(server.stderr.text.match(/^unmask:.*/m), null);

      const asked: Asked[] = (await Deno.readTextFile(audit)).trim().split("\n")
        .map((line) => JSON.parse(line));
      const valuesOf = (name: string) =>
        asked.filter(({ permission }) => permission === name).map(({ value }) => value ?? "");
      const own = join(home, Deno.build.os === "darwin" ? "Library/Caches" : ".cache", "unmask/");
      const read = valuesOf("read");
      assert(read.some((path) => path.endsWith("tiny-target/model.safetensors")));
      assertEquals(read.filter((path) => !path.startsWith(own)), []);
      assertEquals(valuesOf("net").filter((host) => !/^127\.0\.0\.1(:\d+)?$/.test(host)), []);
      assertEquals(["write", "run", "ffi", "import"].flatMap(valuesOf), []);
      assertEquals([...Deno.readDirSync(empty)], []);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);
