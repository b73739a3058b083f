/** Models without a folder: what is drawn, and that it loads like any other. */

import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { toF32 } from "../../../src/gpu/dtype.ts";
import { ConfigError, parseConfig } from "../../../src/model/loading/config.ts";
import {
  loadSynthetic,
  syntheticModel,
  type SyntheticOptions,
} from "../../../src/model/synthetic/synthetic.ts";
import {
  SYNTHETIC_SHAPES,
  syntheticConfig,
  type SyntheticShape,
} from "../../../src/model/synthetic/synthetic_shape.ts";
import {
  checkTensors,
  expectedTensors,
  quantisedNames,
} from "../../../src/model/loading/tensors.ts";
import { scaleName } from "../../../src/model/model_config.ts";
import { encodeRows } from "../../../src/quant/encode.ts";
import { GROUP_SIZES, QUANTISED, quantised } from "../../../src/quant/scheme.ts";
import { anyGpu } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";

const SMALL: SyntheticShape = {
  hiddenSize: 128,
  layers: 2,
  heads: 2,
  ffnSize: 192,
  vocabSize: 300,
  maxSequenceLength: 64,
};

function weightsOf(options: SyntheticOptions, shape = SMALL): Map<string, Float32Array> {
  using model = syntheticModel(shape, options);
  const { checkpoint } = model;
  return new Map(
    [...checkpoint.tensors.values()].map((slice) => [
      slice.name,
      toF32(checkpoint.read(slice), slice.dtype),
    ]),
  );
}

const deviation = (values: Float32Array) =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

Deno.test("the published shapes have the published number of parameters", () => {
  const parameters = (name: keyof typeof SYNTHETIC_SHAPES) =>
    expectedTensors(parseConfig(syntheticConfig(SYNTHETIC_SHAPES[name]), name))
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  assertEquals(parameters("llada-8b"), 8015581184);
  assertEquals(parameters("llada-24l"), 5364715520);
  assertEquals(parameters("tiny-target"), 2623616);
  assertEquals(parameters("tiny-draft"), 850816);
});

Deno.test("the seed fixes every weight; tensors, and their rows, are not alike", () => {
  const first = weightsOf({ seed: 7 });
  assertEquals(weightsOf({ seed: 7 }), first);
  const other = weightsOf({ seed: 8 });
  for (const [name, values] of first) assertNotEquals(other.get(name), values, name);
  const seen = new Set<string>();
  let rows = 0;
  using model = syntheticModel(SMALL, { seed: 7 });
  for (const { name, shape } of model.checkpoint.tensors.values()) {
    const width = shape.at(-1)!;
    const values = first.get(name)!;
    for (let row = 0; row < values.length / width; row++, rows++) {
      seen.add(values.subarray(row * width, (row + 1) * width).join());
    }
  }
  // Matrices of one width share their values; most rows are of different places all the same.
  assert(seen.size > 0.9 * rows, `${seen.size} of ${rows} rows are different`);
  const embedding = first.get("model.transformer.wte.weight")!;
  const tokens = Array.from(
    { length: SMALL.vocabSize },
    (_, token) => embedding.subarray(token * 128, (token + 1) * 128).join(),
  );
  assertEquals(new Set(tokens).size, SMALL.vocabSize);
});

Deno.test("values have the deviation that keeps activations near 1", async () => {
  for (const [name, values] of weightsOf({ dtype: "F32" })) {
    const isNorm = values.length === SMALL.hiddenSize;
    const centred = isNorm ? values.map((value) => value - 1) : values;
    const inner = name.includes("blocks") && name.includes("ff_out") ? 192 : 128;
    const expected = isNorm ? 0.05 : name.includes("wte") ? 1 : 1 / Math.sqrt(inner);
    const found = deviation(centred) / expected;
    assert(Math.abs(found - 1) < (isNorm ? 0.25 : 0.03), `${name}: ${found}`);
  }
  using model = await loadSynthetic(anyGpu, { ...SMALL, layers: 8 });
  const { hidden, logits } = await model.forward(new Random("ids").integers(20, 300));
  for (const [name, states] of hidden) {
    const found = deviation(states);
    assert(found > 0.8 && found < 4, `${name}: ${found}`);
  }
  assert(deviation(logits) > 0.5 && deviation(logits) < 2, `${deviation(logits)}`);
});

Deno.test("no token is known again: the head has other values than the embedding", async () => {
  // So many tokens that rows start at every place of a pool.
  using model = await loadSynthetic(anyGpu, { ...SMALL, layers: 1, vocabSize: 8000 });
  const { logits } = await model.forward(new Random("ids").integers(20, 300));
  const largest = logits.reduce((a, b) => Math.max(a, b));
  assert(largest < 6, `${largest}`);
});

for (const name of QUANTISED) {
  for (const group of GROUP_SIZES) {
    for (const head of [false, true]) {
      const scheme = quantised(name, group);
      const quantisation = { scheme, head };
      Deno.test(`${name}, groups of ${group}, head ${head}: codes of the same floats`, () => {
        using floats = syntheticModel(SMALL);
        using codes = syntheticModel(SMALL, { quantisation });
        checkTensors(codes.config, codes.checkpoint);
        const names = quantisedNames(floats.config, head);
        let quantisedTensors = 0;
        for (const slice of floats.checkpoint.tensors.values()) {
          const bytes = floats.checkpoint.read(slice);
          const stored = codes.checkpoint.tensors.get(slice.name)!;
          if (!names.has(slice.name)) {
            assertEquals(codes.checkpoint.read(stored), bytes);
            continue;
          }
          const expected = encodeRows(scheme, toF32(bytes, slice.dtype), slice.shape[1]);
          assertEquals(codes.checkpoint.read(stored), expected.codes, slice.name);
          const scales = codes.checkpoint.tensors.get(scaleName(slice.name))!;
          assertEquals(codes.checkpoint.read(scales), new Uint8Array(expected.scales.buffer));
          quantisedTensors++;
        }
        assertEquals(quantisedTensors, 14 + (head ? 1 : 0));
      });
    }
  }
}

Deno.test("stored codes and floats quantised at load give the same logits", async () => {
  const ids = new Random("ids").integers(20, 300);
  for (const name of QUANTISED) {
    const scheme = quantised(name, 64);
    const seen: number[] = [];
    using stored = await loadSynthetic(anyGpu, SMALL, {
      quantisation: { scheme, head: true },
      onProgress: (done, total) => seen.push(done, total),
    });
    assertEquals(seen.at(-2), seen.at(-1), "scales count as progress too");
    using atLoad = await loadSynthetic(anyGpu, SMALL, {
      precision: { layers: scheme, head: scheme },
    });
    assertEquals((await stored.forward(ids)).logits, (await atLoad.forward(ids)).logits);
  }
});

Deno.test("any part of a tensor is the part of the whole", () => {
  const quantisation = { scheme: quantised("q4", 32), head: true };
  using model = syntheticModel(SMALL, { quantisation });
  const { checkpoint } = model;
  const slices = [...checkpoint.tensors.values()];
  fc.assert(
    fc.property(fc.nat(slices.length - 1), fc.nat(), fc.nat(), (which, at, more) => {
      const slice = slices[which];
      const offset = at % slice.byteLength;
      const target = new Uint8Array(more % (slice.byteLength - offset));
      checkpoint.readInto(slice, target, offset);
      const whole = checkpoint.read(slice);
      assertEquals(target, whole.subarray(offset, offset + target.length));
    }),
    { numRuns: 100 },
  );
  assertThrows(
    () => checkpoint.readInto(slices[0], new Uint8Array(2), slices[0].byteLength - 1),
    RangeError,
    "wte",
  );
});

Deno.test("a width that is no whole number of groups is refused by name", () => {
  const quantisation = { scheme: quantised("q8", 64), head: false };
  const error = assertThrows(
    () => syntheticModel({ ...SMALL, ffnSize: 96 }, { quantisation }),
    ConfigError,
  );
  assert(error.message.includes("blocks.0.ff_out"), error.message);
  assert(error.message.includes("96, expected whole groups of 64"), error.message);
  // Floats have no groups.
  syntheticModel({ ...SMALL, ffnSize: 97 })[Symbol.dispose]();
});
