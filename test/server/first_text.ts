/**
 * Measures on a running server when a stream's first text comes, as a share of the stream's time:
 * `deno run --allow-net --allow-read=models test/server/first_text.ts http://127.0.0.1:8000`. Answers
 * have 128 tokens, as ends are ignored; the prompts are every eighth of the public ones.
 */

const { items } = JSON.parse(Deno.readTextFileSync("models/eval-public.json")) as {
  readonly items: readonly { readonly prompt: string }[];
};
const PROMPTS = items.filter((_, i) => i % 8 === 0).map(({ prompt }) => prompt);
const WAYS: readonly Readonly<Record<string, string>>[] = [
  {},
  { strategy: "threshold" },
  { strategy: "threshold", cache: "dual" },
  { strategy: "auto", quality: "fast" },
];

/** Milliseconds of one answer: until its first text, and until the stream's end. */
async function timed(server: string, prompt: string, way: Readonly<Record<string, string>>) {
  const start = performance.now();
  const response = await fetch(new URL("/v1/chat/completions", server), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      messages: [{ role: "user", content: prompt }],
      stream: true,
      max_tokens: 128,
      ignore_eos: true,
      ...way,
    }),
  });
  if (!response.ok) throw new Error(await response.text());
  let first: number | undefined;
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    if (/"content": ?"[^"]/.test(text)) first ??= performance.now() - start;
  }
  if (first === undefined) throw new Error(`no text for ${prompt}`);
  return { first, total: performance.now() - start };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

const [server = "http://127.0.0.1:8000"] = Deno.args;
for (const way of WAYS) {
  await timed(server, PROMPTS[0], way);
  const times = [];
  for (const prompt of PROMPTS) times.push(await timed(server, prompt, way));
  const shares = times.map(({ first, total }) => first / total);
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  const seconds = median(times.map(({ total }) => total)) / 1000;
  console.log(
    `${JSON.stringify(way)}: first text at ${percent(median(shares))} of ${seconds.toFixed(2)} s ` +
      `(medians of ${shares.length}), at ${percent(Math.max(...shares))} at the latest`,
  );
}
