/** Settings: how they are completed, laid over one another, refused and compared. */

import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { begunWith, openRunFolder } from "../../../src/compress/run/run_folder.ts";
import {
  completed,
  differenceOf,
  distilSettings,
  type Given,
  maskingFrom,
  overlaid,
  trainSettings,
} from "../../../src/compress/run/settings.ts";
import { DISTIL_MASKING, TRAIN_MASKING } from "../../../src/compress/data/masking.ts";
import { CARD_TERMS } from "../../../src/kernels/distil_loss.ts";

const LEAST: Given = {
  teacher: "teacher",
  student: "student",
  data: [{ path: "data.jsonl" }],
  length: { steps: 10 },
};
const distil = (changes: Given = {}) =>
  completed(distilSettings, overlaid(LEAST, changes), "settings.json");

Deno.test("what is not given is as in the draft's card, or as LLaDA was trained", () => {
  const settings = distil();
  assertEquals(maskingFrom(settings), DISTIL_MASKING);
  assertEquals(settings.loss, { ...CARD_TERMS, top: 32 });
  assertEquals(settings.schedule, { rate: 5e-5, warmUp: 0.05, decay: "cosine" });
  assertEquals([settings.batch, settings.sequence], [{ samples: 16 }, 512]);
  const ratios = [0.3, 0.5, 0.7];
  assertEquals(settings.evaluation, { every: 500, examples: 64, response: 64, ratios, seed: 0 });
  const { teacher: _, student: _s, ...others } = LEAST;
  const trained = completed(trainSettings, { ...others, from: "model" }, "settings.json");
  assertEquals(maskingFrom(trained), TRAIN_MASKING);
  // Completed settings are complete: JSON of them gives the same ones.
  assertEquals(completed(distilSettings, JSON.parse(JSON.stringify(settings)), "again"), settings);
});

Deno.test("given values go over others field by field, and a length over another length", () => {
  const settings = distil({
    schedule: { rate: 1 },
    length: { tokens: 5 },
    masking: { floor: 0.1 },
  });
  assertEquals(settings.schedule, { rate: 1, warmUp: 0.05, decay: "cosine" });
  assertEquals(settings.length, { tokens: 5 });
  assertEquals(settings.masking.floor, 0.1);
  assertEquals(overlaid({ data: [1, 2] }, { data: [3] }), { data: [3] });
});

Deno.test("what is wrong is refused by name", () => {
  const wrong: [Given, string][] = [
    [{ schedule: { rate: 0 } }, "settings.json: schedule.rate: "],
    [
      { schedule: { speed: 1 } },
      'settings.json: there is no setting "schedule.speed", expected one of rate, warmUp, decay',
    ],
    [{ schedul: { rate: 1 } }, 'there is no setting "schedul", expected one of teacher, student, '],
    [{ batch: { sample: 1 } }, "settings.json: batch: "],
    [{ loss: { direction: "up" } }, "settings.json: loss.direction: "],
    [{ masking: { ratio: { low: 2 } } }, "settings.json: masking.ratio.low: "],
    [{ lora: { rank: 0 } }, "settings.json: lora.rank: "],
    [{ teacher: 5 }, "settings.json: teacher: "],
    [{ data: [] }, "settings.json: data: "],
    [{ length: {} }, "settings.json: length: "],
  ];
  for (const [changes, message] of wrong) assertThrows(() => distil(changes), Error, message);
  const missing: [Given, string][] = [
    [{}, "distil: teacher is missing. Give --teacher DIR"],
    [{ ...LEAST, data: undefined }, "distil: data is missing. Give --data FILE"],
    [{ ...LEAST, length: undefined }, "distil: length is missing. Give one of --steps N"],
    [{ ...LEAST, lora: { alpha: 2 } }, "distil: lora.rank is missing. Give --lora RANK"],
  ];
  for (const [given, message] of missing) {
    assertThrows(() => completed(distilSettings, given, "distil"), Error, message);
  }
});

Deno.test("a run's folder takes its own settings again, and refuses others by field", async () => {
  const dir = join(await Deno.makeTempDir(), "run");
  assertEquals(begunWith(dir), undefined);
  const settings = distil({ lora: { rank: 4, modules: ["q_proj"] } });
  const open = () => {
    using folder = openRunFolder(dir, settings);
    folder.begin();
  };
  // Until it begins, it takes any, and nothing is left of it.
  {
    using _ = openRunFolder(dir, distil());
    assertThrows(
      () => openRunFolder(dir, distil()),
      Error,
      "another process goes on with this run",
    );
  }
  assertThrows(() => Deno.statSync(dir), Deno.errors.NotFound);
  open();
  assertEquals(begunWith(dir), JSON.parse(JSON.stringify(settings)));
  open();
  const others: [Given, string][] = [
    [distil({ lora: { rank: 4, modules: ["q_proj"] }, seed: 2 }), "seed is 1 there and 2 here"],
    [distil(), "lora.rank is 4 there and absent here"],
    [
      distil({ lora: { rank: 4, modules: ["q_proj", "k_proj"] } }),
      'lora.modules.1 is absent there and "k_proj" here',
    ],
  ];
  for (const [other, message] of others) {
    assertThrows(() => openRunFolder(dir, other), Error, message);
  }
});

Deno.test("the same settings in another order are no difference", () => {
  assertEquals(differenceOf({ a: 1, b: { c: [1] } }, { b: { c: [1] }, a: 1 }), undefined);
  assertEquals(differenceOf({ a: 1 }, { a: undefined }), "a is 1 there and absent here");
});
