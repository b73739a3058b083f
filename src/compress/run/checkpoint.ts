/**
 * Checkpoints of a run. A checkpoint is written under another name, synced and renamed, so that
 * whatever has its name is whole, even after a power failure. The last two are kept.
 */

import { dirname, join } from "node:path";
import { CheckpointError } from "../../weights/checkpoint.ts";
import { isJsonObject, isThere } from "../../weights/json_file.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";
import { partOf, SafetensorsLayout, SafetensorsWriter } from "../../weights/safetensors_writer.ts";
import { writeError } from "../../weights/write_error.ts";
import type { StateTensor } from "./trainee.ts";

/** Checkpoints that are kept. */
const KEPT = 2;
const TENSORS = "state.safetensors";
const STATE = "state.json";
const CHECKPOINT = /^step-(\d{7,})$/;
const BEST = /^best-(\d{7,})\.safetensors$/;

/** Where the best weights so far were met. */
export interface BestPlace {
  readonly step: number;
  /** Average agreement there. */
  readonly average: number;
}

/** What a checkpoint holds besides tensors. */
export interface RunState {
  /** Steps that are done. */
  readonly step: number;
  /** Tokens of those steps. */
  readonly tokens: number;
  /** Seconds that they took, evaluation included. */
  readonly seconds: number;
  /** Sums over the steps since the last line of the history. */
  readonly pending: Pending;
  /** The best evaluation; absent: there was none. */
  readonly best?: BestPlace;
  /** Device that computed it: another one may round differently. */
  readonly device: string;
}

/** Sums over some steps. */
export interface Pending {
  readonly steps: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly terms: Readonly<Record<string, number>>;
}

/** A checkpoint that was found. */
export interface FoundCheckpoint {
  readonly state: RunState;
  /** Writes its tensors into the trainee. */
  restore(tensors: readonly StateTensor[]): void;
}

const nameOf = (step: number) => `step-${String(step).padStart(7, "0")}`;

/** Path of the weights that were best, at a step. */
export function bestFile(run: string, step: number): string {
  return join(run, `best-${String(step).padStart(7, "0")}.safetensors`);
}

/**
 * Writes a checkpoint, and removes those that are older than the last two.
 * @throws {Error} when the system refuses to write, saying why
 */
export async function saveCheckpoint(
  run: string,
  state: RunState,
  tensors: readonly StateTensor[],
): Promise<void> {
  const dir = join(run, nameOf(state.step));
  const part = partOf(dir);
  try {
    // What an interrupted run has left.
    for (const path of [part, dir]) if (isThere(path)) Deno.removeSync(path, { recursive: true });
    Deno.mkdirSync(part, { recursive: true });
    await saveTensors(join(part, TENSORS), tensors);
    writeSynced(join(part, STATE), JSON.stringify(state, null, 2) + "\n");
    syncFolder(part);
    Deno.renameSync(part, dir);
    syncFolder(run);
    removeOlder(run);
  } catch (error) {
    throw writeError(run, error);
  }
}

/**
 * Writes tensors to a file, one in memory at a time; the file has its name once it is whole.
 * @throws {Error} when the system refuses to write, saying why
 */
export async function saveTensors(path: string, tensors: readonly StateTensor[]): Promise<void> {
  try {
    await writeTensors(path, tensors);
  } catch (error) {
    throw writeError(dirname(path), error);
  }
}

async function writeTensors(path: string, tensors: readonly StateTensor[]): Promise<void> {
  const layout = new SafetensorsLayout(
    tensors.map(({ name, shape }) => ({ name, dtype: "F32", shape })),
  );
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  using writer = new SafetensorsWriter(path, layout);
  for (const name of layout.places.keys()) {
    writer.append(name, new Uint8Array((await byName.get(name)!.read()).buffer));
  }
  await writer.finish();
}

/**
 * Reads tensors that {@linkcode saveTensors} wrote.
 * @throws {CheckpointError} when the file is broken, or holds tensors of another model
 */
export function loadTensors(path: string, tensors: readonly StateTensor[]): void {
  using file = new SafetensorsFile(path);
  checkTensors(file, tensors);
  for (const tensor of tensors) {
    const slice = file.tensors.get(tensor.name)!;
    const values = new Float32Array(slice.byteLength / 4);
    file.readInto(slice, new Uint8Array(values.buffer));
    tensor.write(values);
  }
}

function checkTensors(file: SafetensorsFile, tensors: readonly StateTensor[]): void {
  for (const { name, shape } of tensors) {
    const found = file.tensors.get(name);
    if (found && found.dtype === "F32" && `${found.shape}` === `${shape}`) continue;
    throw new CheckpointError({
      file: file.file,
      tensor: name,
      found: found ? `${found.dtype} [${found.shape}]` : "missing",
      expected: `F32 [${shape}], as the model that is trained`,
      remedy: "Remove the run's folder, or give the model that it began with.",
    });
  }
  if (file.tensors.size === tensors.length) return;
  throw new CheckpointError({
    file: file.file,
    field: "tensors",
    found: `${file.tensors.size}`,
    expected: `${tensors.length}, as many as the run has`,
  });
}

/**
 * Finds the newest checkpoint of a run that can be read.
 * @param onBroken told of a checkpoint that cannot be read, and why
 * @returns undefined when there is none
 * @throws {Error} when there are some, and none of them can be read
 */
export function findCheckpoint(
  run: string,
  onBroken: (why: string) => void = () => {},
): FoundCheckpoint | undefined {
  const steps = stepsIn(run, CHECKPOINT).reverse();
  for (const step of steps) {
    const dir = join(run, nameOf(step));
    try {
      const state = readState(join(dir, STATE), step);
      // Its header is checked, and that it has all the bytes that the header tells of.
      new SafetensorsFile(join(dir, TENSORS))[Symbol.dispose]();
      return { state, restore: (tensors) => loadTensors(join(dir, TENSORS), tensors) };
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      onBroken(error.message);
    }
  }
  // To begin anew is not for this program to decide: hours may lie in the best weights beside them.
  if (steps.length === 0) return undefined;
  throw new Error(
    `${run}: none of its checkpoints can be read (steps ${
      steps.join(", ")
    }). Remove the folder to ` +
      "begin anew; its best-*.safetensors may be whole.",
  );
}

function readState(file: string, step: number): RunState {
  let state: unknown;
  try {
    state = JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof Deno.errors.NotFound)) throw error;
  }
  if (isJsonObject(state) && state.step === step && isJsonObject(state.pending)) {
    return state as unknown as RunState;
  }
  throw new CheckpointError({
    file,
    field: "content",
    found: "no state of this step",
    expected: `step ${step}`,
  });
}

/** Steps of the files or folders of a run that are named like `pattern`, ascending. */
function stepsIn(run: string, pattern: RegExp): number[] {
  if (!isThere(run)) return [];
  return [...Deno.readDirSync(run)]
    .flatMap(({ name }) => pattern.exec(name)?.[1] ?? [])
    .map(Number).sort((a, b) => a - b);
}

/** Removes checkpoints before the last two, and best weights that neither of these names. */
function removeOlder(run: string): void {
  const steps = stepsIn(run, CHECKPOINT);
  for (const step of steps.slice(0, -KEPT)) {
    Deno.removeSync(join(run, nameOf(step)), { recursive: true });
  }
  const named = steps.slice(-KEPT).flatMap((step) => {
    try {
      return readState(join(run, nameOf(step), STATE), step).best?.step ?? [];
    } catch (error) {
      if (error instanceof CheckpointError) return [];
      throw error;
    }
  });
  for (const step of stepsIn(run, BEST)) {
    if (!named.includes(step)) Deno.removeSync(bestFile(run, step));
  }
}

/** Writes a small file so that it is on the disk when this returns. */
export function writeSynced(path: string, text: string): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
  file.syncSync();
}

/** Has the names in a folder written to the disk, where the system can do that. */
function syncFolder(dir: string): void {
  if (Deno.build.os === "windows") return;
  using folder = Deno.openSync(dir);
  folder.syncSync();
}
