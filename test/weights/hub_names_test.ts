/** Names on the hub, what the environment says of it, spans of bytes, and waits. */

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { join } from "node:path";
import {
  missingSpans,
  readSpans,
  type Span,
  spannedBytes,
  withSpan,
} from "../../src/weights/hub/ranges.ts";
import { folderName, readHubName, repoOfFolder } from "../../src/weights/hub/repository.ts";
import { waitOf } from "../../src/weights/hub/requests.ts";
import { hubCache, hubEndpoint, hubToken, isOffline } from "../../src/weights/hub/settings.ts";

Deno.test("a repository is ORG/NAME, and nothing that could be a path out of a cache", () => {
  assertEquals(readHubName("GSAI-ML/LLaDA-8B-Instruct"), {
    repo: "GSAI-ML/LLaDA-8B-Instruct",
    revision: undefined,
  });
  assertEquals(readHubName("a/b.c@refs/pr/1")?.revision, "refs/pr/1");
  for (
    const text of [
      ...["gpt2", "a/b/c", "/a/b", "./a/b", "../b", "a/..", "~/b", "a/b@", "a/b@../c", "a/b@/c"],
      ...["a--b/c", "a/b--c", "a/b.git", "a b/c", "a/b@c d", "a\\b/c", "a/b@x..y", "C:/models"],
      ...["a/b\0", `a/${"b".repeat(200)}`, "a/b/", "https://huggingface.co/a/b", "models/a/"],
    ]
  ) assertEquals(readHubName(text), undefined, text);
  assertEquals(folderName("GSAI-ML/LLaDA-8B-Instruct"), "models--GSAI-ML--LLaDA-8B-Instruct");
  assertEquals(repoOfFolder("models--GSAI-ML--LLaDA-8B-Instruct"), "GSAI-ML/LLaDA-8B-Instruct");
  assertEquals(repoOfFolder("models--gpt2"), "gpt2");
  for (const name of ["datasets--a--b", ".locks", "models--", "models--a--b--c"]) {
    assertEquals(repoOfFolder(name), undefined, name);
  }
});

Deno.test("variables name cache, hub and token as the hub's tools read them", async () => {
  const of = (values: Record<string, string>) => (name: string) => values[name];
  const HOME = "/home/me";
  const cases: readonly (readonly [Record<string, string>, string | undefined])[] = [
    [{ HOME }, "/home/me/.cache/huggingface/hub"],
    [{ HOME, XDG_CACHE_HOME: "/c" }, "/c/huggingface/hub"],
    [{ HOME, XDG_CACHE_HOME: "/c", HF_HOME: "/hf" }, "/hf/hub"],
    [{ HOME, HF_HOME: "~/hf" }, "/home/me/hf/hub"],
    [{ HOME, HF_HOME: "/hf", HF_HUB_CACHE: "/models" }, "/models"],
    [{}, undefined],
  ];
  if (Deno.build.os !== "windows") {
    for (const [values, cache] of cases) assertEquals(hubCache(of(values)), cache);
  }
  assertEquals(hubEndpoint(of({})), "https://huggingface.co");
  assertEquals(
    hubEndpoint(of({ HF_ENDPOINT: "https://mirror.example/hub/" })),
    "https://mirror.example/hub",
  );
  for (const HF_ENDPOINT of ["mirror", "file:///a", "https://me:secret@mirror.example"]) {
    assertThrows(() => hubEndpoint(of({ HF_ENDPOINT })), Error, "HF_ENDPOINT is");
  }
  assertEquals([
    isOffline(of({})),
    isOffline(of({ HF_HUB_OFFLINE: "0" })),
    isOffline(of({ HF_HUB_OFFLINE: "1" })),
  ], [
    false,
    false,
    true,
  ]);
  const dir = await Deno.makeTempDir({ prefix: "unmask_token_" });
  try {
    assertEquals(hubToken(of({ HF_HOME: dir })), undefined);
    await Deno.writeTextFile(join(dir, "token"), "hf_file\n");
    assertEquals(hubToken(of({ HF_HOME: dir })), "hf_file");
    assertEquals(hubToken(of({ HF_HOME: "/none", HF_TOKEN_PATH: join(dir, "token") })), "hf_file");
    assertEquals(hubToken(of({ HF_HOME: dir, HF_TOKEN: " hf_own " })), "hf_own");
    const error = assertThrows(() => hubToken(of({ HF_TOKEN: "hf_\nsecret" })), Error);
    assertEquals(error.message.includes("secret"), false);
    // A request's own error would tell it.
    await Deno.writeTextFile(join(dir, "token"), "hf_\nsecret\n");
    const { message } = assertThrows(() => hubToken(of({ HF_HOME: dir })), Error, dir);
    assertEquals(message.includes("secret"), false);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("spans are what a set of bytes is", () => {
  const SIZE = 40;
  const span = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([a, b]): Span => a < b ? [a, b] : [b, a]);
  fc.assert(fc.property(fc.array(span), fc.integer({ min: 1, max: SIZE }), (added, most) => {
    const there = new Set<number>();
    let spans: Span[] = [];
    for (const [start, end] of added) {
      spans = withSpan(spans, [start, end]);
      for (let i = start; i < end; i++) there.add(i);
    }
    assertEquals(spannedBytes(spans), there.size);
    assertEquals(readSpans(JSON.parse(JSON.stringify(spans)), SIZE), spans);
    const missing = missingSpans(spans, SIZE, most);
    for (const [start, end] of missing) {
      assertEquals(start < end && end - start <= most, true);
      for (let i = start; i < end; i++) assertEquals(there.has(i), false);
    }
    assertEquals(spannedBytes(missing) + there.size, SIZE);
  }));
});

Deno.test("what are no spans is not taken for some", () => {
  for (
    const value of [null, {}, [[0]], [[0, 50]], [[3, 2]], [[0, 3], [3, 5]], [[4, 6], [1, 2]], [[
      0.5,
      2,
    ]], [[-1, 2]]]
  ) {
    assertEquals(readSpans(value, 40), undefined, JSON.stringify(value));
  }
});

Deno.test("a server says how long to wait in seconds, by a date, or by its window", () => {
  const wait = (headers: Record<string, string>) =>
    waitOf(new Headers(headers), Date.UTC(2026, 0, 1));
  assertEquals(wait({ "Retry-After": "12" }), 12_000);
  assertEquals(wait({ "Retry-After": "Thu, 01 Jan 2026 00:00:05 GMT" }), 5000);
  assertEquals(wait({ "Retry-After": "Wed, 31 Dec 2025 00:00:05 GMT" }), 0);
  assertEquals(wait({ RateLimit: '"api";r=0;t=55' }), 55_000);
  assertEquals(wait({ RateLimit: '"api";r=3;t=55' }), undefined);
  assertEquals(wait({ "Retry-After": "soon" }), undefined);
});
