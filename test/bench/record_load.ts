/**
 * Records what `bench simulate` runs on: answers of the embedded pair as the jobs that they ask both
 * models for, and what passes of these cost on this adapter. Writes `src/bench/simulation/recorded_answers.json`
 * and this adapter's curve into `cost_curves.json` beside it:
 *
 *     deno run -A test/bench/record_load.ts [answers] [curve]
 */

import { type RecordedJob, writeJobs } from "../../src/bench/simulation/job_list.ts";
import type { RecordedAnswer } from "../../src/bench/simulation/recorded.ts";
import type { ForwardInput } from "../../src/denoise/predictor.ts";
import { parseAccuracyFile } from "../../src/evaluate/accuracy.ts";
import type { GenerateRequest } from "../../src/engine/request.ts";
import type { BatchCanvas, BatchModel } from "../../src/model/batch/pass_job.ts";
import { loadEngine } from "../../src/engine/load.ts";
import type { PassModel } from "../../src/engine/batching/policy.ts";
import type { Model } from "../../src/model/model.ts";

const MODEL = "models/tiny-target";
const DATA = "models/eval-public.json";
const FOLDER = "src/bench/simulation";
/** Answers of each setting, and which of the prompts they are to. */
const PROMPTS = 9;
const EVERY = 11;
/** Canvases, in turn: two that are filled to their end, and a long one that ends with the answer. */
const CANVASES = [
  { maxTokens: 64, ignoreEos: true },
  { maxTokens: 128, ignoreEos: true },
  { maxTokens: 256 },
];
const SETTINGS = [
  { strategy: "plain", cache: "none" },
  { strategy: "plain", cache: "dual" },
  { strategy: "plain", cache: "dual", blockLength: 8 },
  { strategy: "threshold", cache: "none" },
  { strategy: "threshold", cache: "dual" },
  { strategy: "gate" },
  { strategy: "commit_verify" },
  { strategy: "lossless" },
  { strategy: "auto" },
] as const satisfies readonly Partial<GenerateRequest>[];
/** Rows of the passes that are timed, and how often. */
const ROWS = [1, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512];
const TURNS = 15;
/** Positions of a sequence of a timed pass. */
const LENGTH = 128;

/** Answers before those that are recorded, so that `auto` knows what passes cost. */
const WARM_UP = 6;

const engine = await loadEngine(MODEL);
const { model } = engine;
const draft = engine.draft!.model;
const wanted = new Set(Deno.args);
if (wanted.size === 0 || wanted.has("answers")) await recordAnswers();
if (wanted.size === 0 || wanted.has("curve")) await recordCurves();
Deno.exit(0);

async function recordAnswers(): Promise<void> {
  const items = parseAccuracyFile(await Deno.readTextFile(DATA), DATA);
  let jobs: RecordedJob[] = [];
  watch("target", model, (job) => jobs.push(job));
  watch("draft", draft, (job) => jobs.push(job));
  const requestOf = (
    content: string,
    canvas: typeof CANVASES[number],
    setting: Partial<GenerateRequest>,
  ): GenerateRequest => ({ messages: [{ role: "user", content }], seed: 0, ...canvas, ...setting });
  for (const [i, { prompt }] of items.slice(-WARM_UP).entries()) {
    const request = requestOf(prompt, CANVASES[i % CANVASES.length], { strategy: "auto" });
    await Array.fromAsync(engine.generate(request));
  }
  const answers: RecordedAnswer[] = [];
  for (const setting of SETTINGS) {
    for (let i = 0; i < PROMPTS; i++) {
      const canvas = CANVASES[i % CANVASES.length];
      const request = requestOf(items[i * EVERY].prompt, canvas, setting);
      jobs = [];
      let beforeText: number | undefined;
      for await (const event of engine.generate(request)) {
        if (event.type === "step" && event.delta !== "") beforeText ??= passesUpTo(event.nfe, jobs);
        if (event.type !== "end") continue;
        const { usage, stats } = event;
        const cache = "cache" in setting && setting.cache !== "none" ? `+${setting.cache}` : "";
        const blocks = "blockLength" in setting ? `, blocks of ${setting.blockLength}` : "";
        const name = setting.strategy + cache + blocks;
        answers.push({
          setting: name,
          tokens: usage.completionTokens,
          beforeText: beforeText ?? passesUpTo(stats.forwards, jobs),
          jobs,
        });
        console.log(name, request.maxTokens, answers.at(-1)!.tokens, "tokens", stats.choices ?? "");
      }
    }
  }
  const source =
    `${PROMPTS} prompts of ${DATA}, every ${EVERY}th, answered by ${MODEL} and the draft that comes ` +
    "with it: canvases of 64 and 128 positions filled to their end, and of 256 that end with the " +
    "answer, in turn; auto as it chose alone on this adapter";
  await Deno.writeTextFile(
    `${FOLDER}/recorded_answers.json`,
    JSON.stringify({
      source,
      answers: answers.map((answer) => ({ ...answer, jobs: writeJobs(answer.jobs) })),
    }),
  );
}

/** Passes of both models up to so many of the target. */
function passesUpTo(targetPasses: number, jobs: readonly RecordedJob[]): number {
  let left = targetPasses;
  let passes = 0;
  for (const { model, rows } of jobs) {
    for (let i = 0; i < rows.length && left > 0; i++) {
      passes++;
      if (model !== "draft") left--;
    }
  }
  return passes;
}

/** Tells of each job as it runs; of one request alone, each runs by itself. */
function watch(name: PassModel, model: BatchModel, ran: (job: RecordedJob) => void): void {
  const asked = new WeakMap<object, RecordedJob>();
  const note = <T extends object>(job: T, recorded: RecordedJob): T => {
    asked.set(job, { ...name === "draft" && { model: name }, ...recorded });
    return job;
  };
  const predictJob = model.predictJob.bind(model);
  const open = model.canvas.bind(model);
  const run = model.runTogether.bind(model);
  model.runTogether = (jobs, passes, options) => {
    for (const job of jobs) {
      const { rows, ...recorded } = asked.get(job)!;
      ran({ ...recorded, rows: rows.slice(0, passes) });
    }
    return run(jobs, passes, options);
  };
  model.predictJob = (inputs) =>
    note(predictJob(inputs), { rows: [inputs.reduce((sum, input) => sum + rowsOf(input), 0)] });
  model.canvas = (sequences, reserved) => {
    const canvas = open(sequences, reserved);
    const length = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
    const whole = (horizon = length) => Math.min(horizon, length);
    return {
      hasTwin: (step) => canvas.hasTwin(step),
      setIds: (...args: Parameters<BatchCanvas["setIds"]>) => canvas.setIds(...args),
      destroy: () => canvas.destroy(),
      stepsJob: (steps) => {
        const rows = steps.map(({ cache, horizon }) =>
          typeof cache === "object" ? cache.end - cache.first : whole(horizon)
        );
        return note(canvas.stepsJob(steps), { rows, refreshes: steps[0]?.cache === "refresh" });
      },
      statesJob: (states, cache) => {
        const rows = typeof cache === "object"
          ? states.length * (cache.end - cache.first)
          : states.reduce((sum, { ids }) => sum + ids.length, 0);
        return note(canvas.statesJob(states, cache), {
          rows: [rows],
          refreshes: cache === "refresh",
        });
      },
    };
  };
}

function rowsOf({ ids, shadows, guidance }: ForwardInput): number {
  return ids.length * (guidance ? 2 : 1) + (shadows?.length ?? 0);
}

/** Both models' times in turn, so that a busy minute harms both alike. */
async function recordCurves(): Promise<void> {
  const timed = [model, draft].map((one) => ({
    one,
    times: new Map<number, number[]>(ROWS.map((rows) => [rows, []])),
  }));
  for (let turn = -1; turn < TURNS; turn++) {
    for (const { one, times } of timed) {
      for (const rows of ROWS) {
        const milliseconds = await timePass(one, rows);
        // The first turn compiles kernels.
        if (turn >= 0) times.get(rows)!.push(milliseconds);
      }
    }
  }
  const [points, draftPoints] = timed.map(({ times }) =>
    ROWS.map((rows) => {
      const sorted = times.get(rows)!.sort((a, b) => a - b);
      // Other programs make passes too long and none too short: the lower quartile.
      return { rows, milliseconds: Number(sorted[sorted.length >> 2].toFixed(2)) };
    })
  );
  const file = `${FOLDER}/cost_curves.json`;
  const curves = JSON.parse(await Deno.readTextFile(file));
  const source = `measured: the lower quartile of ${TURNS} passes, two cores, both models in turn`;
  curves["tiny-software"] = {
    model: "the embedded target, bf16",
    device: engine.model.gpu.name,
    source,
    points,
    draft: { model: "the embedded draft, bf16", source, points: draftPoints },
  };
  await Deno.writeTextFile(file, JSON.stringify(curves, null, 2) + "\n");
  console.log(points, draftPoints);
}

/** Milliseconds of a pass of sequences of up to {@linkcode LENGTH} positions. */
async function timePass(model: Model, rows: number): Promise<number> {
  const choice = {
    temperature: 0,
    seed: 0,
    step: 0,
    bannedTokens: [],
    unconfidentTokens: [],
  };
  const inputs = [];
  for (let left = rows; left > 0; left -= LENGTH) {
    const length = Math.min(left, LENGTH);
    const ids = new Uint32Array(length).fill(model.config.maskTokenId);
    const positions = Uint32Array.from({ length: Math.min(length, 32) }, (_, i) => i);
    inputs.push({ ids, positions, choice });
  }
  const start = performance.now();
  await model.predict(inputs);
  return performance.now() - start;
}
