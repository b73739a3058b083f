/** What `unmask doctor` finds of the system: program, memory, disk, permissions, port. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "../../engine/cache_folder.ts";
import { VERSION } from "../../engine/version.ts";
import { binarySize } from "../../model/memory/binary_size.ts";
import { freeBytes, gigabytes } from "../../weights/disk_space.ts";
import { hubCache } from "../../weights/hub/settings.ts";
import { VARIABLES } from "../permissions.ts";
import { type Finding, fine, problem, warning } from "./finding.ts";

/** Bytes of free host memory below which loading may fail. */
const LITTLE_MEMORY = 2 ** 30;
/** Bytes that LLaDA-8B takes on a disk, as it is published. */
const LARGE_MODEL = 17e9;
/** Bytes that the embedded models, a tuning and the like take. */
const SMALL_FILES = 100e6;
/** First version of Deno whose WebGPU has what kernels need. */
const OLDEST_DENO = [2, 9];

/** All of them. */
export function systemFindings(host: string, port: number): Finding[] {
  return [
    programFinding(),
    ...permissionFindings(host),
    memoryFinding(),
    diskFinding("cache folder", cacheFolder(), SMALL_FILES),
    diskFinding("hub cache", hubCache(), LARGE_MODEL),
    portFinding(host, port),
  ];
}

function programFinding(): Finding {
  const { os, arch } = Deno.build;
  const { deno } = Deno.version;
  const found = `unmask ${VERSION} on Deno ${deno}, ${os} ${arch}`;
  const [major, minor] = deno.split(".").map(Number);
  const isOld = major < OLDEST_DENO[0] || (major === OLDEST_DENO[0] && minor < OLDEST_DENO[1]);
  const advice = `Use Deno ${OLDEST_DENO.join(".")} or later.`;
  return isOld ? problem("program", found, advice) : fine("program", found);
}

/** Whether what the tasks permit is permitted. */
function permissionFindings(host: string): Finding[] {
  const what = "permissions";
  const may = (descriptor: Deno.PermissionDescriptor) =>
    Deno.permissions.querySync(descriptor).state === "granted";
  const here = import.meta.url.startsWith("file:") ? fileURLToPath(import.meta.url) : ".";
  const cache = cacheFolder();
  const wanted: readonly (readonly [string, boolean, needed: boolean])[] = [
    ["to read its own files", may({ name: "read", path: here }), true],
    ["to write to the cache folder", may({ name: "write", path: cache ?? "." }), false],
    [
      `to listen on ${host}`,
      may({ name: "net", host: host.includes(":") ? `[${host}]` : host }),
      false,
    ],
    ["to know free memory", may({ name: "sys", kind: "systemMemoryInfo" }), false],
    ["to know free space", may({ name: "sys", kind: "statfs" }), false],
    ...VARIABLES.map((variable) =>
      [`to read ${variable}`, may({ name: "env", variable }), false] as const
    ),
  ];
  const missing = wanted.filter(([, granted]) => !granted);
  if (missing.length === 0) return [fine(what, "all that its commands use")];
  const names = missing.map(([name]) => name).join(", ");
  const made = missing.some(([, , needed]) => needed) ? problem : warning;
  return [
    made(what, `it may not: ${names}`, "Use deno task unmask, which permits what is needed."),
  ];
}

function memoryFinding(): Finding {
  const what = "host memory";
  if (Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" }).state !== "granted") {
    return warning(what, "unknown", "Permit --allow-sys=systemMemoryInfo.");
  }
  const { available, total } = Deno.systemMemoryInfo();
  const found = `${binarySize(available)} of ${binarySize(total)} free`;
  return available >= LITTLE_MEMORY
    ? fine(what, found)
    : warning(what, found, "End other programs: models pass through the host's memory.");
}

function diskFinding(what: string, folder: string | undefined, needed: number): Finding {
  if (folder === undefined) {
    return warning(what, "no variable names one", "Set HOME, or LOCALAPPDATA on Windows.");
  }
  const free = freeBytes(folder);
  const found = `${folder}: ${
    free === undefined ? "free space unknown" : `${gigabytes(free)} free`
  }`;
  if (!isWritable(folder)) {
    return warning(
      what,
      `${folder} cannot be written`,
      "Give its folder to this user, or name another.",
    );
  }
  if (free === undefined || free >= needed) return fine(what, found);
  const use = needed === LARGE_MODEL ? "LLaDA-8B takes 16 GB" : "models and tunings are kept there";
  return warning(what, found, `Free ${gigabytes(needed - free)}: ${use}.`);
}

/** Whether this user may write to a folder, or make it: a file is made there, and removed. */
function isWritable(folder: string): boolean {
  for (let at = resolve(folder);; at = dirname(at)) {
    try {
      Deno.removeSync(Deno.makeTempFileSync({ dir: at, prefix: ".unmask_doctor_" }));
      return true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || dirname(at) === at) return false;
    }
  }
}

function portFinding(host: string, port: number): Finding {
  const what = "port";
  const address = `${host}:${port}`;
  try {
    Deno.listen({ hostname: host, port }).close();
    return fine(what, `${address} is free`);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      return warning(
        what,
        `${address} is in use`,
        "Stop what listens there (it may be unmask serve), or serve with another --port.",
      );
    }
    if (error instanceof Deno.errors.NotCapable) {
      return warning(what, `${address} may not be listened on`, "Use deno task unmask.");
    }
    return warning(
      what,
      `${address}: ${(error as Error).message}`,
      "Choose another --host or --port.",
    );
  }
}
