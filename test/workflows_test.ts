/** The workflows of .github: what they name is there, and they may do no more than they need. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parse } from "npm:yaml@2.9.1";
import config from "../deno.json" with { type: "json" };
import { DENO_VERSION, TARGET_NAMES } from "../src/cli/pack/targets.ts";

const root = new URL("../", import.meta.url);

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly needs?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly strategy?: {
    readonly matrix: { readonly include?: readonly Record<string, unknown>[] };
  };
  readonly "timeout-minutes"?: number;
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const [check, release] = ["check", "release"].map((name): Workflow =>
  parse(Deno.readTextFileSync(new URL(`.github/workflows/${name}.yml`, root)))
);
const jobs = [check, release].flatMap((workflow) => Object.values(workflow.jobs));
const steps = jobs.flatMap((job) => job.steps);

Deno.test("every task that a workflow runs is one of deno.json", () => {
  const named = steps.flatMap(({ run }) =>
    [...(run ?? "").matchAll(/\bdeno task (\S+)/g)].map(([, task]) => task)
  );
  const tests = check.jobs.others.strategy!.matrix.include!.map(({ tests }) => String(tests));
  const all = [...named.filter((task) => !task.startsWith("$")), ...tests];
  assert(all.includes("ok") && all.includes("compile") && all.includes("pack"));
  assertEquals(all.filter((task) => !(task in config.tasks)), []);
});

Deno.test("workflows read the repository; what publishes, after all files were tried, may write", () => {
  for (const { permissions } of [check, release]) assertEquals(permissions, { contents: "read" });
  const own = jobs.map(({ permissions }) => permissions).filter((one) => one !== undefined);
  assertEquals(own, [{ contents: "write", attestations: "write", "id-token": "write" }]);
  assertEquals(release.jobs.publish.permissions, own[0]);
  assertEquals(release.jobs.publish.needs, "compile");
  const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"));
  for (const step of checkouts) assertEquals(step.with, { "persist-credentials": false });
});

Deno.test("every job has an end, and runs pinned actions of GitHub and Deno on the pinned Deno", () => {
  for (const job of jobs) assert(job["timeout-minutes"]! > 0);
  for (const { uses } of steps) {
    if (uses !== undefined) assertMatch(uses, /^(actions\/[a-z-]+|denoland\/setup-deno)@v\d+$/);
  }
  const deno = steps.filter(({ uses }) => uses?.startsWith("denoland/setup-deno@"));
  assertEquals(deno.map((step) => step.with!["deno-version"]), deno.map(() => DENO_VERSION));
});

Deno.test("a release has a file for every system that one is made for", () => {
  const { include } = release.jobs.compile.strategy!.matrix;
  assertEquals(include!.map(({ target }) => target), TARGET_NAMES);
  const counted = release.jobs.publish.steps.flatMap(({ run }) =>
    /wc -l\)" -eq (\d+)/.exec(run ?? "")?.slice(1) ?? []
  );
  assertEquals(counted, [`${TARGET_NAMES.length}`]);
});
