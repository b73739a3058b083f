/** What a folder holds beyond its model: what changes nothing is told, what might is refused. */
import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { readConfig } from "../../../src/model/loading/config.ts";
import { harmlessNotes } from "../../../src/model/loading/harmless.ts";
import { checkTensors } from "../../../src/model/loading/tensors.ts";
import { CheckpointError, openCheckpoint } from "../../../src/weights/checkpoint.ts";
import {
  broken,
  editJson,
  SHARDED,
  SINGLE,
  split,
  WEIGHTS,
  writeRaw,
} from "../../weights/broken_folder.ts";

const TIED = "tied-f16";
const EMBEDDING = "model.transformer.wte.weight";
const HEAD = "model.transformer.ff_out.weight";

/** A tensor to add, of a tied folder's embedding unless it has bytes. */
interface Extra {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes?: Uint8Array;
}

/** Adds tensors behind the others of the one file. */
function add(dir: string, extras: Record<string, Extra | ((embedding: Extra) => Extra)>): void {
  const path = join(dir, WEIGHTS);
  const { header, tensors } = split(path);
  const entries = JSON.parse(header);
  const { dtype, shape, data_offsets: [from, to] } = entries[EMBEDDING];
  const embedding = { dtype, shape, bytes: tensors.slice(from, to) };
  const parts = [tensors];
  let end = tensors.length;
  for (const [name, extra] of Object.entries(extras)) {
    const { bytes = new Uint8Array(), ...entry } = typeof extra === "function"
      ? extra(embedding)
      : extra;
    entries[name] = { ...entry, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    parts.push(bytes);
  }
  const text = JSON.stringify(entries);
  writeRaw(path, BigInt(new TextEncoder().encode(text).length), text, ...parts);
}

/** Runs `body` on a changed copy of a golden checkpoint. */
function withFolder(
  checkpoint: string,
  edit: (dir: string) => void,
  body: (dir: string) => void,
): void {
  const dir = Deno.makeTempDirSync({ prefix: "unmask-harmless-" });
  try {
    broken("", checkpoint, edit, /x/).build(dir);
    body(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const notesOf = (dir: string) => harmlessNotes(dir, readConfig(dir));

Deno.test("a good folder has nothing to tell", () => {
  for (const name of [SINGLE, SHARDED, TIED]) {
    withFolder(name, () => {}, (dir) => assertEquals(notesOf(dir), []));
  }
});

/** Tensors that change nothing, and what is told of them. */
const HARMLESS: [name: string, checkpoint: string, Parameters<typeof add>[1], note: string][] = [
  [
    "tables of angles",
    SINGLE,
    Object.fromEntries([0, 1, 2].map((layer) => [
      `model.transformer.blocks.${layer}.rotary_emb.inv_freq`,
      { dtype: "F32", shape: [8], bytes: new Uint8Array(32) },
    ])),
    "model.safetensors: model.transformer.blocks.0.rotary_emb.inv_freq, " +
    "model.transformer.blocks.1.rotary_emb.inv_freq and 1 more not used: computed anew.",
  ],
  [
    "positions in 64 bits",
    SINGLE,
    { "model.position_ids": { dtype: "I64", shape: [1, 4], bytes: new Uint8Array(32) } },
    "model.safetensors: model.position_ids not used: integers that nothing reads.",
  ],
  [
    "a mask of truth values",
    SINGLE,
    { "model.mask": { dtype: "BOOL", shape: [2, 2], bytes: new Uint8Array(4) } },
    "model.safetensors: model.mask not used: integers that nothing reads.",
  ],
  [
    "an empty tensor",
    SINGLE,
    { "model.transformer.adapter.weight": { dtype: "F32", shape: [0, 64] } },
    "model.safetensors: model.transformer.adapter.weight not used: empty.",
  ],
  [
    "a tied head",
    TIED,
    { [HEAD]: (embedding) => embedding },
    `model.safetensors: ${HEAD} not used: the tied embedding once more.`,
  ],
];

for (const [name, checkpoint, extras, note] of HARMLESS) {
  Deno.test(`let by with a line: ${name}`, () =>
    withFolder(checkpoint, (dir) => add(dir, extras), (dir) => {
      assertEquals(notesOf(dir), [note]);
    }));
}

/** Tensors that would change what the model computes. */
const REFUSED: [name: string, checkpoint: string, Parameters<typeof add>[1], tensor: string][] = [
  [
    "a bias",
    SINGLE,
    { "model.transformer.ln_f.bias": { dtype: "F32", shape: [1], bytes: new Uint8Array(4) } },
    "model.transformer.ln_f.bias",
  ],
  [
    "a zero point beside a matrix",
    SINGLE,
    { [`${EMBEDDING}_zero_point`]: { dtype: "I8", shape: [4], bytes: new Uint8Array(4) } },
    `${EMBEDDING}_zero_point`,
  ],
  [
    "a tied head that differs in its last byte",
    TIED,
    {
      [HEAD]: ({ bytes, ...embedding }) => ({
        ...embedding,
        bytes: bytes!.with(bytes!.length - 1, bytes!.at(-1)! ^ 1),
      }),
    },
    HEAD,
  ],
  [
    "a tied head of another shape",
    TIED,
    { [HEAD]: ({ bytes, dtype, shape }) => ({ bytes, dtype, shape: shape.toReversed() }) },
    HEAD,
  ],
];

for (const [name, checkpoint, extras, tensor] of REFUSED) {
  Deno.test(`refused: ${name}`, () =>
    withFolder(checkpoint, (dir) => add(dir, extras), (dir) => {
      using weights = openCheckpoint(dir);
      const check = () => checkTensors(readConfig(dir), weights);
      const error = assertThrows(check, CheckpointError, "is present, expected absent");
      assertEquals(error.tensor, tensor);
    }));
}

Deno.test("a wrong total_size and index without metadata are let by", () => {
  const index = (metadata: unknown) => (dir: string) =>
    editJson(join(dir, "model.safetensors.index.json"), (json) => json.metadata = metadata);
  for (const wrong of [4459010, 30, "4.4 MB", null]) {
    withFolder(SHARDED, index({ total_size: wrong }), (dir) => {
      assertEquals(notesOf(dir).length, 1);
      assertEquals(
        notesOf(dir)[0].startsWith(
          `model.safetensors.index.json: metadata.total_size is ${
            JSON.stringify(wrong)
          }, expected 4459008`,
        ),
        true,
      );
    });
  }
  for (const metadata of [undefined, null, {}]) {
    withFolder(SHARDED, index(metadata), (dir) => assertEquals(notesOf(dir), []));
  }
});

Deno.test("a pad_token_id that is missing or beyond the embedding is let by", () => {
  for (
    const [value, found] of [[undefined, "missing"], [null, "null"], [-1, "-1"], [320, "320"]]
  ) {
    const edit = (dir: string) =>
      editJson(join(dir, "config.json"), (json) => json.pad_token_id = value);
    withFolder(SINGLE, edit, (dir) => {
      assertEquals(notesOf(dir), [`config.json: pad_token_id is ${found}. Nothing is padded.`]);
    });
  }
});

Deno.test("sampling that is not done is told", () => {
  const generation = {
    do_sample: false,
    temperature: 0.6,
    top_p: 0.9,
    top_k: 0,
    repetition_penalty: 1.0,
    num_beams: 4,
  };
  const edit = (dir: string) =>
    Deno.writeTextFileSync(join(dir, "generation_config.json"), JSON.stringify(generation));
  withFolder(SINGLE, edit, (dir) => {
    assertEquals(notesOf(dir), [
      "generation_config.json: temperature is 0.6, and do_sample false. It is taken as 0.",
      "generation_config.json: top_p is 0.9. It is not applied.",
      "generation_config.json: num_beams is 4. It is not applied.",
    ]);
  });
});
