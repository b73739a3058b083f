/** How well a draft fits its target, for `unmask eval agreement --draft`. */

import { basename, join, resolve } from "node:path";
import { endTokenIds } from "../engine/model_facts.ts";
import { folderDefaults, planGeneration } from "../engine/generation_plan.ts";
import {
  type AnswerOptions,
  type DraftAcceptance,
  draftAcceptance,
} from "../evaluate/draft_acceptance.ts";
import {
  type AnsweredPrompt,
  choicesAt,
  countAgreement,
  DRAFT_RATIOS,
  type DraftAgreement,
  maskAnswer,
} from "../evaluate/draft_agreement.ts";
import { readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import { checkRoom } from "../model/memory/memory_room.ts";
import type { Model } from "../model/model.ts";
import type { ModelConfig } from "../model/model_config.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { measureCost } from "./draft_cost.ts";
import { draftReport } from "./draft_report.ts";
import { draftMarkdown, draftTables, drawCalibration } from "./draft_tables.ts";
import { readEvaluationData, toldModel } from "./eval_data.ts";
import { evaluateEach, openKept } from "./eval_run.ts";
import { measuredTuning, precisionOf, type QuantisationFlags, quantisationOf } from "./options.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Examples, unless asked otherwise: as many as the published figures have. */
const EXAMPLES = 64;
/** Length of prompt plus answer that memory is planned for. */
const ROOM_TOKENS = 512;
/** Finished examples, among what `--out` holds. */
const KEPT = "agreement.jsonl";

/** Options of the command, as commander parses them. */
export interface DraftFlags extends QuantisationFlags, DeviceFlags {
  readonly model: string;
  readonly draft: string;
  readonly data: readonly string[];
  readonly limit?: number;
  readonly maxTokens?: number;
  readonly steps?: number;
  readonly response: number;
  readonly answers: number;
  readonly seed: number;
  readonly out?: string;
  readonly json?: boolean;
  readonly tuning?: string;
}

/** What is kept of an example. */
export interface DraftExample {
  /** Counts at each of the mask ratios. */
  readonly agreements: readonly DraftAgreement[];
  /** Absent where no answer was made. */
  readonly acceptance?: DraftAcceptance;
}

/** Compares a draft with its target on the data, and tells the figures of the draft's card. */
export async function runDraft(flags: DraftFlags): Promise<void> {
  const { model: targetDir, draft: draftDir, data, out, limit = EXAMPLES } = flags;
  const config = readConfig(targetDir);
  checkPair(config, readConfig(draftDir), draftDir);
  const context = config.maxSequenceLength;
  const { examples, told } = readEvaluationData(data, targetDir, { most: limit, context });
  const answering = answerOptions(config, flags);
  checkLengths(examples, answering, flags, context);
  const quantisation = quantisationOf(flags);
  const precision = precisionOf(quantisation);
  const tuned = measuredTuning(flags.tuning);
  using gpu = await openDevice(deviceOf(flags));
  const tiles = tuned && tileLookup(tuned, gpu);
  using kept = openKept<DraftExample>(out, KEPT, {
    model: toldModel(targetDir),
    draft: toldModel(draftDir),
    data: told,
    response: flags.response,
    answers: flags.answers,
    seed: flags.seed,
    maxTokens: answering.genLength,
    steps: answering.steps,
    weights: quantisation ?? "as stored",
    adapter: gpu.name,
  });
  {
    using first = openCheckpoint(targetDir);
    using second = openCheckpoint(draftDir);
    await checkRoom(gpu, [
      { name: targetDir, config, checkpoint: first, precision },
      { name: draftDir, config: readConfig(draftDir), checkpoint: second, precision },
    ], ROOM_TOKENS);
  }
  using target = await loadModel(gpu, targetDir, { precision, tiles });
  using draft = await loadModel(gpu, draftDir, { precision, tiles });
  const models = { target, draft };
  const results = await evaluateEach(
    "comparing",
    examples.length,
    kept,
    (i) => compareExample(models, examples[i], answering, flags, i < flags.answers),
  );
  const answered = results.some(({ acceptance }) => acceptance !== undefined);
  const cost = await measureCost(target, draft, examples[0].prompt, answering, answered);
  const report = draftReport(results, cost, {
    draft: basename(resolve(draftDir)),
    target: basename(resolve(targetDir)),
    weights: quantisation ? flags.weights! : "as stored",
    data: data.map((path) => basename(path)),
    examples: examples.length,
    response_length: flags.response,
    seed: flags.seed,
    adapter: gpu.name,
  });
  if (out !== undefined) {
    await Deno.writeTextFile(join(out, "agreement.json"), `${JSON.stringify(report, null, 2)}\n`);
    await Deno.writeTextFile(join(out, "agreement.md"), draftMarkdown(report));
    const picture = await drawCalibration(gpu, report);
    await Deno.writeFile(join(out, "calibration.png"), pngOf(picture));
  }
  console.log(flags.json ? JSON.stringify(report) : draftTables(report));
}

function checkPair(target: ModelConfig, draft: ModelConfig, dir: string): void {
  for (const field of ["embeddingSize", "maskTokenId"] as const) {
    if (draft[field] === target[field]) continue;
    throw new Error(
      `${dir}: ${field} is ${draft[field]}, expected ${target[field]} as in the target. ` +
        "A draft has its target's vocabulary.",
    );
  }
}

/** @throws {Error} saying which option makes an example longer than the model takes */
function checkLengths(
  examples: readonly AnsweredPrompt[],
  { genLength }: AnswerOptions,
  { response, answers }: DraftFlags,
  context: number,
): void {
  const longest = (some: readonly AnsweredPrompt[]) =>
    Math.max(0, ...some.map(({ prompt }) => prompt.length));
  for (
    const [option, tokens, prompt] of [
      ["--response", response, longest(examples)],
      ["--max-tokens", genLength, longest(examples.slice(0, answers))],
    ] as const
  ) {
    if (prompt === 0 || prompt + tokens <= context) continue;
    throw new Error(
      `${option} ${tokens}: the longest prompt has ${prompt} tokens, together more than the ` +
        `${context} that the model takes`,
    );
  }
}

/** How the target answers: as the folder says, one token a step unless asked otherwise. */
function answerOptions(
  config: ModelConfig,
  { model, maxTokens, steps }: DraftFlags,
): AnswerOptions {
  const defaults = folderDefaults(model, config);
  const messages = [{ role: "user", content: "?" }];
  const request = { messages, maxTokens, steps, temperature: 0 };
  const plan = planGeneration(request, config, defaults, () => Uint32Array.of(0));
  const tokenizer = loadTokenizer(model, config.embeddingSize);
  const eot = defaults.eotTokenId ?? tokenizer.idOf("<|eot_id|>");
  return {
    maskTokenId: config.maskTokenId,
    eosTokenId: config.eosTokenId,
    endTokens: endTokenIds(config, defaults, eot),
    genLength: plan.genLength,
    blockLength: plan.blockLength,
    steps: plan.steps,
  };
}

async function compareExample(
  { target, draft }: Readonly<Record<"target" | "draft", Model>>,
  example: AnsweredPrompt,
  answering: AnswerOptions,
  { response, seed }: DraftFlags,
  answers: boolean,
): Promise<DraftExample> {
  const { maskTokenId, eosTokenId } = answering;
  const masking = { maskTokenId, paddingTokenId: eosTokenId, responseLength: response, seed };
  const states = DRAFT_RATIOS.map((ratio) => maskAnswer(example, ratio, masking));
  const expected = await choicesAt(target, states);
  const found = await choicesAt(draft, states);
  const agreements = states.map(({ maskRatio }, i) =>
    countAgreement(maskRatio, [expected[i]], [found[i]])
  );
  // A text without a prompt asks for no answer.
  if (!answers || example.prompt.length === 0) return { agreements };
  const acceptance = await draftAcceptance(target, draft, example.prompt, answering);
  return { agreements, acceptance };
}
