/** Other spellings of a route's path: without or with `/v1`, with slashes too many. */
import { getPath } from "hono/utils/url";

/** A route as the app lists it. */
interface Route {
  readonly path: string;
}

/**
 * Makes the function by which an app finds a request's route. `/models`, `/v1/models/` and
 * `//v1/models` are `/v1/models`, and `/v1/health` is `/health`; a path that is a route as it stands
 * is never another.
 * @param routes the app's routes, asked for at the first request
 */
export function routePath(routes: () => readonly Route[]): (request: Request) => string {
  let known: ReadonlySet<string> | undefined;
  return (request) => {
    known ??= new Set(routes().map(({ path }) => beginning(path)));
    const path = getPath(request).replace(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
    if (known.has(beginning(path))) return path;
    const other = path.startsWith("/v1/") ? path.slice("/v1".length) : `/v1${path}`;
    return known.has(beginning(other)) ? other : path;
  };
}

/** A path's first name, and its second behind `/v1`. */
function beginning(path: string): string {
  const names = path.split("/");
  return names.slice(0, names[1] === "v1" ? 3 : 2).join("/");
}
