/** What `unmask distil` and `unmask train` share: from settings to the written folder. */

import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { bestFile, loadTensors } from "../compress/run/checkpoint.ts";
import { cardOf } from "../compress/run/card.ts";
import { History, historyTable } from "../compress/run/history.ts";
import type { OpenedRun } from "../compress/run/opened_run.ts";
import { HISTORY, train } from "../compress/run/run.ts";
import { begunWith, openRunFolder } from "../compress/run/run_folder.ts";
import type { CommonSettings, Given } from "../compress/run/settings.ts";
import { planLine, planRows, type TrainingPlan } from "../compress/plan.ts";
import { trainedFolder } from "../compress/pass/trained_folder.ts";
import type { Gpu } from "../gpu/device.ts";
import { readConfig } from "../model/loading/config.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { isThere, readJsonObject, UNFINISHED } from "../weights/json_file.ts";
import { ConfigError } from "../weights/model_file_error.ts";
import { deviceOf, openDevice } from "./device_options.ts";
import { plainTable } from "./terminal/memory_table.ts";
import { onStop } from "./terminal/signals.ts";
import type { TrainingFlags } from "./training_options.ts";
import { runFolderOf } from "./training_paths.ts";
import { TrainingView, writeHistoryPicture } from "./training_view.ts";
import { writeWithReport } from "./write_folder.ts";

/** Files beside the weights that a trained folder keeps. */
const KEPT_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "generation_config.json",
];
const CARD = "README.md";
const PICTURE = "history.png";
const MAX_CONFIG = 2 ** 20;
const DTYPES = { bf16: "BF16", f16: "F16", f32: "F32" } as const;

/** Bytes of a file that are digested at each of three places. */
const DIGESTED = 2 ** 16;

/** A kind of run. */
export interface Training<S extends CommonSettings> {
  readonly command: "distil" | "train";
  readonly settings: S;
  /** Folder of the model that is trained. */
  readonly student: string;
  readonly teacher?: string;
  plan(gpu: Gpu, settings: S, gpuMemory?: number): Promise<TrainingPlan>;
  open(gpu: Gpu, settings: Planned<S>): Promise<OpenedRun>;
}

type Planned<S> = S & { readonly rows: number; readonly keepActivations: boolean };

/** Runs, or goes on, and writes the folder. */
export async function runTraining<S extends CommonSettings>(
  training: Training<S>,
  flags: TrainingFlags,
): Promise<void> {
  const { command, teacher, student } = training;
  const dir = resolve(flags.run ?? runFolderOf(flags.out));
  const begun = begunWith(dir);
  checkOut(flags.out, begun !== undefined, command);
  using gpu = await openDevice(deviceOf(flags));
  const asked = { ...withBegun(training.settings, begun) };
  const plan = await training.plan(gpu, asked, flags.gpuMemory);
  if (flags.dryRun) {
    console.log(planLine(plan, gpu));
    const table = plainTable();
    for (const row of planRows(plan)) table.push(row);
    console.log(`${table}`);
    return;
  }
  console.error(planLine(plan, gpu));
  const { rows, keepActivations } = plan;
  const settings: Planned<S> = { ...asked, rows, keepActivations };
  const recorded = { command, ...settings, inputs: inputsOf(training) };
  using folder = openRunFolder(dir, recorded as Given);
  using opened = await training.open(gpu, settings);
  if (begun === undefined) opened.data.check();
  folder.begin();
  const title = `${command}: ${basename(student)}${teacher ? ` by ${basename(teacher)}` : ""}`;
  const end = await run(gpu, dir, opened, flags, title);
  if (end === undefined) return;
  const { lines } = new History(join(dir, HISTORY), Infinity);
  if (end.best) loadTensors(bestFile(dir, end.best.step), opened.trainee.result);
  const step = end.best?.step ?? end.step;
  const card = cardOf({
    name: basename(resolve(flags.out)),
    command,
    student: readConfig(student),
    teacher: teacher === undefined
      ? undefined
      : { name: basename(teacher), config: readConfig(teacher) },
    files: opened.data.files.map((file, i) => ({ ...file, share: settings.data[i].share })),
    settings: settings as Given,
    given: ["unmask", ...Deno.args].map(quoted).join(" "),
    lines,
    step,
    device: gpu.name,
  });
  Deno.writeTextFileSync(join(dir, CARD), card);
  await writeOut(opened, training, settings, flags.out, dir, step);
  if (end.best) console.log(`Weights of step ${step}, the best by average agreement.`);
  console.log(historyTable(lines).trimEnd());
}

/** An argument as a shell takes it. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

/** A run that goes on keeps what was decided when it began. */
function withBegun<S extends CommonSettings>(settings: S, begun: Given | undefined): S {
  if (!begun) return settings;
  const { rows, keepActivations } = begun as Partial<CommonSettings>;
  return {
    ...settings,
    rows: settings.rows ?? rows,
    keepActivations: settings.keepActivations ?? keepActivations,
  };
}

/** What a run reads, by size and digest: other weights or data of the same name are another run. */
function inputsOf({ student, teacher, settings }: Training<CommonSettings>): Given {
  const weights = Object.entries({ student, teacher }).flatMap(([role, dir]) => {
    if (dir === undefined) return [];
    using checkpoint = openCheckpoint(dir);
    const files = new Set([...checkpoint.tensors.values()].map(({ file }) => file));
    return [...files].map((file) => [`${role}/${basename(file)}`, fingerprintOf(file)]);
  });
  const data = [...settings.data.map(({ path }) => path), settings.heldOut]
    .filter((path) => path !== undefined).map((path) => [path, fingerprintOf(path)]);
  return Object.fromEntries([...weights, ...data]);
}

/** Size of a file, and a digest of its beginning, middle and end: a file of gigabytes is not read. */
function fingerprintOf(path: string): string {
  using file = openedFile(path);
  // By its path: of an open file, Deno wants the permission of what a link leads to.
  const { size } = Deno.statSync(path);
  const hash = createHash("sha256");
  const piece = new Uint8Array(DIGESTED);
  for (const place of [0, size / 2, size - DIGESTED]) {
    file.seekSync(Math.max(0, Math.floor(place)), Deno.SeekMode.Start);
    const count = file.readSync(piece) ?? 0;
    hash.update(piece.subarray(0, count));
  }
  return `${size} bytes, ${hash.digest("hex").slice(0, 16)}`;
}

function digestOf(settings: Given | undefined): string {
  return createHash("sha256").update(JSON.stringify(settings)).digest("hex").slice(0, 16);
}

function openedFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`${path}: there is no such file`, { cause: error });
  }
}

function checkOut(out: string, isBegun: boolean, command: string): void {
  if (!isThere(out) || isThere(join(out, UNFINISHED))) return;
  if ([...Deno.readDirSync(out)].length === 0) return;
  throw new Error(
    `${out} is there already${isBegun ? ": the run has ended" : ""}. Choose another --out, or ` +
      `remove it to have ${command} write it again.`,
  );
}

/** Trains to the end. @returns undefined when it was stopped before */
async function run(
  gpu: Gpu,
  dir: string,
  opened: OpenedRun,
  flags: TrainingFlags,
  title: string,
) {
  const stopping = new AbortController();
  const view = new TrainingView(title, opened.run.length);
  let exitCode = 0;
  using _ = onStop((code, before) => {
    exitCode = code;
    stopping.abort();
    if (before === 0) {
      view.line("Stops with a checkpoint after this step; once more: at once, without one.");
      return;
    }
    view.stop();
    console.error(`Stopped: the same command goes on from the last checkpoint in ${dir}.`);
    Deno.exit(code);
  });
  const lines = [...new History(join(dir, HISTORY), Infinity).lines];
  try {
    for await (
      const event of train({
        dir,
        ...opened.run,
        checkpointEvery: flags.checkpointEvery,
        lineEvery: flags.lineEvery,
        device: gpu.name,
        signal: stopping.signal,
      })
    ) {
      view.show(event);
      if (event.kind === "start" && event.device !== undefined && event.device !== gpu.name) {
        view.line(`Warning: it ran on ${event.device} before; ${gpu.name} may round differently.`);
      }
      if (event.kind === "line") {
        while (lines.length > 0 && lines.at(-1)!.step >= event.line.step) lines.pop();
        lines.push(event.line);
      }
      if (event.kind === "line" && event.line.evaluation) {
        await writeHistoryPicture(gpu, title, lines, join(dir, PICTURE));
      }
      if (event.kind === "end") {
        if (event.finished) return event;
        console.error(`Stopped: ${dir} holds a checkpoint. The same command goes on from here.`);
        Deno.exitCode = exitCode;
      }
    }
  } finally {
    view.stop();
  }
}

async function writeOut<S extends CommonSettings>(
  { space, parameters, adapters, weightsOf }: OpenedRun,
  { student, command }: Training<S>,
  { dtype }: S,
  out: string,
  dir: string,
  step: number,
): Promise<void> {
  const copies = [
    ...KEPT_FILES.map((name) => join(student, name)),
    join(dir, CARD),
    join(dir, PICTURE),
  ].filter(isThere);
  using original = openCheckpoint(student);
  const content = trainedFolder(space, parameters, {
    config: readJsonObject(join(student, "config.json"), MAX_CONFIG, ConfigError),
    copies,
    // Another run in the folder of the one that was killed here must not go on with its weights.
    settings: {
      made_by: `unmask ${command}`,
      run: dir,
      step,
      dtype,
      begun: digestOf(begunWith(dir)),
    },
    dtype: DTYPES[dtype],
    adapters,
    original,
    weightsOf,
  });
  await writeWithReport(out, content);
}
