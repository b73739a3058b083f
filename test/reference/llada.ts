/**
 * LLaDA in plain loops over 64-bit floats: the oracle of the tests, and the whole model in one read.
 * Matrices are row-major `[rows, columns]`; a linear layer's weight is `[out, in]`.
 */

import type { ForwardInput, Prediction, Predictor } from "../../src/denoise/predictor.ts";
import { firstVisible } from "../../src/denoise/sequence.ts";
import { keepOutside, type KeptPart } from "./kept_keys.ts";
import { readCheckpoint } from "./read.ts";
import { sampledRow } from "./sampling.ts";

/** The fields of config.json that change the computation. */
export interface ReferenceConfig {
  readonly d_model: number;
  readonly n_layers: number;
  readonly n_heads: number;
  /** null: as many as `n_heads`. */
  readonly n_kv_heads: number | null;
  readonly mlp_hidden_size: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  /** Rows of the embedding and columns of the logits; may exceed the vocabulary. */
  readonly embedding_size: number;
  /** The head is the embedding. */
  readonly weight_tying: boolean;
  readonly mask_token_id: number;
  readonly eos_token_id: number;
  readonly pad_token_id: number;
}

/** Activations of one forward pass. */
export interface ReferenceForward {
  /** `[length, embedding_size]`. */
  readonly logits: Float64Array;
  /**
   * By name: `embed`, `block.i.act`, `block.i.out`, `final_norm`, and for layer 0 `attn_norm`, `attn`,
   * `mid`, `ff_norm` `[length, columns]` and `q`, `k`, `v`, `q_rot`, `k_rot`
   * `[heads, length, head size]`.
   */
  readonly hidden: ReadonlyMap<string, Float64Array>;
}

/** A checkpoint as a function of token ids. */
export class ReferenceLlada implements Predictor {
  readonly config: ReferenceConfig;
  readonly #weights: ReadonlyMap<string, Float64Array>;

  /** @param weights by the checkpoint's own names */
  constructor(config: ReferenceConfig, weights: ReadonlyMap<string, Float64Array>) {
    this.config = config;
    this.#weights = weights;
  }

  /**
   * @param ids `[length]`
   * @param attentionMask `[length]`; a 0 hides that key from every query. Rows of hidden positions
   * carry no meaning.
   * @param part with it, only rows of its positions carry a meaning
   * @param shadows positions that have a second row as masks, behind the `length` ordinary ones
   */
  forward(
    ids: ArrayLike<number>,
    attentionMask?: ArrayLike<number>,
    part?: KeptPart,
    shadows: ArrayLike<number> = [],
  ): ReferenceForward {
    const hidden = this.#hidden(ids, attentionMask, part, shadows);
    return { hidden, logits: this.#head(hidden.get("final_norm")!) };
  }

  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    return Promise.resolve(inputs.map((input) => {
      const { attentionMask, positions, guidance, choice, judged } = input;
      const logits = this.#logitsAt(input);
      if (guidance && guidance.scale !== 0) {
        const uncond = this.#logitsAt({ ...input, ids: guidance.unconditionalIds });
        for (let i = 0; i < logits.length; i++) {
          logits[i] = uncond[i] + (guidance.scale + 1) * (logits[i] - uncond[i]);
        }
      }
      const columns = this.config.embedding_size;
      return Array.from(
        positions,
        (position, i) => {
          const row = logits.subarray(i * columns, (i + 1) * columns);
          const shown = position - firstVisible(attentionMask);
          return { ...sampledRow(row, shown, choice, judged?.[i]), position };
        },
      );
    }));
  }

  /** Logits at some positions only, their shadows' if they have any, `[positions, embedding_size]`. */
  #logitsAt({ ids, attentionMask, positions, shadows }: ForwardInput): Float64Array {
    const x = this.#hidden(ids, attentionMask, undefined, shadows).get("final_norm")!;
    const d = this.config.d_model;
    const rows = new Float64Array(positions.length * d);
    positions.forEach((position, i) => {
      const shadow = shadows?.indexOf(position) ?? -1;
      const row = shadow < 0 ? position : ids.length + shadow;
      rows.set(x.subarray(row * d, (row + 1) * d), i * d);
    });
    return this.#head(rows);
  }

  #hidden(
    ids: ArrayLike<number>,
    attentionMask?: ArrayLike<number>,
    part?: KeptPart,
    shadows: ArrayLike<number> = [],
  ): Map<string, Float64Array> {
    const { d_model: d, n_layers, n_heads, rope_theta } = this.config;
    const kvHeads = this.config.n_kv_heads ?? n_heads;
    const headSize = d / n_heads;
    const masks = Array.from(shadows, () => this.config.mask_token_id);
    const tokens = Array.from(ids).concat(masks);
    const positions = Array.from(ids, (_, i) => i).concat(Array.from(shadows));
    const length = tokens.length;
    // A shadow is a key for itself only, and has it in place of its position's.
    const sees = (query: number, key: number) =>
      key < ids.length
        ? attentionMask?.[key] !== 0 && (query < ids.length || key !== positions[query])
        : key === query;
    const hidden = new Map<string, Float64Array>();

    const wte = this.#weight("model.transformer.wte.weight");
    const x = new Float64Array(length * d);
    tokens.forEach((id, t) => x.set(wte.subarray(id * d, (id + 1) * d), t * d));
    hidden.set("embed", x.slice());

    for (let layer = 0; layer < n_layers; layer++) {
      const keep = (name: string, value: Float64Array) => {
        if (layer === 0) hidden.set(`block.0.${name}`, value);
        return value;
      };
      const linear = (name: string, input: Float64Array) =>
        matmul(input, this.#weight(`model.transformer.blocks.${layer}.${name}.weight`), length);
      const norm = (name: string) =>
        rmsNorm(x, this.#weight(`model.transformer.blocks.${layer}.${name}.weight`), this.config);

      const attnNorm = keep("attn_norm", norm("attn_norm"));
      const q = keep("q", splitHeads(linear("q_proj", attnNorm), n_heads, headSize));
      const k = keep("k", splitHeads(linear("k_proj", attnNorm), kvHeads, headSize));
      const v = keep("v", splitHeads(linear("v_proj", attnNorm), kvHeads, headSize));
      const qRot = keep("q_rot", rotate(q, positions, headSize, rope_theta));
      const kRot = keep("k_rot", rotate(k, positions, headSize, rope_theta));
      if (part) keepOutside(part, layer, { k: kRot, v }, length, headSize);
      const attn = keep("attn", attention(qRot, kRot, v, length, headSize, sees));
      addTo(x, linear("attn_out", attn));
      keep("mid", x.slice());

      const ffNorm = keep("ff_norm", norm("ff_norm"));
      const gate = linear("ff_proj", ffNorm);
      const act = linear("up_proj", ffNorm);
      for (let i = 0; i < act.length; i++) act[i] *= gate[i] / (1 + Math.exp(-gate[i])); // silu
      hidden.set(`block.${layer}.act`, act);
      addTo(x, linear("ff_out", act));
      hidden.set(`block.${layer}.out`, x.slice());
    }
    hidden.set(
      "final_norm",
      rmsNorm(x, this.#weight("model.transformer.ln_f.weight"), this.config),
    );
    return hidden;
  }

  #head(x: Float64Array): Float64Array {
    const name = this.config.weight_tying ? "wte" : "ff_out";
    const head = this.#weight(`model.transformer.${name}.weight`);
    return matmul(x, head, x.length / this.config.d_model);
  }

  #weight(name: string): Float64Array {
    const weight = this.#weights.get(name);
    if (!weight) throw new Error(`the checkpoint has no tensor ${name}`);
    return weight;
  }
}

/** `x weight^T`: `[rows, in]` by `[out, in]` to `[rows, out]`. */
function matmul(x: Float64Array, weight: Float64Array, rows: number): Float64Array {
  if (rows === 0) return new Float64Array(0);
  const inner = x.length / rows;
  const columns = weight.length / inner;
  const y = new Float64Array(rows * columns);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const a = row * inner;
      const b = column * inner;
      let even = 0;
      let odd = 0;
      let i = 0;
      for (; i + 1 < inner; i += 2) {
        even += x[a + i] * weight[b + i];
        odd += x[a + i + 1] * weight[b + i + 1];
      }
      if (i < inner) even += x[a + i] * weight[b + i];
      y[row * columns + column] = even + odd;
    }
  }
  return y;
}

/** `x / sqrt(mean(x^2) + eps) * weight`, row by row. */
function rmsNorm(
  x: Float64Array,
  weight: Float64Array,
  { rms_norm_eps }: ReferenceConfig,
): Float64Array {
  const d = weight.length;
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += d) {
    let squares = 0;
    for (let i = 0; i < d; i++) squares += x[row + i] ** 2;
    const scale = 1 / Math.sqrt(squares / d + rms_norm_eps);
    for (let i = 0; i < d; i++) y[row + i] = x[row + i] * scale * weight[i];
  }
  return y;
}

/** `[length, heads * headSize]` to `[heads, length, headSize]`. */
function splitHeads(x: Float64Array, heads: number, headSize: number): Float64Array {
  const length = x.length / (heads * headSize);
  const y = new Float64Array(x.length);
  for (let t = 0; t < length; t++) {
    for (let head = 0; head < heads; head++) {
      const from = (t * heads + head) * headSize;
      y.set(x.subarray(from, from + headSize), (head * length + t) * headSize);
    }
  }
  return y;
}

/** Turns channel i against channel i + headSize / 2 by `position * theta^(-2i / headSize)`. */
function rotate(
  x: Float64Array,
  positions: readonly number[],
  headSize: number,
  theta: number,
): Float64Array {
  const half = headSize / 2;
  const y = new Float64Array(x.length);
  for (let row = 0; row * headSize < x.length; row++) {
    const position = positions[row % positions.length];
    for (let i = 0; i < half; i++) {
      const angle = position * theta ** (-2 * i / headSize);
      const a = x[row * headSize + i];
      const b = x[row * headSize + i + half];
      y[row * headSize + i] = a * Math.cos(angle) - b * Math.sin(angle);
      y[row * headSize + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }
  return y;
}

/**
 * `softmax(q k^T / sqrt(headSize)) v` per head, over the keys that a query sees; query head j reads
 * K/V head `floor(j / (heads / kvHeads))`. `[heads, length, headSize]` in, `[length, heads * headSize]`
 * out.
 */
function attention(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  length: number,
  headSize: number,
  sees: (query: number, key: number) => boolean,
): Float64Array {
  const heads = q.length / (length * headSize);
  const group = q.length / k.length;
  const y = new Float64Array(q.length);
  const scores = new Float64Array(length);
  for (let head = 0; head < heads; head++) {
    const kv = Math.floor(head / group) * length * headSize;
    for (let query = 0; query < length; query++) {
      const from = (head * length + query) * headSize;
      let max = -Infinity;
      for (let key = 0; key < length; key++) {
        let dot = 0;
        for (let i = 0; i < headSize; i++) dot += q[from + i] * k[kv + key * headSize + i];
        scores[key] = sees(query, key) ? dot / Math.sqrt(headSize) : -Infinity;
        max = Math.max(max, scores[key]);
      }
      let sum = 0;
      for (let key = 0; key < length; key++) sum += scores[key] = Math.exp(scores[key] - max);
      const to = (query * heads + head) * headSize;
      for (let key = 0; key < length; key++) {
        const weight = scores[key] / sum;
        for (let i = 0; i < headSize; i++) y[to + i] += weight * v[kv + key * headSize + i];
      }
    }
  }
  return y;
}

function addTo(x: Float64Array, delta: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += delta[i];
}

const loaded = new Map<string, ReferenceLlada>();

/** The model of a folder with config.json and safetensors; read once per process. */
export function loadReference(folder: string): ReferenceLlada {
  const known = loaded.get(folder);
  if (known) return known;
  const config: ReferenceConfig = JSON.parse(Deno.readTextFileSync(`${folder}/config.json`));
  const weights = new Map([...readCheckpoint(folder)].map(([name, { data }]) => [name, data]));
  const model = new ReferenceLlada(config, weights);
  loaded.set(folder, model);
  return model;
}
