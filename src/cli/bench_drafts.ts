/** `unmask bench drafts`: compares drafts of one target, and draws them. */

import { benchDrafts, type DraftsBench } from "../bench/drafts.ts";
import { parseAccuracyFile } from "../evaluate/accuracy.ts";
import { agreementOn, agreementStates } from "../evaluate/agreement_states.ts";
import { RESPONSE_LENGTH } from "../evaluate/draft_agreement.ts";
import { readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { drawChart } from "./chart.ts";
import { type DeviceFlags, deviceOf, openDevice, tellProvider } from "./device_options.ts";
import { draftPanels } from "./draft_chart.ts";
import { readEvaluationData } from "./eval_data.ts";
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
  const { maxSequenceLength: context, ...config } = readConfig(dir);
  const read = readEvaluationData([data], dir, { most: Infinity, context });
  // Those that fit the response of the published figures.
  const examples = read.examples.filter(({ answer }) => answer.length <= RESPONSE_LENGTH);
  const masking = { maskTokenId: config.maskTokenId, paddingTokenId: config.eosTokenId };
  const tuned = measuredTuning(flags.tuning);
  using gpu = await openDevice(deviceOf(flags));
  const agreements = new Map<string, number>();
  {
    const tiles = tuned && tileLookup(tuned, gpu);
    using target = await loadModel(gpu, dir, { tiles });
    const states = await agreementStates(target, examples, masking);
    for (const folder of drafts) {
      using draft = await loadModel(gpu, folder, { tiles });
      const { agreement } = await agreementOn(states, draft);
      agreements.set(folder, agreement);
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
