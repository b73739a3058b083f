import { assertEquals, assertRejects } from "@std/assert";
import { comesToLines, stoppedMidway } from "./command.ts";

Deno.test("a command that was over before it could be stopped begins anew; one that fails says why", async () => {
  let runs = 0;
  const stopped = await stoppedMidway(["--help"], {
    until: (running) => running.end(),
    signal: "SIGINT",
    isOver: () => ++runs === 1,
    undo: () => assertEquals(runs, 1),
  });
  assertEquals([runs, stopped.code], [2, 0]);
  const failing = () =>
    stoppedMidway(["--no-such-flag"], {
      until: (running) => comesToLines("no such file", 1, running),
      isOver: () => false,
      undo: () => {},
    });
  await assertRejects(failing, Error, "unknown option '--no-such-flag'");
});
