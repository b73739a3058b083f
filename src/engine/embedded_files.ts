/** The files of the embedded models, and of the questions that measure them, in models/. */

import type { FetchedFile } from "./fetched_files.ts";

/** Names, lengths and digests of the files; a test compares them with the folder. */
export const EMBEDDED_FILES: readonly FetchedFile[] = [
  {
    name: "tiny-target/config.json",
    bytes: 971,
    sha256: "6122f6328681eba14727edc96b4f6110605ebf5c0047911a814553d185ed30b3",
  },
  {
    name: "tiny-target/generation_config.json",
    bytes: 255,
    sha256: "97f58a6e6ec5814f2e0196f7a5b3b48f197ad5e922a9532f558c4acda5c9026c",
  },
  {
    name: "tiny-target/model.safetensors",
    bytes: 5255544,
    sha256: "46924094caed3a9ba09f2cbe4bc1a257402506e0be62018bd645f0e4f6f93398",
  },
  {
    name: "tiny-target/tokenizer.json",
    bytes: 61344,
    sha256: "a21528de6d99c9f5ab3a184009fc9b30a10a193574ef1de967802bd9a8324842",
  },
  {
    name: "tiny-target/tokenizer_config.json",
    bytes: 3372,
    sha256: "c8f8f95008d665c10f278695648850271be7e9b4c702cda186769bf3cf7bd152",
  },
  {
    name: "tiny-draft/config.json",
    bytes: 2425,
    sha256: "b6ac2d25c33f2761fb199f38dce7ab013440a5ff46e5cdf7625431f41249c573",
  },
  {
    name: "tiny-draft/generation_config.json",
    bytes: 255,
    sha256: "97f58a6e6ec5814f2e0196f7a5b3b48f197ad5e922a9532f558c4acda5c9026c",
  },
  {
    name: "tiny-draft/model.safetensors",
    bytes: 1704896,
    sha256: "42916a19ae0cb48a282e23d9ee6ea131b03db22c75f616cf4cd6e9f4f260dbee",
  },
  {
    name: "tiny-draft/tokenizer.json",
    bytes: 61344,
    sha256: "a21528de6d99c9f5ab3a184009fc9b30a10a193574ef1de967802bd9a8324842",
  },
  {
    name: "tiny-draft/tokenizer_config.json",
    bytes: 3372,
    sha256: "c8f8f95008d665c10f278695648850271be7e9b4c702cda186769bf3cf7bd152",
  },
  {
    name: "eval-public.json",
    bytes: 152806,
    sha256: "87c289fba25ce3ac8252c3df8919497716bcfd9ca07c316429bb418bd6d245e9",
  },
];
