import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { CONFIDENCE_MEASURES } from "../../src/denoise/confidence.ts";
import { type ForwardInput, GREEDY, NO_TOKEN } from "../../src/denoise/predictor.ts";
import { acquireGpu, GpuError } from "../../src/gpu/device.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import { anyGpu, DeviceWatch, forms } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { loadReference } from "../reference/llada.ts";
import { goldenModel } from "./models.ts";

const GOOD: ForwardInput = {
  ids: Uint32Array.of(3, 14, 159, 26),
  positions: Uint32Array.of(1, 3),
  choice: GREEDY,
};

/** What is wrong with an input, and what the message says; mha-f32 has 320 rows and 256 positions. */
const WRONG: readonly [Partial<ForwardInput>, string][] = [
  [{ ids: new Uint32Array() }, ".ids has 0 tokens, expected 1 to 256"],
  [{ ids: new Uint32Array(257) }, ".ids has 257 tokens, expected 1 to 256"],
  [{ ids: Uint32Array.of(3, 320, 1, 1) }, ".ids[1] is 320, the model has ids below 320"],
  [{ attentionMask: Uint8Array.of(1, 1) }, ".attentionMask has 2 entries for 4 ids"],
  [{ attentionMask: Uint8Array.of(0, 0, 0, 0) }, ".attentionMask must hold 0 and 1"],
  [{ attentionMask: Uint8Array.of(1, 2, 1, 1) }, ".attentionMask must hold 0 and 1"],
  [{ guidance: { scale: 1, unconditionalIds: Uint32Array.of(1) } }, ".guidance has 1 ids for 4"],
  [
    { guidance: { scale: 1, unconditionalIds: Uint32Array.of(1, 2, 3, 999) } },
    ".guidance.unconditionalIds[3] is 999, the model has ids below 320",
  ],
];
const WRONG_POSITIONS: readonly [Partial<ForwardInput>, string][] = [
  [{ positions: Uint32Array.of(0, 4) }, ".positions[1] is 4: there are 4"],
  [
    { attentionMask: Uint8Array.of(1, 0, 1, 1) },
    ".positions[0] is 1: the attention mask hides it",
  ],
];
const WRONG_JUDGED: readonly [Partial<ForwardInput>, string][] = [
  [{ judged: Uint32Array.of(7) }, ".judged has 1 tokens for 2 positions"],
  [{ judged: Uint32Array.of(NO_TOKEN, 320) }, ".judged[1] is 320, the model has ids below 320"],
];

Deno.test("predict names the input and field that are wrong, and answers the next call", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const expected = await model.predict([GOOD]);
  for (const [change, message] of [...WRONG, ...WRONG_POSITIONS, ...WRONG_JUDGED]) {
    const call = () => model.predict([GOOD, { ...GOOD, ...change }]);
    await assertRejects(call, RangeError, `inputs[1]${message}`);
    assertEquals(await model.predict([GOOD]), expected);
  }
  const bannedTokens = [1, 2, 3, 4, 5];
  const call = () => model.predict([{ ...GOOD, choice: { ...GREEDY, bannedTokens } }]);
  await assertRejects(call, RangeError, "bannedTokens: 5 tokens, at most 4 are possible");
  const measure = "odds" as "margin";
  const measured = () => model.predict([{ ...GOOD, choice: { ...GREEDY, measure } }]);
  await assertRejects(measured, RangeError, "choice.measure is odds, expected one of probability");
  // What that call had recorded is forgotten: the next one begins a command buffer of its own, one
  // also on a GPU, which else begins while the rest is recorded.
  model.recorder.firstSubmit = Infinity;
  let begun = 0;
  Object.defineProperty(anyGpu.device, "createCommandEncoder", {
    configurable: true,
    value() {
      begun++;
      return GPUDevice.prototype.createCommandEncoder.call(anyGpu.device);
    },
  });
  assertEquals(await model.predict([GOOD]), expected);
  assertEquals(begun, 1);
  Reflect.deleteProperty(anyGpu.device, "createCommandEncoder");
});

Deno.test("openCanvas, forward and topTokens name what is wrong", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  for (const [change, message] of WRONG) {
    const { positions: _, choice: __, ...sequence } = { ...GOOD, ...change };
    const canvas = { ...sequence, promptLength: 1, endTokens: [], maskToken: 9 };
    const open = () => model.openCanvas([canvas]);
    await assertRejects(open, RangeError, `sequences[0]${message}`);
    const top = () => model.topTokens({ ...sequence, positions: new Uint32Array() }, 1);
    await assertRejects(top, RangeError, `input${message}`);
    if (change.guidance) continue;
    const { ids, attentionMask } = sequence;
    const forward = () => model.forward(ids, { attentionMask });
    await assertRejects(forward, RangeError, `input${message}`);
  }
  for (const [change, message] of WRONG_POSITIONS) {
    const top = () => model.topTokens({ ...GOOD, ...change }, 1);
    await assertRejects(top, RangeError, `input${message}`);
  }
});

Deno.test("nothing asked, nothing answered: the pass itself still runs", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  assertEquals(await model.predict([]), []);
  const before = model.recorder.counts.dispatches;
  const none = { ...GOOD, positions: new Uint32Array() };
  assertEquals(await model.predict([none]), [[]]);
  assert(model.recorder.counts.dispatches > before);
  assertEquals(await model.predict([none, GOOD]), [[], ...await model.predict([GOOD])]);
});

Deno.test("calls of every length share their bind groups", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const ask = async (length: number) => {
    const ids = new Uint32Array(length).fill(7);
    await model.predict([{ ids, positions: Uint32Array.from(ids.keys()), choice: GREEDY }]);
  };
  // Few rows and many have kernels of their own.
  for (const length of [model.config.maxSequenceLength, 1]) await ask(length);
  using watch = new DeviceWatch(anyGpu);
  for (let length = 1; length <= 96; length++) await ask(length);
  assertEquals(watch.bindGroups, 0);
});

Deno.test("positions are answered in the order asked, repeated ones twice", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const [[first, last]] = await model.predict([GOOD]);
  const positions = Uint32Array.of(3, 1, 3);
  assertEquals(await model.predict([{ ...GOOD, positions }]), [[last, first, last]]);
});

for (const [form, gpu] of forms) {
  Deno.test(`judged tokens, ${form}: the reference's probabilities, at the asked positions only`, async () => {
    const model = await goldenModel(gpu, "mha-f32");
    const reference = loadReference(goldenPath("checkpoints/mha-f32"));
    const random = new Random("judged");
    const ids = random.integers(24, 320);
    const positions = Uint32Array.from({ length: 18 }, (_, i) => i + 4);
    const attentionMask = Uint8Array.from(ids, (_, i) => i < 3 ? 0 : 1);
    const unconditionalIds = new Uint32Array(24).fill(model.config.maskTokenId);
    const judged = random.integers(18, 320);
    judged.set([NO_TOKEN, 5, 6, NO_TOKEN]);
    const choice = { ...GREEDY, temperature: 0.5, bannedTokens: [5], unconfidentTokens: [6] };
    const plain = { ids, positions, choice, judged };
    const inputs: ForwardInput[] = [
      plain,
      { ...plain, judged: undefined },
      { ...plain, attentionMask, guidance: { scale: 1.5, unconditionalIds } },
    ];
    const found = await model.predict(inputs);
    const expected = await reference.predict(inputs);
    found.flat().forEach(({ judgedConfidence }, i) => {
      const wanted = expected.flat()[i].judgedConfidence;
      assertEquals(judgedConfidence === undefined, wanted === undefined, `row ${i}`);
      if (wanted !== undefined) assertAlmostEquals(judgedConfidence!, wanted, 1e-4 * wanted);
    });
    assertEquals(found[0].map(({ judgedConfidence: _, ...rest }) => rest), found[1]);
    assertEquals([found[0][1].judgedConfidence, found[0][2].judgedConfidence], [0, 0]);
  });

  Deno.test(`uncertainty, ${form}: the reference's by each measure, in one batch`, async () => {
    const model = await goldenModel(gpu, "gqa-bf16");
    const reference = loadReference(goldenPath("checkpoints/gqa-bf16"));
    const random = new Random("uncertainty");
    const ids = random.integers(24, model.config.embeddingSize);
    const positions = Uint32Array.from(ids.keys());
    const inputs = CONFIDENCE_MEASURES.map((measure, i): ForwardInput => ({
      ids,
      positions,
      choice: { ...GREEDY, temperature: 0.3 * i, unconfidentTokens: [7, 8], measure },
    }));
    const found = await model.predict(inputs);
    const expected = await reference.predict(inputs);
    found.flat().forEach(({ uncertainty, oddsAgainst }, i) => {
      const row = `${CONFIDENCE_MEASURES[Math.floor(i / ids.length)]}, row ${i % ids.length}`;
      const wanted = expected.flat()[i].uncertainty;
      assertAlmostEquals(uncertainty / wanted, 1, 5e-3, `${row}: ${uncertainty} for ${wanted}`);
      if (i < ids.length) assertEquals(uncertainty, oddsAgainst);
    });
    // The choice and its own probability are as they are without the measure.
    for (const [i, input] of inputs.entries()) {
      const choice = { ...input.choice, measure: undefined };
      const [plain] = await model.predict([{ ...input, choice }]);
      assertEquals(
        found[i],
        plain.map((row, j) => ({ ...row, uncertainty: found[i][j].uncertainty })),
      );
    }
  });

  Deno.test(`topTokens, ${form}: the largest logits of the reference, in order`, async () => {
    const model = await goldenModel(gpu, "mha-f32");
    const reference = loadReference(goldenPath("checkpoints/mha-f32"));
    const random = new Random("top");
    const ids = random.integers(20, 320);
    const attentionMask = Uint8Array.from(ids, (_, i) => i < 3 ? 0 : 1);
    const unconditionalIds = new Uint32Array(20).fill(model.config.maskTokenId);
    const positions = Uint32Array.of(3, 10, 19);
    const conditional = reference.forward(ids, attentionMask).logits;
    const unconditional = reference.forward(unconditionalIds, attentionMask).logits;
    for (const scale of [undefined, 0, 1.5]) {
      const guidance = scale === undefined ? undefined : { scale, unconditionalIds };
      const found = await model.topTokens({ ids, attentionMask, positions, guidance }, 6);
      positions.forEach((position, i) => {
        const ranked = Array.from({ length: 320 }, (_, token) => {
          const at = position * 320 + token;
          const difference = conditional[at] - unconditional[at];
          return { token, logit: unconditional[at] + ((scale ?? 0) + 1) * difference };
        }).sort((a, b) => b.logit - a.logit);
        assertEquals(
          found[i].map(({ token }) => token),
          ranked.slice(0, 6).map(({ token }) => token),
        );
        found[i].forEach(({ logit }, rank) => assertAlmostEquals(logit, ranked[rank].logit, 1e-3));
      });
    }
    const [all] = await model.topTokens({ ids, positions: Uint32Array.of(5) }, 1000);
    assertEquals(all.map(({ token }) => token).sort((a, b) => a - b), [...Array(320).keys()]);
    assertEquals(await model.topTokens({ ids, positions: new Uint32Array() }, 5), []);
  });
}

Deno.test("a lost device ends a model's calls with a GpuError", async () => {
  const gpu = await acquireGpu();
  const model = await loadModel(gpu, goldenPath("checkpoints/mha-f32"));
  const canvas = await model.openCanvas([
    { ids: GOOD.ids, promptLength: 1, endTokens: [], maskToken: 26 },
  ]);
  await model.predict([GOOD]);
  gpu.device.destroy();
  await assertRejects(() => model.predict([GOOD]), GpuError, "lost");
  await assertRejects(() => model.predict([GOOD]), GpuError, "lost");
  await assertRejects(() => model.forward(GOOD.ids), GpuError, "lost");
  await assertRejects(() => model.topTokens(GOOD, 2), GpuError, "lost");
  const step = {
    blockEnd: 4,
    commits: 1,
    remasking: "low_confidence",
    choices: [GREEDY],
    stopAtEnd: false,
  } as const;
  await assertRejects(() => canvas.run([step]), GpuError, "lost");
});
