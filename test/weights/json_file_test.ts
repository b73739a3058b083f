import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { join } from "node:path";
import fc from "fast-check";
import { duplicateKey, fileSize } from "../../src/weights/json_file.ts";
import { ConfigError } from "../../src/weights/model_file_error.ts";

Deno.test("a key twice in one object is found, at any depth and however it is written", () => {
  assertEquals(duplicateKey('{"a": 1, "b": {"c": 1, "\\u0063" : 2}}'), "c");
  assertEquals(duplicateKey('[{"a": [{"a": 1}], "a": 2}]'), "a");
  assertEquals(duplicateKey('{"": 1, "":2}'), "");
});

Deno.test("equal keys of different objects, and texts that look like keys, are no duplicates", () => {
  assertEquals(duplicateKey('{"a": {"a": [{"a": 1}, {"a": 1}]}, "b": "a", "c": "a"}'), undefined);
  assertEquals(duplicateKey('{"a": "\\"a\\": {", "b": "\\\\"}'), undefined);
});

Deno.test("nothing that JSON.stringify writes holds a key twice", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.nat(2), (value, space) => {
    assertEquals(duplicateKey(JSON.stringify(value, null, space)), undefined);
  }));
});

Deno.test("a key repeated at the end of any object is found", () => {
  const keys = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 });
  fc.assert(fc.property(keys, fc.nat(), (object, at) => {
    const names = Object.keys(object);
    const name = names[at % names.length];
    const text = JSON.stringify(object).slice(0, -1) + `,${JSON.stringify(name)}:0}`;
    assertEquals(duplicateKey(text), name);
  }));
});

Deno.test("a path that is no plain file is refused in the form of the other errors", () => {
  const dir = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(join(dir, "file"), "{}");
    Deno.symlinkSync(join(dir, "loop"), join(dir, "loop"));
    const message = (path: string) =>
      assertThrows(() => fileSize(join(dir, path), ConfigError), ConfigError).message;
    assertMatch(
      message("file/config.json"),
      /file: path is a file, .* Give the folder that holds it/,
    );
    assertMatch(
      message("loop"),
      /loop: file is in a circle of symbolic links, expected a plain file/,
    );
    assertMatch(message("loop/config.json"), /in a circle of symbolic links/);
    assertMatch(message("nothing"), /nothing: file is missing/);
    assertMatch(message("."), /a folder or device/);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
