/** Results of passes on their way to the host: read back together, in parts where they are many. */

import type { Readback } from "../gpu/readback.ts";
import { mostWords, type Tensor } from "../gpu/tensor.ts";
import type { PredictionContext } from "./prediction_pass.ts";

/** Words that are in memory together at least: the rankings of six answers of a small model. */
const LEAST_WORDS = 2 ** 17;
/** Rankings of one row that are in memory together; more are read in parts, each of which is a wait. */
const RANKINGS = 8;

/** Words of results that are in memory together: 4 MiB of a vocabulary of 126,464 tokens. */
export function resultWords({ gpu, config }: Pick<PredictionContext, "gpu" | "config">): number {
  const words = Math.max(LEAST_WORDS, RANKINGS * config.embeddingSize);
  return Math.min(2 ** Math.ceil(Math.log2(words)), mostWords(gpu));
}

/** Collects results in the order in which they are added. */
export class Results {
  readonly #context: PredictionContext;
  readonly #readback: Readback;
  readonly #words: number;
  readonly #most: number;
  readonly #tensor: Tensor;
  /** What was read so far, if that is not all. */
  #before: Uint8Array<ArrayBuffer> | undefined;
  #read = 0;
  #waiting = 0;

  /** @param words of 4 bytes of all results; more must not be added */
  constructor(context: PredictionContext, readback: Readback, words: number) {
    this.#context = context;
    this.#readback = readback;
    this.#words = words;
    this.#most = Math.max(1, Math.min(words, resultWords(context)));
    this.#tensor = context.scratch.get("run results", this.#most);
  }

  /**
   * Records a copy of the first words of a tensor. Where there is no more room, it waits for what is
   * recorded, and reads it.
   * @returns the word at which they begin among all results
   */
  async add(from: Tensor, words: number): Promise<number> {
    const first = this.#read + this.#waiting;
    for (let done = 0; done < words;) {
      if (this.#waiting === this.#most) await this.#readPart();
      const count = Math.min(words - done, this.#most - this.#waiting);
      const to = this.#tensor.part(this.#waiting, count);
      this.#context.recorder.copy(from.part(done, count), to, 4 * count);
      this.#waiting += count;
      done += count;
    }
    return first;
  }

  /** Waits for all of them. @returns at least 4 bytes, all results from the first on */
  async end(): Promise<ArrayBuffer> {
    if (!this.#before) {
      const bytes = Math.max(4, 4 * this.#waiting);
      return await this.#readback.read(this.#context.recorder, this.#tensor, bytes);
    }
    if (this.#waiting > 0) await this.#readPart();
    return this.#before.buffer;
  }

  async #readPart(): Promise<void> {
    const bytes = 4 * this.#waiting;
    const part = await this.#readback.read(this.#context.recorder, this.#tensor, bytes);
    this.#before ??= new Uint8Array(4 * this.#words);
    this.#before.set(new Uint8Array(part), 4 * this.#read);
    this.#read += this.#waiting;
    this.#waiting = 0;
  }
}
