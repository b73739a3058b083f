/** A structured start copies before it is trained. */

import { assert, assertThrows } from "@std/assert";
import { predictions } from "../../../src/compress/pass/logit_source.ts";
import { TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { TrainingPass } from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import { startFresh } from "../../../src/compress/run/fresh_start.ts";
import { startStructured } from "../../../src/compress/run/structured_start.ts";
import { hash, uniform } from "../../../src/denoise/noise.ts";
import { parseConfig } from "../../../src/model/loading/config.ts";
import { SYNTHETIC_SHAPES, syntheticConfig } from "../../../src/model/synthetic/synthetic_shape.ts";
import { anyGpu } from "../../gpu/device.ts";

const HALF = 24;
const SEQUENCES = 4;
const shape = { ...SYNTHETIC_SHAPES["tiny-target"], layers: 4, ffnSize: 64 };
const config = parseConfig(syntheticConfig(shape), "structured");

/** Random tokens, and the same once more with every fourth masked. */
function repeated() {
  const rows = SEQUENCES * 2 * HALF;
  const whole = Uint32Array.from({ length: rows }, (_, row) => {
    const at = row % (2 * HALF) % HALF;
    return Math.floor(2000 * uniform(hash(5, Math.floor(row / (2 * HALF)), at, 0)));
  });
  const ids = whole.slice();
  const asked = [...ids.keys()].filter((row) => row % (2 * HALF) >= HALF && row % 4 === 1);
  for (const row of asked) ids[row] = config.maskTokenId;
  return {
    expected: asked.map((row) => whole[row]),
    batch: {
      ids,
      positions: ids.map((_, row) => row % (2 * HALF)),
      ranges: Uint32Array.from(
        { length: 4 * SEQUENCES },
        (_, i) => i % 2 === 0 ? 2 * HALF * Math.floor(i / 4) : 2 * HALF,
      ),
      rows: Uint32Array.from(asked),
      targets: new Uint32Array(asked.length),
      weights: new Float32Array(asked.length),
    },
  };
}

Deno.test("what stood between two tokens is copied to where they stand again", async () => {
  using space = new TrainingSpace(anyGpu);
  using parameters = new TrainingParameters(anyGpu, config);
  using pass = new TrainingPass(space, parameters);
  const { batch, expected } = repeated();
  const right = async () => {
    const { tokens } = await predictions(space, pass, batch);
    return expected.filter((token, i) => token === tokens[i]).length / expected.length;
  };
  startStructured(parameters, 1);
  const structured = await right();
  startFresh(parameters, 1);
  const fresh = await right();
  assert(structured > 0.9 && fresh < 0.2, `${structured} structured, ${fresh} fresh`);
});

Deno.test("a model that is too small for it is refused", () => {
  const small = parseConfig(syntheticConfig({ ...shape, layers: 1 }), "small");
  using parameters = new TrainingParameters(anyGpu, small);
  assertThrows(() => startStructured(parameters, 1), RangeError, "1 layers of 4 heads");
});
