import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  defaultTuningFile,
  namedTuning,
  readTuning,
  writeTuning,
} from "../../src/engine/tuning_file.ts";
import { TUNED_FORMAT, type TunedTiles, UNTUNED } from "../../src/model/tiles/tuned_tiles.ts";

const ENTRY = {
  splits: 2,
  rowGroups: 1,
  shader: "0123456789abcdef",
  rows: [32],
  gflopPerSecond: [2.5],
  fixedGflopPerSecond: [2],
} as const;
const TUNED: TunedTiles = {
  format: TUNED_FORMAT,
  devices: { "an adapter": { "a matrix": ENTRY } },
};

async function withFolder(body: (dir: string) => void): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const namesIn = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name);

Deno.test("the file lies where the system keeps what can be made again", () => {
  const linux = (values: Readonly<Record<string, string>>) =>
    defaultTuningFile("linux", (name) => values[name]);
  const inHome = join("/home/a", ".cache", "unmask", "tiles.json");
  const home = (name: string) => ({ HOME: "/home/a", LOCALAPPDATA: "/local" })[name];
  assertEquals(defaultTuningFile("linux", home), inHome);
  assertEquals(
    defaultTuningFile("darwin", home),
    join("/home/a", "Library", "Caches", "unmask", "tiles.json"),
  );
  assertEquals(defaultTuningFile("windows", home), join("/local", "unmask", "tiles.json"));
  const inCache = join("/cache", "unmask", "tiles.json");
  assertEquals(linux({ HOME: "/home/a", XDG_CACHE_HOME: "/cache" }), inCache);
  assertEquals(linux({ HOME: "/home/a", XDG_CACHE_HOME: "not/absolute" }), inHome);
  assertEquals(linux({ XDG_CACHE_HOME: "" }), undefined);
});

Deno.test({
  name: "without permission there is no tuning, and nobody is asked",
  permissions: { env: false, read: false },
  fn() {
    assertEquals(defaultTuningFile("linux"), undefined);
    assertEquals(readTuning("/etc/passwd"), { tuned: UNTUNED });
    assertThrows(() => namedTuning("/etc/passwd"), Error, "/etc/passwd: it may not be read");
  },
});

Deno.test("what is written is read again, in a folder that was not there; nothing else stays", () =>
  withFolder((dir) => {
    const file = join(dir, "a", "b", "tiles.json");
    assertEquals(readTuning(file), { tuned: UNTUNED });
    assertThrows(() => namedTuning(file), Error, `${file}: it is missing. unmask tune --tuning`);
    writeTuning(file, UNTUNED);
    writeTuning(file, TUNED);
    assertEquals(readTuning(file), { tuned: TUNED });
    assertEquals(namedTuning(file), TUNED);
    assertEquals(namesIn(join(dir, "a", "b")), ["tiles.json"]);
  }));

Deno.test("a file that is cut short, foreign or too large: one warning names it", () =>
  withFolder((dir) => {
    const file = join(dir, "tiles.json");
    const cases: readonly (readonly [text: string, problem: string])[] = [
      [JSON.stringify(TUNED).slice(0, -9), "it is not JSON"],
      ['{"name": "another program\'s"}', "its format is not"],
      [" ".repeat(2 ** 20 + 1), "it has 1048577 bytes"],
    ];
    for (const [text, problem] of cases) {
      Deno.writeTextFileSync(file, text);
      const { tuned, warning } = readTuning(file);
      assertEquals(tuned, UNTUNED);
      assertStringIncludes(warning!, `${file}: ${problem}`);
      assertThrows(() => namedTuning(file), Error, `${file}: ${problem}`);
    }
    assertStringIncludes(readTuning(dir).warning!, "it is no plain file");
  }));

Deno.test("a place that cannot be written is named, and what was there stays", () =>
  withFolder((dir) => {
    const blocked = join(dir, "file");
    Deno.writeTextFileSync(blocked, "not a folder");
    const file = join(blocked, "tiles.json");
    const error = assertThrows(
      () => writeTuning(file, TUNED),
      Error,
      `${file}: it cannot be written`,
    );
    assert(error.message.endsWith("Choose another file with --tuning FILE."), error.message);
    const folder = join(dir, "folder");
    Deno.mkdirSync(folder);
    assertThrows(() => writeTuning(folder, TUNED), Error, "it cannot be written");
    assertEquals(namesIn(dir).sort(), ["file", "folder"]);
    assertEquals(Deno.readTextFileSync(blocked), "not a folder");
  }));
