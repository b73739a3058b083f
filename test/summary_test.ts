import { assertEquals, assertMatch } from "@std/assert";
import { skipIf } from "./skip.ts";
import { type Run, summarize, type Test, testsOf } from "./summary.ts";

const test = (name: string, outcome: Test["outcome"], reason?: string): Test => ({
  name,
  outcome,
  ...(reason === undefined ? {} : { reason }),
});
const run = (status: number, ...tests: Test[]): Run => ({ tests, status });

/** The report of a file of tests, as `deno test` writes it. */
async function reportOf(source: string) {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/a_test.ts`, source);
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-config", "--no-check", "--junit-path=report.xml", "a_test.ts"],
      cwd: dir,
    }).output();
    return { code, tests: testsOf(await Deno.readTextFile(`${dir}/report.xml`)) };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("a report of Deno's is read: names, outcomes, reasons, and no steps", async () => {
  const skipped = [
    skipIf('it "lacks" <x> & y', "one"),
    { name: "two", ignore: true },
  ].map((test) => `Deno.test({ ...${JSON.stringify(test)}, fn() {} });\n`);
  const { code, tests } = await reportOf(
    skipped.join("") +
      `Deno.test("three > four", () => {});
       Deno.test("five", async (t) => {
         await t.step("six", () => {});
         await t.step("seven", async (t) => void await t.step("eight", () => {}));
       });
       Deno.test("nine", () => { throw new Error("<skipped/>"); });
       Deno.test("ten", async (t) => void await t.step("no", () => { throw new Error(""); }));`,
  );
  assertEquals(code, 1);
  assertEquals(tests, [
    test("./a_test.ts one", "skipped", 'it "lacks" <x> & y'),
    test("./a_test.ts two", "skipped"),
    test("./a_test.ts three > four", "passed"),
    test("./a_test.ts five", "passed"),
    test("./a_test.ts nine", "failed"),
    test("./a_test.ts ten", "failed"),
  ]);
});

Deno.test("a test that one run skips and another runs counts once, as run", () => {
  const first = run(0, test("a", "passed"), test("b", "skipped", "no GPU"), test("c", "passed"));
  const second = run(0, test("b", "passed"), test("c", "skipped", "not here"));
  assertEquals(summarize([first, second]), { lines: ["3 passed, 0 failed"], ok: true });
  assertEquals(summarize([second, first]), { lines: ["3 passed, 0 failed"], ok: true });
});

Deno.test("what no run could run is listed with its reason", () => {
  const first = run(0, test("a", "skipped", "no GPU"), test("b", "passed"));
  const second = run(0, test("a", "skipped", "no GPU"), test("c", "skipped", "too large"));
  assertEquals(summarize([first, second]), {
    lines: [
      "Skipped, no GPU:",
      "  a",
      "Skipped, too large:",
      "  c",
      "1 passed, 0 failed, 2 skipped",
    ],
    ok: true,
  });
});

Deno.test("failures, and skips that tell no reason, fail the whole", () => {
  const failing = [run(0, test("a", "passed")), run(1, test("a", "failed"), test("b", "passed"))];
  assertEquals(summarize(failing), { lines: ["Failed: a", "1 passed, 1 failed"], ok: false });
  const { lines, ok } = summarize([run(0, test("a", "passed"), test("b", "skipped"))]);
  assertEquals([lines.at(-1), ok], ["1 passed, 1 failed", false]);
  assertMatch(lines[0], /no reason/);
});

Deno.test("a run that broke off, that left no report or that had no tests fails the whole", () => {
  const well = run(0, test("a", "passed"));
  const broken: Run[] = [
    run(1, test("b", "passed")),
    { tests: undefined, status: 139 },
    { tests: undefined, status: 0 },
    run(0),
  ];
  for (const one of broken) {
    const { lines, ok } = summarize([well, one]);
    assertEquals(ok, false);
    assertMatch(lines.at(-1)!, /^[12] passed, 1 failed$/);
    assertEquals(lines.length, 2);
  }
  assertEquals(summarize([]).lines, ["No test was run.", "0 passed, 1 failed"]);
  const idle = summarize([run(0, test("a", "skipped", "no GPU"))]);
  assertEquals([idle.lines.at(-1), idle.ok], ["0 passed, 1 failed, 1 skipped", false]);
});
