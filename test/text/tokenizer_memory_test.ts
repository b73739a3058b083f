import { assert } from "@std/assert";
import { heapInUse } from "../heap.ts";
import { Random } from "../kernels/random.ts";
import { tiny } from "./model_folder.ts";

Deno.test("long words that never come again are not remembered", async () => {
  const random = new Random("words");
  const word = () =>
    " " + String.fromCharCode(...Array.from(random.integers(200, 26), (letter) => 97 + letter));
  const encode = (words: number) => {
    for (let i = 0; i < words; i++) tiny.encode(word());
  };
  encode(200);
  const before = await heapInUse();
  encode(1000);
  const kept = await heapInUse() - before;
  assert(kept < 300_000, `${kept} bytes`);
});
