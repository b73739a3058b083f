/** Names of repositories on the hub, and of what is kept of them: ORG/NAME, perhaps with @REVISION. */

/** A repository of models, and the revision of it that is asked for. */
export interface HubName {
  /** `ORG/NAME` */
  readonly repo: string;
  /** A branch, a tag or a commit; undefined for the branch `main`. */
  readonly revision?: string;
}

/** The branch that is meant where none is named. */
export const MAIN = "main";

/** What a commit is called in full. */
const COMMIT = /^[0-9a-f]{40}$/;
const REPO = /^(?=.{3,96}$)[\w][\w.-]*\/[\w][\w.-]*$/;
/** Branches and tags, `refs/pr/1` too: each part becomes the name of a file or folder. */
const REVISION = /^(?=.{1,200}$)[\w][\w.+-]*(\/[\w][\w.+-]*)*$/;

/**
 * Reads `ORG/NAME` or `ORG/NAME@REVISION`; undefined where the text is neither. Names that the hub does
 * not give, such as `a--b` or `a..b`, are none: folders could not be told apart.
 */
export function readHubName(text: string): HubName | undefined {
  const at = text.indexOf("@");
  const repo = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? undefined : text.slice(at + 1);
  if (!REPO.test(repo) || /--|\.\.|\.git$/.test(repo)) return undefined;
  if (revision !== undefined && !isRevision(revision)) return undefined;
  return { repo, revision };
}

/** Whether a text may name a revision. */
export function isRevision(text: string): boolean {
  return REVISION.test(text) && !/\.\.|\.lock(\/|$)/.test(text);
}

/** Whether a revision is a commit in full, which never changes. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** The folder of a repository in a cache: `models--ORG--NAME`. */
export function folderName(repo: string): string {
  return `models--${repo.replaceAll("/", "--")}`;
}

/** The repository whose folder has this name; undefined where it is no repository of models. */
export function repoOfFolder(name: string): string | undefined {
  const parts = name.split("--");
  const repo = parts.slice(1).join("/");
  // Of old, some repositories have no organisation.
  return parts[0] === "models" && /^[\w][\w.-]*(\/[\w][\w.-]*)?$/.test(repo) ? repo : undefined;
}
