/** `unmask pull`: fetches a model from the hub into the hub's cache. */

import { Command } from "commander";
import { checkSpace, gigabytes } from "../weights/disk_space.ts";
import { isJsonObject } from "../weights/json_file.ts";
import { folderBytes, missingFiles, readCached, snapshotOf } from "../weights/hub/cache.ts";
import { planPull, pull, type PullPlan } from "../weights/hub/pull.ts";
import { type HubName, isRevision, MAIN, readHubName } from "../weights/hub/repository.ts";
import type { Asking } from "../weights/hub/requests.ts";
import { hubCache, hubEndpoint, hubToken, isOffline } from "../weights/hub/settings.ts";
import { CONNECTIONS } from "../weights/hub/transfer.ts";
import { refuseIgnored } from "./ignored_options.ts";
import { wholeNumber } from "./options.ts";
import { Pace } from "./terminal/pace.ts";
import { progressReport } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";

interface PullFlags {
  readonly draft?: string;
  readonly revision?: string;
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly anyModel?: boolean;
  readonly connections: number;
  readonly json?: boolean;
}

/** `unmask pull` */
export function pullCommand(): Command {
  return new Command("pull")
    .argument("<repository>", "ORG/NAME on the hub, or ORG/NAME@REVISION")
    .option("--draft <repository>", "a second model, which shall propose tokens for the first")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--dry-run", "say what would be fetched, and fetch nothing")
    .option("--verify", "hash what is there already, too, and fetch again what is wrong")
    .option("--any-model", "also fetch what unmask cannot run")
    .option(
      "--connections <n>",
      "pieces that are fetched at a time",
      wholeNumber(1, 64),
      CONNECTIONS,
    )
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Only what a model needs is fetched, into the cache that the hub's other tools
use (HF_HUB_CACHE, HF_HOME). Interrupted, the same command goes on. HF_TOKEN
opens gated repositories, HF_ENDPOINT names another hub.

Examples:
  unmask pull GSAI-ML/LLaDA-8B-Instruct
  unmask serve --model GSAI-ML/LLaDA-8B-Instruct`,
    )
    .action(run);
}

/** What became of a repository, as `--json` prints it. */
interface Pulled {
  readonly id: string;
  readonly revision: string;
  readonly commit: string;
  readonly dir: string;
  readonly bytes: number;
  readonly missing_bytes: number;
  readonly needed_disk_bytes: number;
  readonly free_disk_bytes: number | null;
  readonly fetched_bytes: number;
  readonly files: readonly object[];
}

async function run(repository: string, flags: PullFlags, command: Command): Promise<void> {
  if (flags.dryRun) {
    refuseIgnored(command, ["verify", "connections"], "with --dry-run, which fetches nothing");
  }
  const names = [namedBy(repository, flags.revision)];
  if (flags.draft !== undefined) names.push(namedBy(flags.draft));
  const cache = hubCache();
  if (cache === undefined) {
    throw new Error("no variable names the hub's cache: set HF_HOME to a folder for models");
  }
  const stopped = new AbortController();
  using _ = onStop((exitCode, before) => {
    if (before > 0) Deno.exit(exitCode);
    stopped.abort(new Error("stopped; the same command goes on from here"));
    Deno.exitCode = exitCode;
  });
  const pulled: Pulled[] = [];
  try {
    if (isOffline()) {
      if (flags.verify) throw new Error("--verify needs the hub, and HF_HUB_OFFLINE is set");
      for (const name of names) pulled.push(foundOffline(cache, name));
    } else {
      const asking = { endpoint: hubEndpoint(), token: hubToken(), signal: stopped.signal };
      // All are asked about before the first byte of any is fetched.
      const plans = [];
      for (const { repo, revision = MAIN } of names) {
        plans.push(await planned(asking, cache, repo, revision, flags));
      }
      const needed = plans.reduce((sum, { neededBytes }) => sum + neededBytes, 0);
      checkSpace(cache, needed, plans[0].freeBytes);
      for (const plan of plans) pulled.push(await carriedOut(asking, plan, flags));
    }
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    console.error(`unmask: ${stopped.signal.reason.message}`);
    return;
  }
  if (flags.json) {
    const [model, draft = null] = pulled;
    console.log(JSON.stringify({ ...model, draft, dry_run: flags.dryRun ?? false }, null, 2));
  }
}

function namedBy(text: string, revision?: string): HubName {
  const name = readHubName(text);
  if (!name) {
    throw new Error(
      `${JSON.stringify(text)} is no repository of the hub, expected ORG/NAME or ORG/NAME@REVISION`,
    );
  }
  if (revision === undefined) return name;
  if (name.revision !== undefined) {
    throw new Error(`--revision ${revision} is given beside ${text}: give the revision once`);
  }
  if (!isRevision(revision)) {
    throw new Error(`--revision ${revision} names no branch, tag or commit`);
  }
  return { ...name, revision };
}

async function planned(
  asking: Asking,
  cache: string,
  repo: string,
  revision: string,
  { anyModel, json, dryRun }: PullFlags,
): Promise<PullPlan> {
  const plan = await planPull(asking, cache, repo, revision);
  const { config } = plan;
  const type = isJsonObject(config) ? config.model_type : undefined;
  // Not before it is needed: it brings all kernels with it.
  const { FAMILIES } = await import("../model/family.ts");
  if (!anyModel && !(typeof type === "string" && Object.hasOwn(FAMILIES, type))) {
    throw new Error(
      `${repo} has model_type ${JSON.stringify(type) ?? "missing"}, and unmask runs ` +
        `${
          Object.keys(FAMILIES).join(", ")
        }: nothing was fetched. --any-model fetches it all the same.`,
    );
  }
  if (!json) {
    console.log(`${repo} at ${revision}, commit ${plan.commit}`);
    if (dryRun) { for (const file of plan.files) console.log(fileLine(file)); }
    console.log(planLine(plan));
  }
  return plan;
}

async function carriedOut(
  asking: Asking,
  plan: PullPlan,
  { dryRun, connections, verify, json }: PullFlags,
): Promise<Pulled> {
  if (dryRun) return described(plan, 0);
  const pace = new Pace();
  const report = progressReport(
    "pull",
    gigabytes,
    true,
    (done, total) => pace.told(done, total),
  );
  let fetched: number;
  try {
    fetched = await pull(asking, plan, {
      connections,
      verify,
      onWrong: ({ name }) => console.error(`${name} is not what the hub lists: fetching it again.`),
      onProgress: plan.missingBytes > 0 || verify ? report.update : undefined,
      onWait: () => console.error(`Another process pulls ${plan.repo}: waiting for it.`),
    });
  } finally {
    report.stop();
  }
  const missing = missingFiles(plan.dir);
  if (missing.length > 0) {
    throw new Error(`${plan.dir} lacks ${missing.join(", ")}: run the same command again`);
  }
  if (!json) console.log(plan.dir);
  return described(plan, fetched);
}

/** What the cache holds, where the hub must not be asked. */
function foundOffline(cache: string, name: HubName): Pulled {
  const { repo, revision = MAIN } = name;
  const cached = readCached(cache, repo);
  const snapshot = cached && snapshotOf(cached, name);
  if (!snapshot || snapshot.missing.length > 0) {
    throw new Error(
      `HF_HUB_OFFLINE is set, and ${cache} ` +
        (snapshot
          ? `lacks ${snapshot.missing.join(", ")} of ${repo}`
          : `has no ${repo} at ${revision}`),
    );
  }
  const { commit, dir } = snapshot;
  console.error(`HF_HUB_OFFLINE is set: whether ${repo} is up to date was not asked.`);
  return {
    ...{ id: repo, revision, commit, dir, bytes: folderBytes(dir), missing_bytes: 0 },
    ...{ needed_disk_bytes: 0, free_disk_bytes: null, fetched_bytes: 0, files: [] },
  };
}

function described(plan: PullPlan, fetched: number): Pulled {
  return {
    id: plan.repo,
    revision: plan.revision,
    commit: plan.commit,
    dir: plan.dir,
    bytes: plan.bytes,
    missing_bytes: plan.missingBytes,
    needed_disk_bytes: plan.neededBytes,
    free_disk_bytes: plan.freeBytes ?? null,
    fetched_bytes: fetched,
    files: plan.files.map(({ name, bytes, etag, hash, present }) => {
      return { name, bytes, hash, digest: etag, present };
    }),
  };
}

function fileLine({ name, bytes, present }: PullPlan["files"][number]): string {
  return `  ${gigabytes(bytes).padStart(9)}  ${present ? "there  " : "missing"}  ${name}`;
}

function planLine({ files, bytes, missingBytes, neededBytes, freeBytes }: PullPlan): string {
  const all = `${files.length} files, ${gigabytes(bytes)}`;
  if (missingBytes === 0) return `${all}: all of them are there.`;
  const free = freeBytes === undefined ? "" : ` of ${gigabytes(freeBytes)} that are free`;
  return `${all}; ${gigabytes(missingBytes)} to fetch, which takes ${
    gigabytes(neededBytes)
  }${free}.`;
}
