/** What a server tells an OpenTelemetry collector, through Deno's own support. */

import { assert, assertEquals } from "@std/assert";
import { knownAnswer, Running, taskCommand } from "./command.ts";

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}
interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly status: { readonly code: number };
  readonly attributes: readonly Attribute[];
  readonly events: readonly { readonly name: string }[];
}

/** Keeps what is exported to it as JSON. */
function collector() {
  const spans: Span[] = [];
  const bodies: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const body = await request.text();
      bodies.push(body);
      for (const { scopeSpans } of JSON.parse(body).resourceSpans ?? []) {
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      return Response.json({});
    },
  );
  return { server, spans, bodies };
}

const valueOf = ({ attributes }: Span, key: string) =>
  Object.values(attributes.find((one) => one.key === key)?.value ?? {})[0];

Deno.test("a collector gets a span a request, with the client's trace, and one a generation", async () => {
  const { server, spans, bodies } = collector();
  const { prompt, answer } = knownAnswer("2026-006");
  try {
    const env = {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
    await using running = new Running(taskCommand("serve", ["--port", "0"], { env }));
    const [, url] = await running.stdout.match(/^Listening on (http:\S+)$/m);
    await running.stdout.match(/^Model .+ is ready on /m);
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const ask = async (fields: Record<string, unknown>) => {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "X-Request-Id": "traced",
          traceparent: `00-${traceId}-b7ad6b7169203331-01`,
        },
        body: JSON.stringify({ messages: [{ role: "user", content: prompt }], ...fields }),
      });
      return { status: response.status, text: await response.text() };
    };
    const whole = JSON.parse((await ask({ strategy: "threshold" })).text);
    assertEquals(whole.choices[0].message.content, answer);
    await ask({ strategy: "threshold", stream: true });
    assertEquals((await ask({ temperature: 9 })).status, 400);
    running.kill("SIGTERM");
    assertEquals(await running.end(), 0);

    const ours = spans.filter((span) => span.traceId === traceId);
    for (const { parentSpanId } of ours) assertEquals(parentSpanId, "b7ad6b7169203331");
    const requests = ours.filter(({ name }) => name !== "generate");
    assertEquals(requests.map((span) => Number(valueOf(span, "http.response.status_code"))), [
      200,
      200,
      400,
    ]);
    const generations = ours.filter(({ name }) => name === "generate");
    assertEquals(generations.length, 2);
    for (const span of generations) {
      assertEquals(span.events.map(({ name }) => name), ["start", "first text"]);
      assertEquals(span.status.code, 0);
      assertEquals(valueOf(span, "unmask.request_id"), "traced");
      assertEquals(valueOf(span, "unmask.strategy"), "threshold");
      assertEquals(valueOf(span, "gen_ai.usage.input_tokens"), whole.usage.prompt_tokens);
      assertEquals(valueOf(span, "gen_ai.usage.output_tokens"), whole.usage.completion_tokens);
      assert(Number(valueOf(span, "unmask.forwards")) > 0);
    }
    for (const text of [prompt, answer]) assert(!bodies.some((body) => body.includes(text)), text);
  } finally {
    await server.shutdown();
  }
});
