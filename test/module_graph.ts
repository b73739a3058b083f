/** What the project's modules name, and all that they reach. */

const root = new URL("../", import.meta.url);

/** What one module names of another. */
export interface Import {
  /** Path from the root, or a package's name. */
  readonly target: string;
  readonly typeOnly: boolean;
  /** Set for `import()`: it is loaded when the program gets there. */
  readonly later?: true;
}

/** Paths of all files below a folder, from the root, with "/" on every system. */
export function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, root))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${folder}/${name}`) : [`${folder}/${name}`]
  ).sort();
}

/** A file's text. @param path from the root */
export const textOf = (path: string): string => Deno.readTextFileSync(new URL(path, root));

/** Everything that a module names: imports, re-exports, dynamic imports, and URLs of workers. */
export function importsOf(path: string): Import[] {
  const text = textOf(path).replace(/^\s*(\/\/|\/?\*).*$/gm, "");
  const found: Import[] = [];
  const resolve = (specifier: string) =>
    specifier.startsWith(".")
      ? new URL(specifier, new URL(path, root)).href.slice(root.href.length)
      : specifier;
  const statements =
    /^\s*(?:import|export)\s+(type\s+)?((?:[\w*\s,]|\{[^}]*\})*?)\s*(?:from\s*)?"([^"]+)"/gm;
  for (const [, type, names, specifier] of text.matchAll(statements)) {
    const list = /\{([^}]*)\}/.exec(names)?.[1].split(",").map((name) => name.trim())
      .filter(Boolean);
    const everyType = list !== undefined && /^\s*\{/.test(names) &&
      list.every((name) => name.startsWith("type "));
    found.push({ target: resolve(specifier), typeOnly: type !== undefined || everyType });
  }
  const urls = /(import\(|new URL\()\s*"([^"]+)"/g;
  for (const [, how, specifier] of text.matchAll(urls)) {
    if (/^\w+:\/\//.test(specifier)) continue;
    const later = how === "import(" && { later: true as const };
    found.push({ target: resolve(specifier), typeOnly: false, ...later });
  }
  return found;
}

/** Paths and packages that modules reach, themselves included, sorted. */
export function reachedFrom(paths: readonly string[]): string[] {
  return reached(paths, () => true);
}

/** Those that are loaded before a module runs: without types, and without what it imports later. */
export function loadedWith(paths: readonly string[]): string[] {
  return reached(paths, ({ typeOnly, later }) => !typeOnly && !later);
}

function reached(paths: readonly string[], follows: (one: Import) => boolean): string[] {
  const found = new Set(paths);
  // A set that grows is walked to its new end.
  for (const path of found) {
    if (!/^(?!npm:).*\.ts$/.test(path)) continue;
    for (const one of importsOf(path)) if (follows(one)) found.add(one.target);
  }
  return [...found].sort();
}
