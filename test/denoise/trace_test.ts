import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { commitVerify } from "../../src/denoise/strategies/commit_verify.ts";
import { denoise } from "../../src/denoise/denoise.ts";
import type { DenoiseStep } from "../../src/denoise/denoise_step.ts";
import { lossless, selfDraft } from "../../src/denoise/strategies/draft_verify.ts";
import { gate } from "../../src/denoise/strategies/gate.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import {
  parseTrace,
  statesOf,
  type Trace,
  TraceError,
  traceRecorder,
  type TraceSettings,
} from "../../src/denoise/trace.ts";
import { drawArb, END, gather } from "./draw.ts";
import { MASK, ToyModel } from "./toy_model.ts";

const STRATEGIES = ["plain", "lossless", "self", "gate", "commit_verify"] as const;

const runArb = fc.record({
  draw: drawArb,
  strategy: fc.constantFrom(...STRATEGIES),
  choosesMask: fc.boolean(),
  depth: fc.integer({ min: 1, max: 5 }),
});

type Run = typeof runArb extends fc.Arbitrary<infer T> ? T : never;

/** A run with the toys: its trace, and the ids that it came to. */
async function recorded({ draw: { sequence, options }, strategy, choosesMask, depth }: Run) {
  const target = new ToyModel({ choosesMask });
  const draft = new ToyModel({ choosesMask, disagreement: 0.3, salt: 2 });
  const thresholds = { draftThreshold: 0.2, targetThreshold: 0.1 };
  const stream = {
    plain: () => denoise([sequence], target, options),
    lossless: () => lossless(sequence, target, draft, { ...options, depth }),
    self: () => selfDraft(sequence, target, { ...options, depth }),
    gate: () =>
      gate(sequence, target, draft, {
        ...options,
        ...thresholds,
        remasking: undefined,
        confidence: undefined,
      }),
    commit_verify: () =>
      commitVerify(sequence, target, draft, {
        ...options,
        ...thresholds,
        remasking: undefined,
        confidence: undefined,
        targetThreshold: 0.4,
        backThreshold: 0.3,
        depth,
      }),
  }[strategy]();
  const recorder = traceRecorder({
    strategy,
    cache: "none",
    blockLength: options.blockLength,
    steps: options.steps,
    seed: options.seeds[0],
    promptLength: sequence.promptLength,
    genLength: sequence.ids.length - sequence.promptLength,
    maskToken: MASK,
  });
  const { steps, result } = await gather<unknown>(stream);
  for (const step of steps) recorder.add(step);
  const end = result as { sequence: typeof sequence } | { sequences: (typeof sequence)[] };
  const { ids, promptLength } = "sequence" in end ? end.sequence : end.sequences[0];
  return { trace: recorder.trace(), ids: ids.slice(promptLength) };
}

Deno.test("a trace survives its file, and leads to the run's result", async () => {
  const seen = { accepted: 0, rejected: 0, remasked: 0 };
  await fc.assert(
    fc.asyncProperty(runArb, async (run) => {
      const { trace, ids } = await recorded(run);
      assertEquals(parseTrace(JSON.parse(JSON.stringify(trace)), "run.json"), trace);
      const states = [...statesOf(trace)];
      assertEquals(states.length, trace.steps.length + 1);
      assertEquals(states.at(-1), ids);
      for (const [i, step] of trace.steps.entries()) {
        for (const { position, token } of step.proposed ?? []) {
          const held = step.accepted!.includes(position);
          const committed = step.commits.some((commit) =>
            commit.position === position && commit.token === token
          );
          assertEquals(held, committed && !step.rejected!.includes(position));
          assertEquals(states[i][position], MASK);
          seen[held ? "accepted" : "rejected"]++;
        }
        for (const position of step.remasked ?? []) {
          assert(step.rejected!.includes(position));
          assertEquals(states[i + 1][position], MASK);
          seen.remasked++;
        }
      }
    }),
    { numRuns: 200 },
  );
  assert(seen.accepted > 0 && seen.rejected > 0 && seen.remasked > 0);
});

Deno.test("what concerns the prompt or commits a mask is left out; masking again is not", () => {
  const sequence = newSequence([1, MASK], 4, MASK);
  const recorder = traceRecorder({ ...settings, promptLength: sequence.promptLength });
  const at = (position: number, token: number) => ({
    position,
    token,
    confidence: 0.5,
    logProbability: Math.log(0.5),
  });
  const guess = at(4, 8);
  const first: DenoiseStep = {
    step: 0,
    block: 0,
    nfe: 1,
    commits: [[at(1, 7), at(2, 5), at(3, MASK)]],
  };
  recorder.add(first);
  recorder.add({
    step: 1,
    block: 0,
    nfe: 2,
    commits: [[at(3, 6), at(5, 9)]],
    proposed: [at(5, 9), guess],
    rejected: [guess],
    remasked: [1, 2],
  });
  const trace = recorder.trace();
  assertEquals(trace.steps, [
    { step: 0, block: 0, nfe: 1, commits: [{ position: 0, token: 5, confidence: 0.5 }] },
    {
      step: 1,
      block: 0,
      nfe: 2,
      commits: [
        { position: 1, token: 6, confidence: 0.5 },
        { position: 3, token: 9, confidence: 0.5 },
      ],
      proposed: [
        { position: 2, token: 8, confidence: 0.5 },
        { position: 3, token: 9, confidence: 0.5 },
      ],
      accepted: [3],
      rejected: [2],
      remasked: [0],
    },
  ]);
  assertEquals([...statesOf(trace)].map((ids) => [...ids]), [
    [MASK, MASK, MASK, MASK],
    [5, MASK, MASK, MASK],
    [MASK, 6, MASK, 9],
  ]);
});

const settings: TraceSettings = {
  strategy: "lossless",
  cache: "none",
  blockLength: 2,
  steps: 4,
  seed: 1,
  promptLength: 3,
  genLength: 4,
  maskToken: MASK,
};

const token = { position: 1, token: END, confidence: 0.5 };

const whole: Trace = {
  format: "unmask-trace",
  version: 1,
  settings,
  steps: [{
    step: 0,
    block: 0,
    nfe: 1,
    commits: [token],
    proposed: [token, { ...token, position: 2 }],
    accepted: [1],
    rejected: [2],
    remasked: [0, 3],
  }],
};

const [step] = whole.steps;
const withSettings = (change: object) => ({ ...whole, settings: { ...settings, ...change } });
const withStep = (change: object) => ({ ...whole, steps: [{ ...step, ...change }] });

/** What is wrong, as JSON would hold it, and how the error says so. */
const MALFORMED: readonly (readonly [json: unknown, message: string])[] = [
  [null, "content is null, expected an object"],
  [[whole], "content is an array of 1, expected an object"],
  [{}, 'format is missing, expected "unmask-trace"'],
  [{ ...whole, version: 2 }, "version is 2, expected 1"],
  [{ ...whole, settings: 3 }, "settings is 3, expected an object"],
  [withSettings({ strategy: "" }), 'settings.strategy is "", expected a name'],
  [withSettings({ cache: "no\u001bne" }), 'settings.cache is "no\\u001bne", expected a name'],
  [withSettings({ blockLength: 0 }), "settings.blockLength is 0, expected a whole number from 1"],
  [withSettings({ genLength: 5 }), "settings.genLength is 5, expected a multiple of blockLength"],
  [withSettings({ genLength: 2 ** 17 }), "settings.genLength is 131072, expected a whole number"],
  [withSettings({ seed: 0.5 }), "settings.seed is 0.5, expected a whole number from 0"],
  [withSettings({ maskToken: undefined }), "settings.maskToken is missing"],
  [{ ...whole, steps: {} }, "steps is an object, expected an array"],
  [{ ...whole, steps: new Array(65537).fill(step) }, "steps.length is 65537, expected at most"],
  [{ ...whole, steps: [null] }, "steps[0] is null, expected an object"],
  [{ ...whole, steps: [step, step] }, "steps[1].step is 0, expected 1"],
  [withStep({ block: 2 }), "steps[0].block is 2, expected a whole number from 0 to 1"],
  [withStep({ nfe: "1" }), 'steps[0].nfe is "1", expected a whole number'],
  [withStep({ commits: undefined }), "steps[0].commits is missing, expected an array"],
  [
    withStep({ commits: [{ ...token, position: 4 }] }),
    "steps[0].commits[0].position is 4, expected a whole number from 0 to 3",
  ],
  [withStep({ commits: [{ ...token, token: -1 }] }), "steps[0].commits[0].token is -1"],
  [
    withStep({ commits: [{ ...token, confidence: 1.5 }] }),
    "steps[0].commits[0].confidence is 1.5, expected a number from 0 to 1",
  ],
  [withStep({ commits: [token, token] }), "steps[0].commits[1] is 1, expected larger"],
  [withStep({ rejected: undefined }), "steps[0].rejected is missing, expected an array"],
  [withStep({ rejected: [] }), "steps[0].accepted is an array of 1, expected with"],
  [withStep({ remasked: [3, 0] }), "steps[0].remasked[1] is 0, expected larger"],
];

Deno.test("a malformed trace is refused with file and field", () => {
  assertEquals(parseTrace(whole, "run.json"), whole);
  for (const [json, message] of MALFORMED) {
    assertThrows(() => parseTrace(json, "run.json"), TraceError, `run.json: ${message}`);
  }
});

Deno.test("any JSON is either a trace or refused as none", () => {
  const near = fc.oneof(
    fc.jsonValue(),
    fc.record({ settings: fc.jsonValue(), steps: fc.jsonValue() }).map((change) => ({
      ...whole,
      ...change,
    })),
    fc.tuple(fc.constantFrom(...Object.keys(step)), fc.jsonValue()).map(([name, value]) =>
      withStep({ [name]: value })
    ),
  );
  fc.assert(fc.property(near, (json) => {
    try {
      assertEquals(parseTrace(json, "run.json"), json as unknown as Trace);
    } catch (error) {
      assert(error instanceof TraceError, String(error));
    }
  }));
});
