/** Seeded random inputs, apart from the generator that is under test. */

/** The same seed gives the same numbers on every machine. */
export class Random {
  #state: number;

  /** @param seed a number, or a name to make one of */
  constructor(seed: number | string) {
    this.#state = 0x811c9dc5;
    for (const char of String(seed)) {
      this.#state = Math.imul(this.#state ^ char.codePointAt(0)!, 0x01000193);
    }
  }

  /** A number in [0, 1), by mulberry32. */
  next(): number {
    this.#state = this.#state + 0x6d2b79f5 | 0;
    let t = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, below). */
  integer(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** A standard normal number (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  /** Normal numbers times `scale`, rounded to f32. */
  floats(length: number, scale = 1): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length }, () => scale * this.normal());
  }

  /** Integers in [0, below). */
  integers(length: number, below: number): Uint32Array<ArrayBuffer> {
    return Uint32Array.from({ length }, () => this.integer(below));
  }

  /** The numbers 0 to length - 1 in random order. */
  permutation(length: number): number[] {
    const order = Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}
