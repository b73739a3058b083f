import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PERMISSIONS = new URL("../../src/cli/permissions.ts", import.meta.url).href;

/** Runs one command as main.ts does, and tells what it may still do. */
const PROGRAM = `
import { Command } from "commander";
const { giveUpOthers } = await import("${PERMISSIONS}");
const command = new Command(Deno.args[0])
  .option("--png <file>").option("--trace <file>").option("--json [file]").option("--out <dir>")
  .option("--model <dir>").option("--tuning <file>").option("--gpu <name>")
  .argument("[what]").argument("[dir]").hook("preAction", (_, command) => giveUpOthers(command)).action(() => {});
await command.parseAsync(Deno.args.slice(1), { from: "user" });
const may = (descriptor) => Deno.permissions.querySync(descriptor).state === "granted";
const paths = ["/", "/a", "/a/b", "/c"];
const kept = [
  ...["read", "write"].flatMap((name) =>
    paths.filter((path) => may({ name, path })).map((path) => name + " " + path)
  ),
  ...["net", "ffi", "run", "import"].filter((name) => may({ name })),
];
console.log(kept.join());
`;

const WITH_LISTS = ["--allow-read=/", "--allow-write=/"];

Deno.test("a command keeps the files that its options name, and what it computes with", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const program = `${dir}/program.ts`;
    await Deno.writeTextFile(program, PROGRAM);
    const kept = async (granted: readonly string[], ...args: string[]) => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--config", file("deno.json"), "--no-prompt", "--no-check", ...granted],
          ...["--allow-net", "--allow-ffi", "--allow-run", "--allow-import", program, ...args],
        ],
        cwd: "/",
        env: { NO_COLOR: "1" },
      }).output();
      return new TextDecoder().decode(stdout).trimEnd() || new TextDecoder().decode(stderr);
    };
    const cases: readonly (readonly [kept: string, ...args: string[]])[] = [
      ["net", "serve"],
      ["read /a,read /a/b,net", "serve", "--model", "/a"],
      ["read /a,read /a/b,net", "serve", "--model", "a"],
      ["read /a/b,net,ffi", "serve", "--model", "/a/b", "--gpu", "dawn"],
      ["read /c", "generate", "--json", "--tuning", "/c"],
      ["read /c,write /c", "generate", "--trace", "/c"],
      ["read /a/b,read /c,write /c", "trace", "-", "/a/b", "--png", "/c"],
      ["read /c,write /c", "bench", "--json", "/c"],
      ["read /a,read /a/b,write /a,write /a/b", "tune", "--tuning", "/a/tiles.json"],
      ["", "synth"],
      // Without a variable that names the hub's cache there is nothing to write or to read.
      ["net", "pull"],
      ["", "models"],
    ];
    for (const [expected, ...args] of cases) {
      assertEquals(await kept(WITH_LISTS, ...args), expected, args.join(" "));
    }
    // A folder that will stand in the root: how much its disk holds can only be asked of the root.
    const read = "read /,read /a,read /a/b,read /c";
    assertEquals(await kept(WITH_LISTS, "quantize", "-", "/a", "--out", "/c"), `${read},write /c`);
    // Other programs read and start what they like.
    assertEquals(
      await kept(WITH_LISTS, "bench", "peers"),
      `${read},write /,write /a,write /a/b,write /c,net,ffi,run,import`,
    );
    // What was granted without a list cannot be narrowed, but it can be dropped.
    assertEquals(await kept(["--allow-read", "--allow-write"], "serve"), `${read},net`);
    // What was not granted is not asked for.
    assertEquals(
      await kept([`--allow-read=/a/b,${file("")}`], "serve", "--model", "/a"),
      "read /a/b,net",
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
