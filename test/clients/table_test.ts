/** The README's table of clients says what the tests start, in the versions that they start. */
import { assertEquals } from "@std/assert";

const read = (path: string) => Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));

Deno.test("the table of clients has every client that a test starts, and its version", () => {
  const section = read("src/server/README.md").split("### Clients that are tests")[1]
    .split("\n## ")[0];
  const rows = section.split("\n").filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const listed = rows.flatMap(([, names, versions, calls]) => {
    if (calls.startsWith("by hand")) return [];
    const packages = [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
    const found = versions.split(", ");
    assertEquals(packages.length, found.length, names);
    return packages.map((name, i) => `npm:${name}@${found[i]}`);
  });
  const { specifiers } = JSON.parse(read(".lock/test.lock"));
  const imports = new Set(
    Object.values<string>(JSON.parse(read("deno.json")).imports),
  );
  const started = new Set<string>();
  for (const { name } of Deno.readDirSync(new URL(".", import.meta.url))) {
    if (!name.endsWith(".ts")) continue;
    for (const [, from] of read(`test/clients/${name}`).matchAll(/ from "(npm:[^"]+)"/g)) {
      // The older zod is what Instructor takes, no client.
      if (!from.startsWith("npm:zod@")) started.add(from);
    }
  }
  const openai = [...imports].find((one) => one.startsWith("npm:openai@"))!;
  assertEquals(new Set(listed), new Set([...started, openai]));
  for (const one of listed) assertEquals(Object.hasOwn(specifiers, one), true, one);
});
