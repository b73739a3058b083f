/** `deno task peers`: the model that other runtimes are given, and what is told of them. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { checkAgreement, distance, peerFigures } from "../../src/bench/peers.ts";
import { LOGITS_TOLERANCE } from "../../src/bench/peers/runner.ts";
import {
  decodeOnnx,
  encodeOnnx,
  type OnnxTensor,
  onnxValue,
} from "../../src/bench/peers/onnx_file.ts";
import { ONNX_GRAPH, ONNX_WEIGHTS, writeOnnx } from "../../src/bench/peers/onnx_llada.ts";
import type { Precision, Runner } from "../../src/bench/peers/runner.ts";
import { toF32 } from "../../src/gpu/dtype.ts";
import { decodeRows } from "../../src/quant/encode.ts";
import { QUANTISED, quantised } from "../../src/quant/scheme.ts";
import { syntheticModel } from "../../src/model/synthetic/synthetic.ts";
import { SYNTHETIC_SHAPES } from "../../src/model/synthetic/synthetic_shape.ts";
import { runTask } from "../cli/command.ts";
import { skipIf } from "../skip.ts";

Deno.test("an ONNX file reads back as it was written", () => {
  const model = {
    irVersion: 8,
    opsetImport: [{ version: 17 }],
    graph: {
      name: "g",
      node: [{
        opType: "ReduceMean",
        input: ["x", "w"],
        output: ["y"],
        attribute: [{ name: "axes", type: 7, ints: [-1, 2] }, { name: "keepdims", type: 2, i: -3 }],
      }],
      initializer: [
        { name: "w", dims: [2], dataType: 1, rawData: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 255]) },
        {
          name: "far",
          dims: [3, 2 ** 31],
          dataType: 1,
          externalData: [{ key: "location", value: "w.bin" }],
          dataLocation: 1,
        },
      ],
      input: [onnxValue("x", 6, [7])],
      output: [onnxValue("y", 1, [7, 300])],
    },
  };
  const read = decodeOnnx(encodeOnnx(model));
  // The bytes come back as a Buffer.
  const bytes = (key: string, value: unknown) =>
    key === "rawData" ? Object.values((value as { data?: object }).data ?? value!) : value;
  assertEquals(
    JSON.parse(JSON.stringify(read, bytes)),
    JSON.parse(JSON.stringify(model, bytes)),
  );
});

Deno.test("a graph holds every weight once, matrices turned, and uses only what came before", () => {
  const dir = Deno.makeTempDirSync();
  try {
    using model = syntheticModel({ ...SYNTHETIC_SHAPES["tiny-target"], layers: 2 });
    writeOnnx(dir, model.config, model.checkpoint, { rows: 9, asked: 4 });
    const { graph } = decodeOnnx(Deno.readFileSync(join(dir, ONNX_GRAPH)));
    const known = new Set(["ids", ...graph.initializer.map(({ name }) => name)]);
    for (const { opType, input, output } of graph.node) {
      for (const name of input) assert(known.has(name), `${opType} uses ${name}`);
      for (const name of output) {
        assert(!known.has(name), `${name} is made twice`);
        known.add(name);
      }
    }
    assert(["tokens", "logits"].every((name) => known.has(name)));

    const bytes = Deno.readFileSync(join(dir, ONNX_WEIGHTS));
    const stored = graph.initializer.filter(({ dataLocation }) => dataLocation === 1);
    assertEquals(stored.length, model.checkpoint.tensors.size);
    let end = 0;
    for (const tensor of stored) {
      const { offset, length } = place(tensor);
      assertEquals(offset, end);
      end = offset + length;
      const name = tensor.name.replace(", rows", "");
      const slice = model.checkpoint.tensors.get(name)!;
      const values = toF32(model.checkpoint.read(slice), slice.dtype);
      const found = new Float32Array(bytes.buffer, offset, length / 4);
      const turned = name !== tensor.name || slice.shape.length === 1
        ? values
        : values.map((_, i) => {
          const [rows, columns] = slice.shape;
          return values[(i % rows) * columns + Math.floor(i / rows)];
        });
      assertEquals(distance(found, turned), 0, name);
    }
    assertEquals(end, bytes.length);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

function place({ externalData = [] }: OnnxTensor) {
  const { location, offset, length } = Object.fromEntries(
    externalData.map(({ key, value }) => [key, value]),
  );
  assertEquals(location, ONNX_WEIGHTS);
  return { offset: Number(offset), length: Number(length) };
}

for (const name of QUANTISED) {
  Deno.test(`a graph's ${name} codes and scales stand for the same weights`, () => {
    const dir = Deno.makeTempDirSync();
    try {
      const scheme = quantised(name, 32);
      const quantisation = { scheme, head: false };
      using model = syntheticModel({ ...SYNTHETIC_SHAPES["tiny-target"], layers: 1 }, {
        quantisation,
      });
      writeOnnx(dir, model.config, model.checkpoint, { rows: 5, asked: 5 });
      const { graph } = decodeOnnx(Deno.readFileSync(join(dir, ONNX_GRAPH)));
      const bytes = Deno.readFileSync(join(dir, ONNX_WEIGHTS));
      const bytesOf = (tensor: string) => {
        const { offset, length } = place(graph.initializer.find((one) => one.name === tensor)!);
        return bytes.slice(offset, offset + length);
      };
      const coded = graph.node.filter(({ opType }) => opType === "MatMulNBits");
      assertEquals(coded.length, 7);
      for (const { input: [, codes, scales], attribute = [] } of coded) {
        const { K, N, bits } = Object.fromEntries(attribute.map(({ name, i }) => [name, i!]));
        const [found, factors] = [bytesOf(codes), new Float32Array(bytesOf(scales).buffer)];
        // As onnxruntime defines it: (code - 2^(bits - 1)) * scale, the lower half of a byte first.
        const values = Float32Array.from({ length: N * K }, (_, i) => {
          const byte = found[Math.floor(i * bits / 8)];
          const code = bits === 8 ? byte : (byte >> (4 * (i % 2))) & 15;
          return (code - 2 ** (bits - 1)) * factors[Math.floor(i / 32)];
        });
        const read = (tensor: string) =>
          model.checkpoint.read(model.checkpoint.tensors.get(tensor)!);
        const stored = new Uint16Array(read(scales).buffer);
        const expected = decodeRows(scheme, { codes: read(codes), scales: stored }, K);
        assertEquals(distance(values, expected), 0, codes);
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

Deno.test("a peer that computes something else is refused, by the bound of its precision", async () => {
  const logits = Float32Array.from({ length: 3 * 50 }, (_, i) => Math.sin(i * i));
  const runner = (
    name: string,
    precision: Precision,
    change: (logit: number, i: number) => number,
  ): Runner => ({
    name,
    device: "none",
    precision,
    tokens: () => Promise.resolve([1, 2, 3]),
    logits: () => Promise.resolve(logits.map(change)),
    close: () => Promise.resolve(),
  });
  const same = (logit: number) => logit;
  const off = (share: number) => (logit: number, i: number) => logit * (1 + (-1) ** i * share);
  const ours = [runner("ours", "f32", same), runner("ours, int8", "int8", off(0.5))];
  const byRow = (logit: number, i: number) => logit + Math.floor(i / 50);
  const checks = await checkAgreement([...ours, runner("log p", "f32", byRow)]);
  assert(checks.every(({ logitsDistance }) => logitsDistance < 1e-6));
  assertEquals(checks.map(({ sameTokens }) => sameTokens), [3, 3, 3]);
  // Those with rounded activations are held against ours with such, not against floats.
  const bounds = [["f32", 5e-5, 2e-4], ["attention in f16", 4e-4, 6e-4], ["int8", 0.505, 0.55]];
  for (const [precision, share, other] of bounds as [Precision, number, number][]) {
    await checkAgreement([...ours, runner("near", precision, off(share))]);
    await assertRejects(
      () => checkAgreement([...ours, runner("far", precision, off(other))]),
      Error,
      "far: its logits are",
    );
  }
  await assertRejects(
    () => checkAgreement([...ours, runner("short", "f32", () => NaN)]),
    Error,
    "does not compute the same",
  );
});

Deno.test("figures are medians and quartiles, round by round", () => {
  const { gflopPerSecond, timeToOurs } = peerFigures(2, [40, 10, 30, 20, 50], [10, 10, 10, 40, 10]);
  assertEquals(gflopPerSecond, 2000 / 30);
  assertEquals(timeToOurs, [1, 3, 4]);
  assertEquals(distance(new Float32Array([3, 5]), new Float32Array([3, 4])), 0.2);
  for (const other of [[NaN, 1], [1]]) {
    assert(!(distance(new Float32Array(other), new Float32Array([1, 1])) <= LOGITS_TOLERANCE.f32));
  }
});

Deno.test("the benchmark's own task names the one that may load other runtimes", async () => {
  const { code, stderr } = await runTask("bench", ["peers"]);
  assertEquals(code, 1);
  assertMatch(stderr, /not permitted.*deno task peers/);
});

interface Lock {
  readonly specifiers: Record<string, string>;
  readonly npm: Record<string, { readonly integrity: string }>;
}
const lockOf = (name: string): Lock =>
  JSON.parse(Deno.readTextFileSync(new URL(`../../${name}`, import.meta.url)));

Deno.test("the peers' task and lock file are the benchmark's and the runtimes", () => {
  const { bench, peers } = config.tasks;
  assertEquals(
    peers.command,
    // Deno itself is started to try a library first, and must find its cache; settings go to libraries
    // by the environment. What they read and write nobody knows.
    `${
      bench.command
        .replace("--frozen --deny-import", "--lock=.lock/peers.lock --allow-ffi")
        .replace("--allow-read=/ --allow-write=/", "--allow-read --allow-write")
        .replace(
          "XDG_CACHE_HOME",
          "XDG_CACHE_HOME,DENO_DIR,GGML_VK_VISIBLE_DEVICES,GGML_VK_DISABLE_F16",
        )
        .replace(
          "hostname,systemMemoryInfo",
          "hostname,systemMemoryInfo,homedir,uid --allow-run=$(deno eval -p Deno.execPath\\(\\))",
        )
    } peers`,
  );
  const [lock, more] = ["deno.lock", ".lock/peers.lock"].map(lockOf);
  const added = Object.keys(more.specifiers).filter((name) => !(name in lock.specifiers));
  assertEquals(added, [
    "npm:node-llama-cpp@3.21.1",
    "npm:onnxruntime-node@1.30.0",
    "npm:onnxruntime-web@1.30.0",
  ]);
  for (const [name, version] of Object.entries(lock.specifiers)) {
    assertEquals(more.specifiers[name], version);
  }
  for (const [name, { integrity }] of Object.entries(lock.npm)) {
    assertEquals(more.npm[name].integrity, integrity);
  }
  assert(!/onnxruntime|llama/.test(JSON.stringify(lock)), "everyone would download them");
});

/** Whether `deno task peers` has been run: the test downloads nothing. */
const downloaded = (() => {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  try {
    const folder = join(npmCache, "registry.npmjs.org");
    for (const name of ["onnxruntime-web/1.30.0", "onnxruntime-node/1.30.0"]) {
      Deno.statSync(join(folder, name));
    }
    Deno.statSync(join(folder, "node-llama-cpp/3.21.1"));
    return true;
  } catch {
    return false;
  }
})();

Deno.test({
  ...skipIf(
    downloaded ? undefined : "`deno task peers`, run once, downloads them, 0.7 GB",
    "other runtimes compute the same logits",
  ),
  async fn(t) {
    for (const weights of ["bf16", "q8", "q4"]) {
      await t.step(weights, () => compare(["--weights", weights]));
    }
  },
});

async function compare(chosen: readonly string[]): Promise<void> {
  const file = Deno.makeTempFileSync();
  try {
    const shape = ["--like", "tiny-target", "--layers", "2", "--rows", "33", "--rounds", "2"];
    const asked = [...shape, ...chosen];
    const { code, stdout, stderr } = await runTask("peers", [...asked, "--json", file]);
    assertEquals(code, 0, stderr);
    const { runtimes, missing } = JSON.parse(Deno.readTextFileSync(file));
    assertEquals(missing, {}, stdout);
    assertEquals(runtimes.length, chosen.includes("bf16") ? 5 : 6);
    for (const { name, precision, logitsDistance, sameTokens, milliseconds } of runtimes) {
      assert(
        logitsDistance <= LOGITS_TOLERANCE[precision as Precision],
        `${name}: ${logitsDistance}`,
      );
      // Near-ties fall either way when activations are rounded.
      assert(
        sameTokens === 32 || precision === "int8" && sameTokens > 24,
        `${name}: ${sameTokens}`,
      );
      assertEquals(milliseconds.length, 2, name);
    }
  } finally {
    Deno.removeSync(file);
  }
}
