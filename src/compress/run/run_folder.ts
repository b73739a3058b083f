/** The folder of a run: its settings, a lock against a second process, and what it began with. */

import { dirname, join } from "node:path";
import { isThere } from "../../weights/json_file.ts";
import { partOf } from "../../weights/safetensors_writer.ts";
import { writeError } from "../../weights/write_error.ts";
import { writeSynced } from "./checkpoint.ts";
import { differenceOf, type Given } from "./settings.ts";

const SETTINGS = "settings.json";
const LOCK = "run.lock";

/** What a run was begun with; undefined where there is none. @throws {Error} when it is broken */
export function begunWith(dir: string): Given | undefined {
  const file = join(dir, SETTINGS);
  if (!isThere(file)) return undefined;
  try {
    return JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}. Remove ${dir} to begin anew.`);
  }
}

/** The folder of a run, locked until it is disposed of. */
export interface RunFolder extends Disposable {
  /** Keeps the settings in a new folder: from now on it takes no others. */
  begin(): void;
}

/**
 * Opens the folder of a run.
 * @throws {Error} when another process has it open, or it was begun with other settings: it names the
 * first field that differs
 */
export function openRunFolder(dir: string, settings: Given): RunFolder {
  try {
    Deno.mkdirSync(dir, { recursive: true });
    using opened = new DisposableStack();
    opened.use(lock(dir));
    const begun = begunWith(dir);
    const difference = begun && differenceOf(begun, settings);
    if (difference !== undefined) {
      throw new Error(
        `${dir} holds a run with other settings: ${difference}. Give the same ones to go on with ` +
          `it, another --run or --out to begin another, or remove it.`,
      );
    }
    const closing = opened.move();
    return {
      begin() {
        if (begun) return;
        const file = join(dir, SETTINGS);
        writeSynced(partOf(file), JSON.stringify(settings, null, 2) + "\n");
        Deno.renameSync(partOf(file), file);
      },
      [Symbol.dispose]() {
        using _ = closing;
        removeUnbegun(dir);
      },
    };
  } catch (error) {
    throw writeError(dirname(dir), error);
  }
}

/** Removes a folder in which nothing has begun, while it is locked: what was refused leaves nothing. */
function removeUnbegun(dir: string): void {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  if (names.join() === LOCK) Deno.removeSync(dir, { recursive: true });
}

/** The system gives the lock back when the process ends, however it does. */
function lock(dir: string): Disposable {
  const file = Deno.openSync(join(dir, LOCK), { write: true, create: true });
  // A lock that another process has removed since it was opened locks nobody out.
  if (!file.tryLockSync(true) || !isThere(join(dir, LOCK))) {
    file.close();
    throw new Error(`${dir}: another process goes on with this run. Wait until it ends.`);
  }
  return { [Symbol.dispose]: () => file.close() };
}
