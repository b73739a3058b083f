import { Template } from "npm:@huggingface/jinja@0.5.11";
import { assertEquals, assertThrows } from "@std/assert";
import { renderBounded } from "../../src/text/bounded_template.ts";

const VALUES = {
  messages: [
    { role: "system", content: "Be brief.\nVery." },
    { role: "user", content: "What is 7 * 8?</think>x" },
  ],
  bos_token: "<s>",
  tools: null,
  add_generation_prompt: true,
};

/** What chat templates do, so that each way to evaluate a node is taken. */
const TEMPLATES = [
  "{{ bos_token }}{% for m in messages %}{{ loop.index }}{{ m['role'] + ': ' ~ m.content }}{% endfor %}",
  "{{ messages[1].content.split('</think>')[-1].strip() | upper }}",
  "{{ messages | map(attribute='role') | join(', ') }}",
  "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
  "{{ messages[0].content | indent(4) | replace('e', 'EE') }}{{ 'x' | default('d') }}",
  "{{ messages[0].content | indent(width=3, first=true) }}",
  "{% filter indent(2) %}a\nb{% endfilter %}{% filter upper %}a{% endfilter %}",
  "{{ messages | tojson(indent=2) }}{{ 'abc'.replace('b', '') }}{{ '3' | int + 1 }}",
  "{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, b=3) }}",
  "{% set ns = namespace(n=0) %}{% for i in range(2, 9, 3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
  "{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}{{ range(5, 0, -2) }}",
  "{{ none }}{{ true and false }}{{ messages[0:1] | length }}{{ 'b' in 'abc' }}{{ undefined_name }}",
  "{{ strftime_now('%Y') }}{{ {'a': 1}.items() }}{{ messages[0].get('x', 'y') }}{{ bos_token.title() }}",
  "{% if not tools %}{{ 'no' if tools is none else 'yes' }}{% else %}z{% endif %}",
];

Deno.test("a template gives what the library gives", () => {
  for (const source of TEMPLATES) {
    const template = new Template(source);
    assertEquals(renderBounded(template, VALUES), template.render(VALUES), source);
  }
});

Deno.test("an error that a template raises stays its own", () => {
  const template = new Template("{{ raise_exception('no system message') }}");
  assertThrows(() => renderBounded(template, VALUES), Error, "no system message");
});

Deno.test("a template may look back at the conversation at every message", () => {
  const messages = Array.from({ length: 1024 }, (_, i) => {
    return { role: i % 2 ? "assistant" : "user", content: "x".repeat(200) };
  });
  const source = "{% for m in messages %}{% if messages[loop.index0 - 1].role != m.role and " +
    "messages | length > 1 and messages[0].content %}{{ m.content }}{% endif %}{% endfor %}";
  assertEquals(renderBounded(new Template(source), { messages }).length, 1024 * 200);
});

Deno.test("long texts may be cut and replaced by one another where that makes none longer", () => {
  const content = "word ".repeat(12_000);
  const source =
    "{{ c.split(c) | length }}{{ c.replace(c, 'x') }}{{ c | replace('word', 'w') | length }}" +
    "{{ c.startswith(c) }}";
  assertEquals(
    renderBounded(new Template(source), { c: content }),
    "2x24000True".replace("True", "true"),
  );
});

Deno.test("a long conversation is no more than a template may", () => {
  const messages = Array.from({ length: 5000 }, (_, i) => {
    return { role: i % 2 ? "assistant" : "user", content: "x".repeat(200) };
  });
  const source = "{% for m in messages %}{{ '<' + m.role + '>' + m.content | trim }}{% endfor %}";
  const text = renderBounded(new Template(source), { messages });
  assertEquals(text.length, 5000 * 200 + 2500 * "<assistant>".length + 2500 * "<user>".length);
});
