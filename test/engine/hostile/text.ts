/** Tokenizers and chat templates that harm. */
import {
  edited,
  type Hostile,
  type Json,
  json,
  replaced,
  TEMPLATE,
  TOKENIZER,
  TOKENIZER_CONFIG,
  write,
} from "./hostile_folder.ts";

function tokenizer(name: string, edit: (json: Json) => void, message: RegExp): Hostile {
  return edited(TOKENIZER, `tokenizer: ${name}`, edit, message);
}

function pattern(source: string): Hostile {
  return tokenizer(`cut by ${source}`, (json) => {
    const split = { type: "Split", pattern: { Regex: source }, behavior: "Isolated" };
    json.pre_tokenizer.pretokenizers.unshift(split);
  }, /one of the patterns is too slow/);
}

/** Tokenizers. */
export const TOKENIZERS: readonly Hostile[] = [
  ...[
    "(a+)+b",
    "(a|a)*b",
    "(\\p{L}+)+\\d",
    "(.*)*x",
    "(\\s+)+\\w",
    "([0-9]+)+z",
    "(W|Wh|h|a|t|[a-z])+!",
  ]
    .map(pattern),
  tokenizer("a normalizer that takes ages", (json) => {
    json.normalizer = { type: "Replace", pattern: { Regex: "(x+x+)+y" }, content: "" };
  }, /one of the patterns is too slow/),
  tokenizer("a million merges", (json) => {
    const { merges } = json.model;
    json.model.merges = Array.from({ length: 1e6 }, (_, i) => merges[i % merges.length]);
  }, /number of values is above|number is 1000000/),
  tokenizer("merges beyond reason", (json) => {
    const { merges } = json.model;
    json.model.merges = Array.from(
      { length: 1e5 },
      (_, i) => merges[i % merges.length].join?.(" ") ?? merges[i % merges.length],
    );
  }, /merges' number is 100000/),
  tokenizer("a million tokens", (json) => {
    for (let i = 0; i < 1e6; i++) json.model.vocab[`t${i}`] = 4096 + i;
  }, /number of values is above/),
  tokenizer("more tokens than embeddings", (json) => {
    for (let i = 0; i < 9e5; i++) json.model.vocab[`t${i}`] = 5;
  }, /number of tokens is 90\d{4}, expected at most 2048/),
  tokenizer("an id of 2^24", (json) => json.model.vocab.zzz = 2 ** 24, /is 16777216/),
  tokenizer("an id below 0", (json) => json.model.vocab.zzz = -1, /is -1/),
  tokenizer("an id beyond the embedding", (json) => json.model.vocab.zzz = 2048, /is 2048/),
  tokenizer("another model", (json) => json.model.type = "Unigram", /model\.type is "Unigram"/),
  tokenizer("an unknown normalizer", (json) => json.normalizer = { type: "x" }, /normalizer\.type/),
  tokenizer("steps within steps", (json) => {
    for (let i = 0; i < 60; i++) {
      json.pre_tokenizer = { type: "Sequence", pretokenizers: [json.pre_tokenizer] };
    }
  }, /depth is above 64/),
  tokenizer("a broken pattern", (json) => {
    json.pre_tokenizer = { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" };
  }, /pattern is "\("/),
  replaced(TOKENIZER, "a tokenizer of brackets", () => "[".repeat(10_000_000), /depth is above 64/),
  replaced(
    TOKENIZER,
    "a tokenizer of 33 MB",
    () => " ".repeat(33e6 + 1e6),
    /size is 34000000 bytes/,
  ),
  replaced(TOKENIZER, "a tokenizer of one text", () => {
    return `${JSON.stringify(json(TOKENIZER)).slice(0, -1)},"x":"${"a".repeat(120_000_000)}"}`;
  }, /expected at most 33554432/),
  edited(TOKENIZER_CONFIG, "added tokens that are a list", (json) => {
    json.added_tokens_decoder = [];
  }, /added_tokens_decoder is/),
];

function template(name: string, source: string, message: RegExp): Hostile {
  return {
    name: `template: ${name}`,
    message,
    build: (dir) => write(dir, TEMPLATE, source + json(TOKENIZER_CONFIG).chat_template),
  };
}

/** A text that has 16 characters times two to the power of `times`. */
const doubled = (times: number) =>
  "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}" +
  `{% for i in range(${times}) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`;
/** Whichever bound comes first: on a busy machine it may be time. */
const TOO_MUCH = /which is more than a chat template may|takes longer than/;

/** Templates. */
export const TEMPLATES: readonly Hostile[] = [
  template("a long range", "{% for i in range(1000000000) %}{% endfor %}", TOO_MUCH),
  template("a range by small steps", "{{ range(0, 1, 0.0000001) }}", TOO_MUCH),
  template("a range by no steps", "{{ range(0, 1, 0) }}", TOO_MUCH),
  template("a range of no number", "{{ range('x') }}", TOO_MUCH),
  template(
    "loops in loops",
    "{% for i in range(60000) %}{% for j in range(60000) %}{% endfor %}{% endfor %}",
    /takes longer than|more than a chat template may/,
  ),
  template(
    "a long output",
    "{% for i in range(60000) %}{% for j in range(60000) %}aaaaaaaaaa{% endfor %}{% endfor %}",
    /takes longer than|more than a chat template may/,
  ),
  template("a text doubled", `${doubled(60)}{{ ns.x }}`, TOO_MUCH),
  template(
    "a list doubled",
    doubled(0) +
      "{% set ns.x = [1] %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    TOO_MUCH,
  ),
  template(
    "lists in lists",
    doubled(0) +
      "{% set ns.x = [1] %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}" +
      "{{ ns.x | tojson }}",
    TOO_MUCH,
  ),
  template("a replacement by itself", `${doubled(14)}{{ ns.x | replace('a', ns.x) }}`, TOO_MUCH),
  template("the same as a method", `${doubled(14)}{{ ns.x.replace('a', ns.x) }}`, TOO_MUCH),
  template("a text joined by itself", `${doubled(14)}{{ ns.x | join(ns.x) }}`, TOO_MUCH),
  template("a wide indent", "{{ 'a\nb' | indent(500000000) }}", TOO_MUCH),
  template("a wide indent by name", "{{ 'a\nb' | indent(width=500000000) }}", TOO_MUCH),
  template(
    "a wide indent of a block",
    "{% filter indent(500000000) %}a\nb{% endfilter %}",
    TOO_MUCH,
  ),
  template("wide JSON", "{{ [1] | tojson(indent=500000000) }}", TOO_MUCH),
  template(
    "a macro without end",
    "{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}",
    /call stack size exceeded/,
  ),
  template("parentheses", `{{ ${"(".repeat(200_000)}1${")".repeat(200_000)} }}`, /call stack size/),
  template(
    "conditions",
    "{% if true %}".repeat(20_000) + "{% endif %}".repeat(20_000),
    /call stack/,
  ),
  template(
    "the host's code",
    "{{ messages.constructor.constructor('return 1')() }}",
    /not a function/,
  ),
  template(
    "blanks that take ages to parse",
    `{{ 1${" ".repeat(900_000)} }}`,
    /parsing it takes longer than/,
  ),
  template(
    "long keys doubled",
    `${doubled(14)}{% set o = [{ns.x: 1}] %}{% set ns.l = o %}` +
      "{% for i in range(20) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | tojson }}",
    TOO_MUCH,
  ),
  template(
    "a namespace within a list",
    `${doubled(0)}{% set l = [ns] %}{% set ns.x = l %}{{ l | tojson }}`,
    TOO_MUCH,
  ),
  template("no end of a tag", "{% for i in range(3) %}", /is not valid Jinja/),
  template("a megabyte", "a".repeat(2 ** 20), /size is \d+ bytes, expected at most 1048576/),
  template("a full context", "word ".repeat(100_000), /more than 512 tokens/),
  replaced(
    TEMPLATE,
    "template: what the user says left out",
    () => "hello",
    /leaves out what the user/,
  ),
];
