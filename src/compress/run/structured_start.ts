/**
 * Weights that can copy before the first step. A small model takes long to find that what stood behind
 * a token once may stand behind it again; here two layers do so from the start (the induction heads of
 * Olsson et al. 2022, for both directions).
 *
 * Every token has a code of random signs. In layer 0 one head attends to the previous position and one
 * to the next, and they write these neighbours' codes beside the token's own. In layers 1 and 3 a head
 * attends to places with the same left neighbour, and one to places with the same right neighbour; both
 * pass the token there on. The head reads codes. All else is as in a fresh start, but that nothing is
 * written to the residual stream: those products are zero, as are the products of the layers' FFN.
 */

import { hash, uniform } from "../../denoise/noise.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import { parameterName } from "../pass/parameter_layout.ts";
import type { TrainingParameters } from "../pass/parameters.ts";
import { startFresh } from "./fresh_start.ts";

/** Tells these draws from others of the same seed. */
const CODES = 78;
/** Layers whose heads look for the same neighbour. */
const COPYING = [1, 3];
/** Radians by which a channel that compares codes may turn over {@linkcode REACH} positions. */
const MOST_TURN = 0.5;
const REACH = 150;
/** Value of the channel that is the same for every token, from which positions are asked. */
const CONSTANT = 4;
/** Weight of the logits; with it the right token is some e^4 times likelier than the next. */
const HEAD = 0.4;
/** What attention to a neighbour is worth against the place beside it, as a difference of scores. */
const NEIGHBOUR_GAP = 8;
/** What one code sign in common is worth. */
const SIGN_SCORE = 1;

/** Where things lie in the residual stream. */
interface Channels {
  /** Signs of a code. */
  readonly size: number;
  readonly own: number;
  readonly previous: number;
  readonly next: number;
  readonly constant: number;
  /** Marks the mask, whose code is zero, so that all tokens have one norm. */
  readonly mask: number;
}

function channelsOf({ hiddenSize, headDim, heads, kvHeads, layers }: ModelConfig): Channels {
  const size = Math.min(headDim, Math.floor((hiddenSize - 2) / 3));
  if (heads !== kvHeads || heads < 2 || layers < 2 || size < 8) {
    throw new RangeError(
      `${layers} layers of ${heads} heads (${kvHeads} of keys) of ${headDim} channels cannot start ` +
        "structured, expected 2 layers and 2 heads of 8 channels, and as many of keys, at least",
    );
  }
  return {
    size,
    own: 0,
    previous: size,
    next: 2 * size,
    constant: 3 * size,
    mask: 3 * size + 1,
  };
}

/** A matrix that is filled in place by place, `[out, in]`. */
class Matrix {
  readonly values: Float32Array<ArrayBuffer>;
  readonly #inner: number;

  constructor(values: Float32Array<ArrayBuffer>, inner: number) {
    this.values = values;
    this.#inner = inner;
  }

  set(row: number, column: number, value: number): void {
    this.values[row * this.#inner + column] = value;
  }

  clearRows(first: number, count: number): void {
    this.values.fill(0, first * this.#inner, (first + count) * this.#inner);
  }
}

/**
 * Replaces all weights.
 * @throws {RangeError} when the model has too few layers, heads or channels
 */
export function startStructured(parameters: TrainingParameters, seed: number): void {
  const { config } = parameters;
  const channels = channelsOf(config);
  const fresh = startFresh(parameters, seed);
  const matrix = (tensor: string, layer?: number) => {
    const name = parameterName(tensor, layer);
    return { name, matrix: new Matrix(fresh(name), parameters.get(name).layout.shape[1]) };
  };
  setCodes(parameters, channels, seed);
  for (let layer = 0; layer < config.layers; layer++) {
    for (const tensor of ["attn_out", "ff_out"]) {
      const { name, matrix: { values } } = matrix(tensor, layer);
      parameters.set(name, values.fill(0));
    }
    if (layer !== 0 && !COPYING.includes(layer)) continue;
    const [q, k, v, out] = ["q_proj", "k_proj", "v_proj", "attn_out"].map((tensor) =>
      matrix(tensor, layer)
    );
    out.matrix.values.fill(0);
    for (const head of [0, 1]) {
      for (const { matrix } of [q, k, v]) matrix.clearRows(head * config.headDim, config.headDim);
      const heads = { q: q.matrix, k: k.matrix, v: v.matrix, out: out.matrix };
      if (layer === 0) attendToNeighbour(heads, head, config, channels);
      else attendToSame(heads, head, config, channels);
    }
    for (const { name, matrix } of [q, k, v, out]) parameters.set(name, matrix.values);
  }
}

/** Embedding and head: a code of signs for each token, none for the mask. */
function setCodes(parameters: TrainingParameters, channels: Channels, seed: number): void {
  const { config } = parameters;
  const { size, own, constant, mask } = channels;
  const { hiddenSize, embeddingSize, maskTokenId, tiedHead } = config;
  const embedding = new Float32Array(embeddingSize * hiddenSize);
  const head = new Float32Array(embeddingSize * hiddenSize);
  for (let token = 0; token < embeddingSize; token++) {
    const at = token * hiddenSize;
    embedding[at + constant] = CONSTANT;
    if (token === maskTokenId) {
      embedding[at + mask] = Math.sqrt(size);
      continue;
    }
    for (let i = 0; i < size; i++) {
      const sign = uniform(hash(seed, CODES, token, i)) < 0.5 ? -1 : 1;
      embedding[at + own + i] = sign;
      head[at + own + i] = HEAD * sign;
    }
  }
  parameters.set(parameterName("wte"), embedding);
  if (!tiedHead) parameters.set(parameterName("ff_out"), head);
}

interface Heads {
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
  readonly out: Matrix;
}

/** Radians a pair of channels turns from one position to the next. */
const turnOf = ({ ropeTheta, headDim }: ModelConfig, pair: number) =>
  ropeTheta ** (-2 * pair / headDim);

/**
 * Head 0 attends to the previous position, head 1 to the next. All queries are one vector and all keys
 * another, so the rotation alone decides: the cosine of every pair is largest at this distance.
 */
function attendToNeighbour(
  { q, k, v, out }: Heads,
  head: number,
  config: ModelConfig,
  channels: Channels,
): void {
  const { headDim, hiddenSize } = config;
  const { size, own, previous, next, constant } = channels;
  const first = head * headDim;
  const half = headDim / 2;
  const direction = head === 0 ? -1 : 1;
  // Behind the norm, whose input has this mean square for every token.
  const root = Math.sqrt((size + CONSTANT ** 2) / hiddenSize);
  const input = CONSTANT / root;
  let gap = 0;
  for (let pair = 0; pair < half; pair++) gap += 1 - Math.cos(turnOf(config, pair));
  const weight = Math.sqrt(NEIGHBOUR_GAP * Math.sqrt(headDim) / gap) / input;
  for (let pair = 0; pair < half; pair++) {
    const angle = direction * turnOf(config, pair);
    q.set(first + pair, constant, weight * Math.cos(angle));
    q.set(first + pair + half, constant, weight * Math.sin(angle));
    k.set(first + pair, constant, weight);
  }
  for (let i = 0; i < size; i++) {
    v.set(first + i, own + i, 1);
    out.set((head === 0 ? previous : next) + i, first + i, root);
  }
}

/**
 * Head 0 attends to places with the same left neighbour, head 1 to those with the same right one. Signs
 * are compared in the channels that hardly turn.
 */
function attendToSame(
  { q, k, v, out }: Heads,
  head: number,
  config: ModelConfig,
  { size, own, previous, next }: Channels,
): void {
  const { headDim } = config;
  const first = head * headDim;
  const half = headDim / 2;
  const neighbour = head === 0 ? previous : next;
  const weight = Math.sqrt(SIGN_SCORE * Math.sqrt(headDim));
  let sign = 0;
  for (let channel = 0; channel < headDim && sign < size; channel++) {
    if (REACH * turnOf(config, channel % half) > MOST_TURN) continue;
    q.set(first + channel, neighbour + sign, weight);
    k.set(first + channel, neighbour + sign, weight);
    sign++;
  }
  for (let i = 0; i < size; i++) {
    v.set(first + i, own + i, 1);
    out.set(own + i, first + i, 1);
  }
}
