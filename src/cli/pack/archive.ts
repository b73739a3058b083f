/** Archives whose bytes follow from their files alone: the same program gives the same file. */

import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { packTar } from "modern-tar";

/** A file in an archive. */
export interface ArchivedFile {
  /** Path, with "/". */
  readonly name: string;
  readonly content: Uint8Array<ArrayBuffer>;
  readonly executable?: boolean;
}

/** A tar archive, compressed by gzip: what every Linux and macOS unpacks. */
export async function tarGz(files: readonly ArchivedFile[]): Promise<Uint8Array<ArrayBuffer>> {
  const tar = await packTar(files.map(({ name, content, executable }) => ({
    header: {
      name,
      size: content.length,
      mode: executable ? 0o755 : 0o644,
      mtime: new Date(0),
      uid: 0,
      gid: 0,
    },
    body: content,
  })));
  const packed = new Uint8Array(gzipSync(tar));
  // The system that compressed it, by RFC 1952; 255 says that it is not known.
  packed[9] = 255;
  return packed;
}

/** A zip archive: what Windows unpacks. */
export function zip(files: readonly ArchivedFile[]): Uint8Array<ArrayBuffer> {
  // The first day that a zip archive can name.
  const mtime = new Date(1980, 0, 1);
  return zipSync(
    Object.fromEntries(files.map(({ name, content }) => [name, [content, { mtime }]])),
  );
}
