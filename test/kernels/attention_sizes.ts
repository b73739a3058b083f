/** Sizes at which attention is compared with its reference. */

import type { Element } from "../../src/gpu/kernel.ts";
import type { NamedSize } from "./case.ts";

/** How names end of sizes that differ from others in `apart` only. */
export const APART = ", apart";

/** What a size of attention says. */
export interface Size extends NamedSize {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Keys of the sequences. */
  readonly lengths: readonly number[];
  /** Queries of the sequences; default one a key. */
  readonly queries?: readonly number[];
  /** Keys ahead of each sequence that belong to none. */
  readonly keyGap?: number;
  /** Each query sees one key less, and one of its own that lies behind its sequence's keys. */
  readonly shadows?: boolean;
  /** Size of the queries: large ones make the softmax choose one key. */
  readonly scale?: number;
  /** Of keys and values; default f32. */
  readonly element?: Element;
  /** Whether chunks of keys have workgroups of their own. */
  readonly apart?: boolean;
  /** So many keys that all sequences begin with are the same. */
  readonly shared?: number;
  /** Keys lie in rows of random order, the shared ones once; between them are rows of NaN. */
  readonly listed?: boolean;
}

/** More keys than a chunk of a GPU has. */
const CHUNKED: readonly Size[] = [
  {
    name: "chunks",
    heads: 2,
    kvHeads: 1,
    headDim: 20,
    lengths: [200, 9, 64, 129],
    queries: [3, 1, 34, 5],
    keyGap: 3,
  },
  {
    name: "chunks, sharp, shadows",
    heads: 2,
    kvHeads: 2,
    headDim: 16,
    lengths: [130, 1, 64, 65],
    queries: [5, 1, 40, 2],
    scale: 8,
    shadows: true,
  },
  {
    name: "chunks, listed in f16",
    element: "f16",
    heads: 2,
    kvHeads: 1,
    headDim: 34,
    lengths: [90, 141],
    queries: [8, 3],
    shared: 64,
    listed: true,
  },
  {
    name: "chunks, heads together",
    heads: 12,
    kvHeads: 3,
    headDim: 20,
    lengths: [100, 70],
    queries: [7, 8],
    shadows: true,
  },
  { name: "chunks, heads of 128", heads: 1, kvHeads: 1, headDim: 128, lengths: [70], queries: [3] },
  {
    name: "chunks of 64 keys and of 256",
    heads: 1,
    kvHeads: 1,
    headDim: 16,
    lengths: [1025, 1000],
    queries: [2, 33],
  },
  {
    name: "chunks of 256 keys and of 1024, to the last key",
    heads: 1,
    kvHeads: 1,
    headDim: 16,
    lengths: [4097, 4096, 1024],
    queries: [2, 1, 1],
  },
];

/** Heads of every kind; one key, chunks, shadows, query heads that share keys. */
const LISTED: readonly Size[] = [
  { name: "one key", heads: 2, kvHeads: 2, headDim: 16, lengths: [1] },
  {
    name: "heads of 16 that share keys",
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    lengths: [41, 9, 70],
    queries: [3, 1, 34],
    keyGap: 5,
    shared: 9,
  },
  {
    name: "chunks apart of heads of 20, shadows",
    heads: 12,
    kvHeads: 3,
    headDim: 20,
    lengths: [100, 70, 129],
    queries: [7, 8, 2],
    shared: 20,
    shadows: true,
    apart: true,
  },
  {
    name: "heads of 64 in f16, shadows",
    element: "f16",
    heads: 2,
    kvHeads: 2,
    headDim: 64,
    lengths: [41, 9],
    queries: [3, 34],
    scale: 8,
    shadows: true,
  },
  {
    name: "heads of 128",
    heads: 2,
    kvHeads: 1,
    headDim: 128,
    lengths: [24, 9],
    shared: 8,
  },
];

/** Every number of units that a head can take; lengths around 8 keys and 32 rows. */
export const SIZES: readonly Size[] = [
  { name: "heads of 16, alone", heads: 2, kvHeads: 2, headDim: 16, lengths: [1] },
  { name: "heads of 18", heads: 3, kvHeads: 1, headDim: 18, lengths: [9, 1, 8] },
  { name: "heads of 20", heads: 4, kvHeads: 2, headDim: 20, lengths: [17, 33] },
  { name: "heads of 32", heads: 2, kvHeads: 1, headDim: 32, lengths: [40, 7, 31, 32] },
  { name: "heads of 34", heads: 1, kvHeads: 1, headDim: 34, lengths: [10] },
  { name: "heads of 64", heads: 2, kvHeads: 2, headDim: 64, lengths: [16, 65] },
  { name: "heads of 80", heads: 2, kvHeads: 1, headDim: 80, lengths: [11, 3] },
  { name: "heads of 128", heads: 2, kvHeads: 1, headDim: 128, lengths: [9, 24] },
  { name: "sharp", heads: 2, kvHeads: 2, headDim: 20, lengths: [35], scale: 60 },
  {
    name: "fewer queries than keys",
    heads: 4,
    kvHeads: 2,
    headDim: 20,
    lengths: [41, 9, 70],
    queries: [3, 1, 34],
    keyGap: 5,
  },
  { name: "one query", heads: 2, kvHeads: 2, headDim: 64, lengths: [33], queries: [1] },
  {
    name: "more queries than keys",
    heads: 2,
    kvHeads: 1,
    headDim: 16,
    lengths: [7],
    queries: [40],
    keyGap: 11,
  },
  {
    name: "shadows",
    heads: 4,
    kvHeads: 2,
    headDim: 20,
    lengths: [41, 9, 70, 16],
    queries: [3, 9, 34, 1],
    keyGap: 5,
    shadows: true,
  },
  {
    name: "shadows of heads of 128",
    heads: 2,
    kvHeads: 2,
    headDim: 128,
    lengths: [19],
    queries: [11],
    scale: 8,
    shadows: true,
  },
  {
    name: "the shadow of the only key",
    heads: 2,
    kvHeads: 1,
    headDim: 20,
    lengths: [1, 2],
    shadows: true,
  },
  ...[18, 64, 128].map((headDim): Size => ({
    name: `f16, heads of ${headDim}`,
    element: "f16",
    heads: 2,
    kvHeads: 1,
    headDim,
    lengths: [9, 1, 40],
  })),
  {
    name: "f16, shadows",
    element: "f16",
    heads: 2,
    kvHeads: 2,
    headDim: 64,
    lengths: [41, 9],
    queries: [3, 34],
    keyGap: 5,
    scale: 8,
    shadows: true,
  },
  ...CHUNKED,
  ...CHUNKED.map((size) => ({
    ...size,
    name: `${size.name}${APART}`,
    seed: size.name,
    apart: true,
  })),
  ...LISTED.map((size) => ({
    ...size,
    name: `listed, ${size.name}`,
    seed: size.name,
    listed: true,
  })),
];
