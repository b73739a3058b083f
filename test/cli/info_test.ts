/** `unmask info`, and that its figures are those of real buffers. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeviceLimits } from "../../src/model/memory/counting_gpu.ts";
import { type AnswerShape, dryRun } from "../../src/model/memory/dry_run.ts";
import { denoise } from "../../src/denoise/denoise.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { acquireGpu, type Gpu } from "../../src/gpu/device.ts";
import { chosenRowForm, ROW_FORMS } from "../../src/gpu/row_form.ts";
import { parseConfig, readConfig } from "../../src/model/loading/config.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import { expectedTensors } from "../../src/model/loading/tensors.ts";
import { quantised } from "../../src/quant/scheme.ts";
import { openCheckpoint } from "../../src/weights/checkpoint.ts";
import { dawnForms, noDawnForm } from "../gpu/dawn.ts";
import { skipIf } from "../skip.ts";
import { unmask } from "./command.ts";

const embedded = fileURLToPath(new URL("../../models/tiny-target", import.meta.url));
const golden = (name: string) =>
  fileURLToPath(new URL(`../golden/checkpoints/${name}`, import.meta.url));

/** Points the Vulkan loader at drivers that are not there. */
const NO_DRIVER = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" };

Deno.test("info shows the adapter and the model", async () => {
  const { code, stdout, stderr } = await unmask(["info"]);
  assertEquals([code, stderr], [0, ""]);
  using gpu = await acquireGpu();
  for (
    const part of [
      gpu.name,
      `Deno ${Deno.version.deno}`,
      "tiny-target, 2.62 million parameters",
      "BF16, 5.0 MiB in files",
      "8 of hidden size 128, FFN 512",
      "in 1 buffer",
      gpu.subgroups ? "with subgroups" : "without subgroups",
      `subgroups: ${gpu.features.includes("subgroups") ? "yes" : "no"}`,
      "0 of 6 kinds of matrices tuned for this adapter",
      "maxStorageBufferBindingSize",
    ]
  ) assertStringIncludes(stdout, part);
});

Deno.test("info shows the form of the kernels and why: as suits the adapter, or as asked for", async () => {
  using gpu = await acquireGpu();
  const own = chosenRowForm(gpu.software);
  for (const asked of [undefined, ...ROW_FORMS]) {
    const { form, reason } = asked ? { form: asked, reason: "as was asked for" } : own;
    const args = ["info", ...asked ? ["--kernel-form", asked] : []];
    const { stdout } = await unmask(args);
    assertStringIncludes(stdout, `subgroups, rows ${form}: ${reason}`);
    const { adapter } = JSON.parse((await unmask([...args, "--json"])).stdout);
    assertEquals([adapter.kernel_form, adapter.kernel_form_reason], [form, reason]);
  }
  const wrong = await unmask(["info", "--kernel-form", "other"]);
  assertEquals([wrong.code, wrong.stdout], [1, ""]);
  assertStringIncludes(wrong.stderr, "Allowed choices are uniform, exchanged.");
});

Deno.test("info --json, of a folder given relative to where the user is", async () => {
  const cwd = fileURLToPath(new URL("../../models", import.meta.url));
  const { code, stdout } = await unmask(["info", "--model", "tiny-target", "--json"], { cwd });
  assertEquals(code, 0);
  const { adapter, error, model, tuning } = JSON.parse(stdout);
  using gpu = await acquireGpu();
  // Queries, keys and values; output; gate and up; down: the draft's FFN is narrower.
  assertEquals([tuning.matrices, tuning.tuned], [6, 0]);
  assertEquals([adapter.name, error], [gpu.name, undefined]);
  assertEquals(adapter.limits.maxBufferSize, gpu.limits.maxBufferSize);
  assertEquals([model.id, model.parameters, model.dtypes], ["tiny-target", 2623616, {
    BF16: 5247232,
  }]);
  assertEquals(model.config, { ...readConfig(embedded) });
  const [usual, longest] = model.memory.generations;
  assertEquals([usual.prompt_tokens, usual.answer_tokens], [64, 64]);
  assertEquals(longest.prompt_tokens + longest.answer_tokens, model.config.maxSequenceLength);
  assert(usual.bytes > 0 && usual.bytes < longest.bytes);
});

Deno.test("info without an adapter shows the model, says what to install, and exits with 1", async () => {
  const { code, stdout, stderr } = await unmask(["info"], { env: NO_DRIVER });
  assertEquals(code, 1);
  assertStringIncludes(stdout, "2.62 million parameters");
  assertMatch(
    stderr,
    /^unmask: No GPU adapter: .*\n {2}Debian\/Ubuntu: sudo apt-get install mesa/m,
  );
  const json = await unmask(["info", "--json"], { env: NO_DRIVER });
  const { adapter, error, model } = JSON.parse(json.stdout);
  assertEquals([json.code, adapter, model.id], [1, null, "tiny-target"]);
  assertStringIncludes(error, "No GPU adapter");
});

Deno.test("info of a folder that is none names the file", async () => {
  const { code, stdout, stderr } = await unmask(["info", "--model", "nowhere"]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^unmask: nowhere\/config\.json/m);
});

/** A folder with a config and a weight file of the right length that takes no room on the disk. */
async function sparseFolder(dir: string, fields: Record<string, unknown>): Promise<void> {
  const base = JSON.parse(await Deno.readTextFile(join(embedded, "config.json")));
  const json = { ...base, ...fields };
  await Deno.writeTextFile(join(dir, "config.json"), JSON.stringify(json));
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of expectedTensors(parseConfig(json, "config.json"))) {
    const start = end;
    end += shape.reduce((bytes, size) => bytes * size, 2);
    header[name] = { dtype: "BF16", shape, data_offsets: [start, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new BigUint64Array([BigInt(text.length)]);
  using file = await Deno.create(join(dir, "model.safetensors"));
  await file.write(new Uint8Array(length.buffer));
  await file.write(text);
  await file.truncate(8 + text.length + end);
}

Deno.test("info tells what a model as large as LLaDA-8B would need, without reading its weights", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await sparseFolder(dir, {
      d_model: 4096,
      n_heads: 32,
      n_kv_heads: 32,
      n_layers: 32,
      mlp_hidden_size: 12288,
      vocab_size: 126464,
      embedding_size: 126464,
      max_sequence_length: 4096,
      mask_token_id: 126336,
      eos_token_id: 126081,
      pad_token_id: 126081,
    });
    const { code, stdout } = await unmask(["info", "--model", dir, "--json"]);
    assertEquals(code, 0);
    const { model, adapter } = JSON.parse(stdout);
    assertEquals([model.id, model.parameters], [basename(dir), 8015581184]);
    const { weight_bytes, largest_matrix, loading_host_bytes } = model.memory;
    // Weights as stored, norms widened, and the rotation table.
    const norms = 65 * 4096;
    assertEquals(weight_bytes, 2 * (8015581184 - norms) + 4 * norms + 4096 * 128 * 4);
    const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
    const matrix = 126464 * 4096 * 2;
    assertEquals([largest_matrix.name, largest_matrix.bytes], ["embedding", matrix]);
    const fitting = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 8192);
    const width = fitting >= 126464 ? 126464 : fitting - fitting % 128;
    assertEquals(largest_matrix.parts, Math.ceil(126464 / width));
    assert(loading_host_bytes < 64 * 2 ** 20, `${loading_host_bytes} bytes on their way`);
    await assertPlansOf8B(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

/** The weights that README.md's table tells, as info names them. */
const WEIGHTS: Readonly<Record<string, string>> = {
  "4 bits": "q4",
  "8 bits": "q8",
  "as published": "stored",
};

/** README.md's table of GPU memory: what runs in how many GiB. */
function readmePlans(): { memory: string; weights: string; tokens: number }[] {
  const text = Deno.readTextFileSync(new URL("../../README.md", import.meta.url));
  const rows = text.matchAll(/^\| ([\d, ]+) GiB +\| (.+?) +\| (\d+) tokens +\|$/gm);
  return [...rows].flatMap(([, sizes, weights, tokens]) =>
    sizes.split(", ").map((size) => {
      return { memory: `${size}GiB`, weights: WEIGHTS[weights], tokens: Number(tokens) };
    })
  );
}

/** What README.md says of LLaDA-8B: an 8 GB card takes q4, with a shorter context where it must. */
async function assertPlansOf8B(dir: string): Promise<void> {
  const plans = readmePlans();
  assertEquals(plans.map(({ memory }) => memory), ["6GiB", "8GiB", "12GiB", "16GiB", "24GiB"]);
  for (const { memory, weights, tokens } of plans) {
    const { stdout } = await unmask(["info", "--model", dir, "--gpu-memory", memory, "--json"]);
    const { plan, choices } = JSON.parse(stdout);
    assertEquals([plan.target.weights, plan.full_context_tokens], [weights, 4096]);
    assert(plan.bytes <= plan.limit_bytes);
    // Scratch is a little more or less by the adapter; keys and values in f32 take twice the room.
    const expected = plan.kv_cache === "f16" ? tokens : Math.min(tokens, plan.context_tokens);
    assert(Math.abs(plan.context_tokens - expected) <= 256, `${memory}: ${plan.context_tokens}`);
    const contexts = [...new Set([512, 1024, 2048, 4096, plan.context_tokens])].sort((a, b) =>
      a - b
    );
    assertEquals(
      choices.map((
        row: { weights: string; context_tokens: number },
      ) => [row.weights, row.context_tokens]),
      ["stored", "q8", "q4"].flatMap((name) => contexts.map((tokens) => [name, tokens])),
    );
    const chosen = choices.find((row: { weights: string; context_tokens: number }) =>
      row.weights === weights && row.context_tokens === plan.context_tokens
    );
    assertEquals([chosen.bytes, chosen.fits], [plan.bytes, true]);
  }
  const { stdout } = await unmask(["info", "--model", dir, "--gpu-memory", "8GiB"]);
  assertMatch(stdout, /│ q4 +│ 512 +│ [\d.]+ GiB +│ [\d.]+ MiB +│ [\d.]+ GiB +│ fits/);
  assertMatch(stdout, /^GPU memory: .* in q4 at \d+ tokens of context.* of 8\.0 GiB allowed\. /m);
}

Deno.test("what info says it would load is what is loaded, a shorter context too", async () => {
  for (const memory of ["40MiB", "14MiB"]) {
    const json = await unmask(["info", "--gpu-memory", memory, "--json"]);
    const { plan } = JSON.parse(json.stdout);
    assertEquals(plan.context_tokens < 512, memory === "14MiB", plan.line);
    const answer = await unmask(["generate", "Hi!", "--cache", "dual", "--gpu-memory", memory]);
    assertEquals([answer.code, answer.stderr.split("\n")[0]], [0, plan.line]);
  }
});

Deno.test("a plan reads headers, and no weights", async () => {
  using checkpoint = openCheckpoint(embedded);
  const refuse = () => {
    throw new Error("weights were read");
  };
  const headers = new Proxy(checkpoint, {
    get(from, name) {
      if (name === "read" || name === "loadInto") return refuse;
      const value = Reflect.get(from, name, from);
      return typeof value === "function" ? value.bind(from) : value;
    },
  });
  using gpu = await acquireGpu();
  for (const layers of [undefined, quantised("q4", 32)]) {
    const { weightBytes } = await dryRun(readConfig(embedded), headers, gpu, { layers });
    assert(weightBytes > 1e6);
  }
});

/** Bytes of the buffers that live on a device, from now on, and the names of all. */
function countBuffers(gpu: Gpu) {
  const count = { bytes: 0, names: new Set<string | undefined>() };
  const createBuffer = gpu.device.createBuffer.bind(gpu.device);
  const createTexture = gpu.device.createTexture.bind(gpu.device);
  const counted = <T extends GPUBuffer | GPUTexture>(made: T, size: number): T => {
    const destroy = made.destroy.bind(made);
    let live = true;
    count.bytes += size;
    made.destroy = () => {
      if (live) count.bytes -= size;
      live = false;
      return destroy();
    };
    return made;
  };
  gpu.device.createBuffer = (descriptor) => {
    count.names.add(descriptor.label);
    return counted(createBuffer(descriptor), descriptor.size);
  };
  gpu.device.createTexture = (descriptor) => {
    const texture = createTexture(descriptor);
    // All are of four words a texel.
    return counted(texture, 16 * texture.width * texture.height);
  };
  return count;
}

/** The device, with bindings of at most this many bytes. */
function withBindingLimit(gpu: Gpu, bytes: number): Gpu {
  const limits = new Proxy(gpu.limits, {
    get: (from, name) =>
      name === "maxStorageBufferBindingSize" ? bytes : Reflect.get(from, name, from),
  });
  return { ...gpu, limits };
}

const REQUEST: AnswerShape = { promptTokens: 9, maxTokens: 16, blockLength: 8 };

for (
  const [dir, bindingLimit] of [
    [embedded, undefined],
    [golden("mha-f32"), undefined],
    [golden("gqa-bf16"), undefined],
    [golden("tied-f16"), undefined],
    [golden("llada-shape-bf16"), undefined],
    [embedded, 2 ** 16],
  ] as const
) {
  const limited = bindingLimit ? `, bindings of ${bindingLimit} bytes` : "";
  Deno.test(`what info says is what is allotted: ${basename(dir)}${limited}`, async () => {
    using own = await acquireGpu();
    await assertAllotted(dir, own, { bindingLimit });
  });
}

Deno.test("what info says is what is allotted, chunks of keys for a GPU included", async () => {
  using own = await acquireGpu({ rowForm: "uniform" });
  // More keys than a chunk has.
  const request = { ...REQUEST, promptTokens: 70 };
  const { names } = await assertAllotted(embedded, own, { request });
  assert(names.has("attention in chunks"));
});

Deno.test({
  ...skipIf(noDawnForm("matrix units"), "what info says is allotted by Dawn, matrix units"),
  async fn() {
    await assertAllotted(embedded, dawnForms.get("matrix units")!);
  },
});

/** Counts what a model and a generation take on a device, and compares it with the dry run. */
async function assertAllotted(
  dir: string,
  own: Gpu,
  { bindingLimit, request = REQUEST }: { bindingLimit?: number; request?: AnswerShape } = {},
) {
  const config = readConfig(dir);
  const count = countBuffers(own);
  const gpu = bindingLimit ? withBindingLimit(own, bindingLimit) : own;
  const device: DeviceLimits = gpu;
  using checkpoint = openCheckpoint(dir);
  const planned = await dryRun(config, checkpoint, device);
  assertEquals(count.bytes, 0, "the planned touched the device");

  using model = await loadModel(gpu, dir);
  const loaded = count.bytes;
  const { promptTokens, maxTokens: genLength, blockLength } = request;
  const sequence = newSequence(new Uint32Array(promptTokens), genLength, config.maskTokenId);
  // Its buffers live until the generator is done.
  const steps = denoise([sequence], model, {
    blockLength,
    steps: genLength,
    seeds: [0],
    eosToken: config.eosTokenId,
    endTokens: [config.eosTokenId],
    stopAtEnd: false,
  });
  await steps.next();
  const generating = count.bytes;
  assertEquals(await planned.activationBytes(request), generating - planned.weightBytes);
  // The parameters of dispatches belong to what a generation takes.
  assertEquals(loaded - planned.weightBytes, 256 * 1024);
  await steps.return({ sequences: [], nfe: 0, readbacks: 0 });
  return count;
}
