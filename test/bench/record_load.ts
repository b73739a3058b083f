/**
 * Records what `bench simulate` runs on: answers of the embedded model as the jobs that they ask
 * for, and what passes of it cost on this adapter. Writes `src/bench/simulation/recorded_answers.json`
 * and this adapter's curve into `cost_curves.json` beside it:
 *
 *     deno run -A test/bench/record_load.ts [answers] [curve]
 */

import type { RecordedAnswer, RecordedJob } from "../../src/bench/simulation/recorded.ts";
import type { ForwardInput } from "../../src/denoise/predictor.ts";
import { parseAccuracyFile } from "../../src/evaluate/accuracy.ts";
import type { GenerateRequest } from "../../src/engine/request.ts";
import type { BatchCanvas, BatchModel } from "../../src/model/batch/pass_job.ts";
import { loadEngine } from "../../src/engine/load.ts";

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
] as const satisfies readonly Partial<GenerateRequest>[];
/** Rows of the passes that are timed, and how often. */
const ROWS = [1, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512];
const TURNS = 15;
/** Positions of a sequence of a timed pass. */
const LENGTH = 128;

const engine = await loadEngine(MODEL);
const { model } = engine;
const wanted = new Set(Deno.args);
if (wanted.size === 0 || wanted.has("answers")) await recordAnswers();
if (wanted.size === 0 || wanted.has("curve")) await recordCurve();
Deno.exit(0);

async function recordAnswers(): Promise<void> {
  const items = parseAccuracyFile(await Deno.readTextFile(DATA), DATA);
  let jobs: RecordedJob[] = [];
  watch(model, (job) => jobs.push(job));
  const answers: RecordedAnswer[] = [];
  for (const setting of SETTINGS) {
    for (let i = 0; i < PROMPTS; i++) {
      const messages = [{ role: "user", content: items[i * EVERY].prompt }];
      const canvas = CANVASES[i % CANVASES.length];
      jobs = [];
      let beforeText: number | undefined;
      let steps = 0;
      for await (
        const event of engine.generate({ messages, seed: 0, ...canvas, ...setting })
      ) {
        if (event.type === "step") {
          steps++;
          if (event.delta !== "") beforeText ??= steps;
        }
        if (event.type !== "end") continue;
        const { completionTokens } = event.usage;
        const blocks = "blockLength" in setting ? `, blocks of ${setting.blockLength}` : "";
        const name = `${setting.strategy}+${setting.cache}`.replace("+none", "") + blocks;
        answers.push({
          setting: name,
          tokens: completionTokens,
          beforeText: beforeText ?? steps,
          jobs,
        });
        console.log(
          name,
          canvas.maxTokens,
          completionTokens,
          "tokens",
          jobs.length,
          "jobs",
          beforeText,
        );
      }
    }
  }
  const source =
    `${PROMPTS} prompts of ${DATA}, every ${EVERY}th, answered by ${MODEL}: canvases of ` +
    "64 and 128 positions filled to their end, and of 256 that end with the answer, in turn";
  await Deno.writeTextFile(
    `${FOLDER}/recorded_answers.json`,
    `{"source":${JSON.stringify(source)},"answers":[\n` +
      answers.map((answer) => JSON.stringify(answer)).join(",\n") + "\n]}\n",
  );
}

/** Tells of each job that is made; of one request alone, each runs whole. */
function watch(model: BatchModel, asked: (job: RecordedJob) => void): void {
  const predictJob = model.predictJob.bind(model);
  const open = model.canvas.bind(model);
  model.predictJob = (inputs) => {
    asked({ rows: [inputs.reduce((sum, input) => sum + rowsOf(input), 0)] });
    return predictJob(inputs);
  };
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
        if (rows.length > 0) asked({ rows, refreshes: steps[0].cache === "refresh" });
        return canvas.stepsJob(steps);
      },
      statesJob: (states, cache) => {
        const rows = typeof cache === "object"
          ? states.length * (cache.end - cache.first)
          : states.reduce((sum, { ids }) => sum + ids.length, 0);
        asked({ rows: [rows], refreshes: cache === "refresh" });
        return canvas.statesJob(states, cache);
      },
    };
  };
}

function rowsOf({ ids, shadows, guidance }: ForwardInput): number {
  return ids.length * (guidance ? 2 : 1) + (shadows?.length ?? 0);
}

/** Times passes of sequences of up to {@linkcode LENGTH} positions, sizes in turn. */
async function recordCurve(): Promise<void> {
  const times = new Map<number, number[]>(ROWS.map((rows) => [rows, []]));
  const mask = model.config.maskTokenId;
  const choice = {
    temperature: 0,
    seed: 0,
    step: 0,
    bannedTokens: [],
    unconfidentTokens: [],
  };
  for (let turn = -1; turn < TURNS; turn++) {
    for (const rows of ROWS) {
      const inputs = [];
      for (let left = rows; left > 0; left -= LENGTH) {
        const length = Math.min(left, LENGTH);
        const ids = new Uint32Array(length).fill(mask);
        const positions = Uint32Array.from({ length: Math.min(length, 32) }, (_, i) => i);
        inputs.push({ ids, positions, choice });
      }
      const start = performance.now();
      await model.predict(inputs);
      // The first turn compiles kernels.
      if (turn >= 0) times.get(rows)!.push(performance.now() - start);
    }
  }
  const points = ROWS.map((rows) => {
    const sorted = times.get(rows)!.sort((a, b) => a - b);
    // Other programs make passes too long and none too short: the lower quartile.
    return { rows, milliseconds: Number(sorted[sorted.length >> 2].toFixed(2)) };
  });
  const file = `${FOLDER}/cost_curves.json`;
  const curves = JSON.parse(await Deno.readTextFile(file));
  curves["tiny-software"] = {
    model: "the embedded target, bf16",
    device: engine.model.gpu.name,
    source: `measured: the lower quartile of ${TURNS} passes, two cores, other programs running`,
    points,
  };
  await Deno.writeTextFile(file, JSON.stringify(curves, null, 2) + "\n");
  console.log(points);
}
