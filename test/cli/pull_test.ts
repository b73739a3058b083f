/** `deno task pull` against a server that speaks the hub's API, and models by their names. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { type Listed, modelsTable } from "../../src/cli/models.ts";
import { HUB_NETWORK_VARIABLES, VARIABLES } from "../../src/cli/permissions.ts";
import { Pace } from "../../src/cli/terminal/pace.ts";
import {
  COMMIT,
  hubServer,
  SHARDED,
  sharded,
  TINY,
  tinyRepository,
  WANTED,
} from "../weights/hub_model.ts";
import { etagOf, type HubServer, text, TOKEN } from "../weights/hub_server.ts";
import { skipIf } from "../skip.ts";
import { knownAnswer, Running, runTask, taskCommand, unmask } from "./command.ts";

const OTHER = "unmask-test/other";
const snapshots = (home: string, repo: string) =>
  join(home, "hub", `models--${repo.replace("/", "--")}`, "snapshots");

/** A server, and an empty HF_HOME. */
async function withHub(
  test: (hub: HubServer, home: string, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await using hub = hubServer({
    [TINY]: tinyRepository(),
    [OTHER]: {
      commit: COMMIT,
      refs: ["main"],
      files: { ...sharded.files, "config.json": text('{"model_type": "qwen2"}') },
    },
  });
  const home = await Deno.makeTempDir({ prefix: "unmask_hf_" });
  try {
    await test(hub, home, { HF_HOME: home, HF_ENDPOINT: hub.url });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("a model is pulled, listed, and then served by its name without the hub", async () => {
  await withHub(async (hub, home, env) => {
    const dry = await runTask("pull", [TINY, "--dry-run"], { env });
    assertEquals([dry.code, dry.stderr], [0, ""]);
    assertMatch(dry.stdout, /5\.\d\d MB {2}missing {2}model\.safetensors\n/);
    assertMatch(dry.stdout, /5 files, 5\.\d\d MB; 5\.\d\d MB to fetch, which takes 5\.\d\d MB of/);
    assertEquals([...Deno.readDirSync(home)], []);
    const missing = await unmask(["info", "--model", TINY], { env });
    assertEquals(missing.code, 1);
    assertMatch(
      missing.stderr,
      /no such model in the hub's cache .*Fetch it: unmask pull unmask-test\/tiny\n/,
    );

    const dir = join(snapshots(home, TINY), COMMIT);
    const pulled = await runTask("pull", [TINY], { env });
    assertEquals(pulled.code, 0, pulled.stderr);
    assertEquals(pulled.stdout.trimEnd().split("\n").at(-1), dir);
    assertMatch(pulled.stderr, /pull: 100 % of 5\.\d\d MB/);
    const again = await runTask("pull", [`${TINY}@${COMMIT}`, "--json"], { env });
    const { id, commit, fetched_bytes, bytes, files } = JSON.parse(again.stdout);
    assertEquals([id, commit, fetched_bytes, files.length], [TINY, COMMIT, 0, 5]);

    hub.asked.length = 0;
    const { models } = JSON.parse((await unmask(["models", "--json"], { env })).stdout);
    assertEquals(models, [{
      id: TINY,
      commit: COMMIT,
      refs: ["main"],
      dir,
      bytes,
      architecture: "LLaDAModelLM",
      complete: true,
      missing: [],
      runs: true,
      reason: null,
    }]);
    const { prompt, answer } = knownAnswer("2026-006");
    await using server = new Running(
      taskCommand("unmask", ["serve", "--port", "0", "--model", TINY], { env }),
    );
    const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
    await server.stdout.match(/^Model unmask-test\/tiny is ready on /m);
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model: TINY, messages: [{ role: "user", content: prompt }] }),
    });
    const { model, choices } = await response.json();
    assertEquals([model, choices[0].message.content], [TINY, answer]);
    assertEquals(hub.asked, []);
  });
});

Deno.test("a pull that is killed goes on, and what it left is no model", async () => {
  await withHub(async (hub, home, env) => {
    hub.slowness = 25;
    const folder = snapshots(home, SHARDED);
    for (let kills = 0; kills < 5; kills++) {
      hub.asked.length = 0;
      const child = taskCommand("pull", [SHARDED, "--connections", "2"], { env }).spawn();
      while (hub.asked.filter(({ where }) => where === "elsewhere").length < 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await new Promise((resolve) => setTimeout(resolve, 700 * Math.random()));
      Deno.kill(-child.pid, "SIGKILL");
      await child.stdin.close().catch(() => {});
      await child.output();
      for (const name of WANTED) {
        const file = await Deno.stat(join(folder, COMMIT, name)).catch(() => undefined);
        if (file) assertEquals(file.size, sharded.files[name].content.length, name);
      }
      if (kills > 0) continue;
      const { code, stderr } = await unmask(["info", "--model", SHARDED], { env });
      assertEquals(code, 1);
      assertMatch(stderr, /its download was cut.* lacks .*unmask pull some-org\/sharded\.model/);
    }
    hub.slowness = 0;
    hub.asked.length = 0;
    const { code, stdout } = await runTask("pull", [SHARDED, "--json"], { env });
    assertEquals(code, 0);
    const { bytes, fetched_bytes } = JSON.parse(stdout);
    assert(fetched_bytes < bytes, `${fetched_bytes} of ${bytes} were fetched in the end`);
    for (const name of WANTED) {
      const content = await Deno.readFile(join(folder, COMMIT, name));
      assertEquals(etagOf({ ...sharded.files[name], content }), etagOf(sharded.files[name]), name);
    }
    // A branch is written when all is there; then the folder is whole until something is removed.
    const shard = WANTED.find((name) => name.startsWith("model-00002"))!;
    await Deno.remove(join(folder, COMMIT, shard));
    const { stderr } = await unmask(["serve", "--model", `${SHARDED}@main`], { env });
    assertMatch(
      stderr,
      new RegExp(
        `is not complete: it lacks ${shard}\\. Fetch the rest: unmask pull ${SHARDED}@main\n`,
      ),
    );
  });
});

Deno.test("what cannot be pulled is told in a sentence, and nothing is written", async () => {
  await withHub(async (hub, home, env) => {
    hub.gated.push(TINY);
    const cases: readonly (readonly [RegExp, readonly string[], Record<string, string>?])[] = [
      [/^unmask: unmask-test\/tiny is gated: ask for access at http.* Then set HF_TOKEN/, [TINY]],
      [/The token that was sent belongs to/, [TINY], { HF_TOKEN: "hf_other" }],
      [/has model_type "qwen2", and unmask runs llada: nothing was fetched/, [OTHER]],
      [/"tiny" is no repository of the hub, expected ORG\/NAME/, ["tiny"]],
      [/give the revision once/, [`${TINY}@main`, "--revision", "v1"]],
      [/has no revision v9/, [SHARDED, "--revision", "v9"]],
      [/HF_HUB_OFFLINE is set, and .* has no unmask-test\/tiny at main/, [TINY], {
        HF_HUB_OFFLINE: "1",
      }],
    ];
    await Promise.all(cases.map(async ([expected, args, more]) => {
      const { code, stdout, stderr } = await runTask("pull", args, { env: { ...env, ...more } });
      assertEquals([code, stdout], [1, ""], args.join(" "));
      assertMatch(stderr, expected);
    }));
    assertEquals([...Deno.readDirSync(home)], []);
    const { code, stderr } = await runTask("pull", [SHARDED, "--draft", TINY], {
      env: { ...env, HF_TOKEN: TOKEN },
    });
    assertEquals(code, 0, stderr);
    assertEquals([...Deno.readDirSync(join(home, "hub"))].length, 3);
  });
});

Deno.test("without a hub that can be reached, the command says which task can", async () => {
  const { code, stderr } = await unmask(["pull", TINY]);
  assertEquals(code, 1);
  assertMatch(stderr, /may not reach huggingface\.co: `deno task pull` may/);
});

Deno.test("the task knows the hub's variables, and no key of a server", () => {
  const [, names] = /--allow-env=(\S+)/.exec(config.tasks.pull.command)!;
  const unknown = ["DENO_WEBGPU_BACKEND", "UNMASK_API_KEYS", "XDG_RUNTIME_DIR"];
  const expected = [...VARIABLES, ...HUB_NETWORK_VARIABLES].filter((name) =>
    !unknown.includes(name)
  );
  assertEquals(names.split(","), expected.sort());
  assertEquals(/--allow-(ffi|run|all)|-A\b/.test(config.tasks.pull.command), false);
});

Deno.test({
  ...skipIf(
    Deno.build.os === "windows" || Deno.uid() === 0 ? "here every file can be read" : undefined,
    "a file that may not be read is told, and does not hide the other models",
  ),
  async fn() {
    await withHub(async (_hub, home, env) => {
      for (const repo of ["org/locked", "org/open"]) {
        const dir = join(snapshots(home, repo), COMMIT);
        await Deno.mkdir(dir, { recursive: true });
        for (const [name, { content }] of Object.entries(tinyRepository().files)) {
          await Deno.writeFile(join(dir, name), content);
        }
      }
      await Deno.chmod(join(snapshots(home, "org/locked"), COMMIT, "model.safetensors"), 0);
      const { models } = JSON.parse((await unmask(["models", "--json"], { env })).stdout);
      assertEquals(
        models.map(({ id, runs }: Listed) => [id, runs]),
        [["org/locked", false], ["org/open", true]],
      );
      assertMatch(models[0].reason, /model\.safetensors/);
    });
  },
});

Deno.test("the table of models fits 60 columns", () => {
  const model: Listed = {
    id: "a-rather-long-organisation/Its-Model-Of-100-Billion-Parameters-Instruct",
    commit: COMMIT,
    refs: ["main", "refs/pr/123456789"],
    dir: "",
    bytes: 123.45e9,
    architecture: "LLaDAModelLM",
    complete: false,
    missing: [],
    runs: false,
    reason: "",
  };
  for (const columns of [60, 80, 200]) {
    const lines = modelsTable([model, { ...model, id: "a/b" }], columns).split("\n");
    assert(lines.every((line) => line.length <= columns), lines.join("\n"));
  }
});

Deno.test("a pace is told by the last ten seconds", () => {
  let now = 0;
  const pace = new Pace(() => now);
  assertEquals(pace.told(0, 100e9), "");
  now = 1000;
  assertEquals(pace.told(50e6, 100e9), ", 50.00 MB/s, 33 min left");
  for (now = 2000; now < 20_000; now += 1000) pace.told(50e6 + (now - 1000) * 1e5, 100e9);
  assertEquals(pace.told(50e6 + (now - 1000) * 1e5, 100e9), ", 0.10 GB/s, 16 min left");
  assertEquals(pace.told(100e9, 100e9).endsWith("left"), false);
});
