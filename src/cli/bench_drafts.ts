/** `unmask bench drafts`: compares drafts of one target, and draws them. */

import { benchDrafts, type DraftsBench } from "../bench/drafts.ts";
import { sampleEncoder } from "../compress/data/sample.ts";
import { readSamples } from "../compress/data/training_data.ts";
import { parseAccuracyFile } from "../evaluate/accuracy.ts";
import {
  agreementAt,
  type AnsweredPrompt,
  DRAFT_RATIOS,
  draftFigures,
  RESPONSE_LENGTH,
} from "../evaluate/draft_agreement.ts";
import { loadModel } from "../model/loading/load.ts";
import type { Model } from "../model/model.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { drawChart } from "./chart.ts";
import { type DeviceFlags, deviceOf, openDevice, tellProvider } from "./device_options.ts";
import { draftPanels } from "./draft_chart.ts";
import { measuredTuning } from "./options.ts";
import { progressReport } from "./terminal/progress.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Flags of the command. */
export interface DraftsFlags extends DeviceFlags {
  readonly model: string;
  readonly data: string;
  readonly drafts: readonly string[];
  readonly limit?: number;
  readonly steps?: number;
  readonly tuning?: string;
  readonly picture?: string;
}

/** Measures every draft: agreement on the examples of `--data`, then speed on its prompts. */
export async function runDraftsBench(flags: DraftsFlags): Promise<DraftsBench> {
  const { model: dir, data, drafts, limit, steps, picture } = flags;
  const items = parseAccuracyFile(await Deno.readTextFile(data), data);
  const examples = examplesOf(dir, data);
  const tuned = measuredTuning(flags.tuning);
  using gpu = await openDevice(deviceOf(flags));
  const agreements = new Map<string, number>();
  {
    const tiles = tuned && tileLookup(tuned, gpu);
    using target = await loadModel(gpu, dir, { tiles });
    for (const folder of drafts) {
      using draft = await loadModel(gpu, folder, { tiles });
      agreements.set(folder, await agreement(target, draft, examples));
    }
  }
  const report = await benchDrafts(dir, drafts, items, {
    ...deviceOf(flags),
    limit,
    steps,
    tuned,
    progress: progressReport,
    onProvider: tellProvider,
    agreements,
  });
  if (picture) {
    const [{ answers }] = report.drafts;
    const title = `Drafts of ${report.model} (layers x ffn), ${answers} prompts`;
    await Deno.writeFile(picture, pngOf(await drawChart(gpu, title, draftPanels(report))));
  }
  return report;
}

/** Examples whose answers fit the response of the published figures. */
function examplesOf(dir: string, data: string): AnsweredPrompt[] {
  return readSamples(data, sampleEncoder(dir)).map(({ ids, promptLength }) => ({
    prompt: ids.slice(0, promptLength),
    answer: ids.slice(promptLength),
  })).filter(({ answer }) => answer.length <= RESPONSE_LENGTH);
}

async function agreement(
  target: Model,
  draft: Model,
  examples: readonly AnsweredPrompt[],
): Promise<number> {
  const { maskTokenId, eosTokenId: paddingTokenId } = target.config;
  const counts = [];
  for (const ratio of DRAFT_RATIOS) {
    counts.push(await agreementAt(ratio, target, draft, examples, { maskTokenId, paddingTokenId }));
  }
  return draftFigures(counts).agreement;
}
