import { assert, assertEquals } from "@std/assert";
import {
  denoiseFreely,
  FIRST_CANVAS,
  type FreeOptions,
  WIDEST_CANVAS,
} from "../../src/denoise/free_canvas.ts";
import { sureOfEnd } from "../../src/denoise/end_question.ts";
import type { DenoiseStep } from "../../src/denoise/denoise_step.ts";
import type { ForwardInput, Prediction, Predictor } from "../../src/denoise/predictor.ts";
import { newSequence, unconditionalIds } from "../../src/denoise/sequence.ts";
import { STRATEGY_NAMES, strategyOf } from "../../src/denoise/strategy.ts";

const MASK = 9;
const EOS = 0;
const EOT = 1;
const PROMPT = [5, 6, 7];

/** Knows an answer of `length` tokens, ended by `end` and then EOS, and where it is. */
class KnownAnswer implements Predictor {
  /** Positions of every canvas that was seen, prompt left out. */
  readonly lengths: number[] = [];
  constructor(readonly length: number, readonly end = EOS) {}

  tokenAt(position: number): number {
    const i = position - PROMPT.length;
    return i < this.length ? 2 + i % 5 : i === this.length ? this.end : EOS;
  }

  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    return Promise.resolve(inputs.map(({ ids, positions, judged }) => {
      this.lengths.push(ids.length - PROMPT.length);
      return Array.from(positions, (position, i): Prediction => {
        const token = this.tokenAt(position);
        const confidence = 0.9;
        return {
          position,
          token,
          oddsAgainst: 1 / confidence - 1,
          uncertainty: 1 / confidence - 1,
          confidence,
          logProbability: Math.log(confidence),
          logSumExp: 0,
          ...judged && { judgedConfidence: judged[i] === token ? confidence : 0.001 },
        };
      });
    }));
  }
}

/** Says of every canvas that it ends there. */
class SureAnswer extends KnownAnswer {
  override async predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    const found = await super.predict(inputs);
    return found.map((predictions) =>
      predictions.map((prediction) => ({
        ...prediction,
        ...prediction.judgedConfidence !== undefined && { judgedConfidence: 0.9 },
      }))
    );
  }
}

const options: FreeOptions = {
  most: 4096,
  blockLength: 8,
  seeds: [1],
  eosToken: EOS,
  eotToken: EOT,
  endTokens: [EOS, EOT],
  stopAtEnd: true,
};

async function answer(
  model: KnownAnswer,
  more: Partial<FreeOptions> = {},
  strategy = "plain",
  stepped = () => {},
) {
  const run = denoiseFreely(
    newSequence(PROMPT, 0, MASK),
    strategyOf(strategy as "plain"),
    { target: model, draft: model },
    { ...options, ...more },
  );
  const steps: DenoiseStep[] = [];
  let next = await run.next();
  for (; !next.done; next = await run.next()) {
    steps.push(next.value);
    stepped();
  }
  return { steps, result: next.value };
}

Deno.test("a canvas is sure of its end when end tokens of either kind stand there", async () => {
  for (const end of [EOS, EOT]) {
    const sure = (length: number, canvas: number) =>
      sureOfEnd(newSequence(PROMPT, canvas, MASK), new KnownAnswer(length, end), options);
    assert(await sure(10, 64) > 0.85);
    assert(await sure(64, 64) < 0.05);
    // An end of turn at the last position alone.
    assertEquals(await sure(63, 64) > 0.05, true);
  }
});

for (const strategy of STRATEGY_NAMES) {
  Deno.test(`${strategy}: the answer is whole, whatever its length, and so are its counts`, async () => {
    for (const length of [5, 63, 64, 65, 130, 700]) {
      const model = new KnownAnswer(length);
      const { steps, result } = await answer(model, {}, strategy);
      const { sequence } = result;
      assertEquals(sequence.promptLength, PROMPT.length);
      const expected = Array.from({ length: length + 1 }, (_, i) => model.tokenAt(3 + i));
      assertEquals(Array.from(sequence.ids.slice(3, 3 + length + 1)), expected, `${length}`);
      // Nothing behind the block of the end.
      const commits = steps.flatMap(({ commits }) => commits[0]);
      const last = Math.max(...commits.map(({ position }) => position)) - PROMPT.length;
      assert(last < Math.ceil((length + 1) / 8) * 8, `${last} of ${length}`);
      steps.forEach(({ step }, i) => assertEquals(step, i));
      assert(steps.at(-1)!.nfe <= result.targetForwards);
      const shown = steps.findLast(({ grown }) => grown !== undefined)?.grown ?? FIRST_CANVAS;
      assertEquals(shown, sequence.ids.length - PROMPT.length);
    }
  });
}

Deno.test("the canvas doubles until it is sure, and no pass is wider than the widest", async () => {
  const model = new KnownAnswer(130);
  await answer(model);
  assertEquals(model.lengths.slice(0, 4), [64, 128, 256, 256]);
  assertEquals(new Set(model.lengths), new Set([64, 128, 256]));
  const long = new KnownAnswer(700);
  const { result } = await answer(long);
  assertEquals(long.lengths.slice(0, 4), [64, 128, 256, WIDEST_CANVAS]);
  // 512 that are full, then 512 + 64 is not enough for 700 and an end, 512 + 256 is.
  assertEquals(result.sequence.ids.length - PROMPT.length, WIDEST_CANVAS + 256);
});

for (
  const [strategy, more] of [
    ["plain", {}],
    ["threshold", {}],
    ["factor", {}],
    ["auto", {}],
    ["auto", { quality: "fast" }],
  ] as const
) {
  const name = [strategy, ...Object.values(more)].join(", ");
  Deno.test(`${name}: what is spent on a short answer does not depend on the limit`, async () => {
    const spent = async (limit: number) => {
      const model = new KnownAnswer(17, EOT);
      const { result } = await answer(model, { most: limit, ...more }, strategy);
      assertEquals(model.lengths.length, result.targetStates);
      return model.lengths.reduce((sum, length) => sum + length + PROMPT.length, 0);
    };
    const least = await spent(64);
    for (const most of [448, 4096]) {
      const rows = await spent(most);
      assert(rows <= 1.1 * least, `${most}: ${rows} rows, not ${least}`);
    }
  });
}

Deno.test("a pass of its own asks for the end where the strategy's answers another question", async () => {
  const passes = async (more: Partial<FreeOptions>) => {
    const model = new KnownAnswer(17);
    const { result } = await answer(model, more);
    assertEquals(model.lengths.length, result.targetStates);
    return result.targetForwards;
  };
  assertEquals(await passes({ most: 64 }), 18);
  assertEquals(await passes({ most: 128 }), 18);
  assertEquals(await passes({ most: 128, bannedTokens: [2] }), 19);
  assertEquals(await passes({ most: 128, confidenceEosEotInf: true }), 19);
});

for (const strategy of ["plain", "threshold", "factor", "auto"]) {
  Deno.test(`${strategy}: 20 answers of more than 64 tokens end by themselves`, async () => {
    for (let i = 0; i < 20; i++) {
      const length = 65 + 37 * i;
      // Every other model is sure of an end in whatever canvas it sees: then another one is appended.
      const model = i % 2 === 0 ? new KnownAnswer(length) : new SureAnswer(length);
      const { result } = await answer(model, {}, strategy);
      const generated = Array.from(result.sequence.ids.subarray(PROMPT.length));
      assertEquals(generated.findIndex((id) => id === EOS || id === EOT), length);
      assert(generated.length < options.most);
    }
  });

  Deno.test(`${strategy}: the first text of 128 tokens comes within 40% of the rows`, async () => {
    const model = new KnownAnswer(127);
    const rows: number[] = [];
    const { steps } = await answer(model, { blockLength: 32 }, strategy, () => {
      rows.push(model.lengths.reduce((sum, length) => sum + length + PROMPT.length, 0));
    });
    const positions = new Set<number>();
    const first = steps.findIndex(({ commits }) => {
      for (const { position } of commits[0]) positions.add(position);
      return positions.has(PROMPT.length);
    });
    const share = rows[first] / rows.at(-1)!;
    assert(share <= 0.4, `${rows[first]} of ${rows.at(-1)} rows`);
  });
}

Deno.test("the limit ends an answer, also within the first canvas", async () => {
  for (const most of [8, 40, 64, 520]) {
    const { result } = await answer(new KnownAnswer(5000), { most });
    assertEquals(result.sequence.ids.length, PROMPT.length + most);
  }
});

Deno.test("guidance keeps the part of the answer that stands before a canvas", () => {
  const ids = Uint32Array.of(5, 6, 7, 2, 3, MASK, MASK);
  const sequence = { ids, promptLength: 5, answerStart: 3, maskToken: MASK };
  assertEquals(Array.from(unconditionalIds(sequence)), [MASK, MASK, MASK, 2, 3, MASK, MASK]);
});
