import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const file = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** Runs one command as main.ts does, and tells what it may still do. */
const PROGRAM = `
import { Command } from "commander";
const { dropWriting } = await import(Deno.args[0]);
const command = new Command(Deno.args[1])
  .option("--png <file>").option("--trace <file>").option("--json [file]").option("--out <dir>")
  .hook("preAction", (_, command) => dropWriting(command)).action(() => {});
await command.parseAsync(Deno.args.slice(2), { from: "user" });
console.log(Deno.permissions.querySync({ name: "write" }).state);
`;

Deno.test("only a command that was told to write a file may write", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const program = `${dir}/program.ts`;
    await Deno.writeTextFile(program, PROGRAM);
    const mayWrite = async (...args: string[]) => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--config", file("deno.json"), "--no-prompt", "--no-check"],
          ...["--allow-read", "--allow-write", program],
          ...[new URL("../../../src/cli/terminal/permissions.ts", import.meta.url).href, ...args],
        ],
        env: { NO_COLOR: "1" },
      }).output();
      return new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr);
    };
    const cases: readonly (readonly [state: string, ...args: string[]])[] = [
      ["prompt", "serve"],
      ["prompt", "serve", "--trace", "a.json"],
      ["prompt", "generate", "--json"],
      ["granted", "generate", "--trace", "a.json"],
      ["granted", "trace", "--png", "a.png"],
      ["granted", "bench"],
      ["granted", "tune"],
      ["granted", "quantize"],
      ["prompt", "synth"],
      ["granted", "synth", "--out", "a"],
    ];
    for (const [state, ...args] of cases) {
      assertEquals(await mayWrite(...args), `${state}\n`, args.join(" "));
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
