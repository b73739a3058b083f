#!/bin/sh
# unmask @VERSION@ for @TARGET@, in one file, made by `deno task pack`. Behind these lines is an
# archive: Deno, the program, its packages and the embedded models. It is unpacked once into the
# user's cache folder, below its own digest, and runs from there; where there is no such folder, it
# is unpacked for each run into a temporary one.
set -u

say() { printf 'unmask: %s\n' "$1" >&2; }

# Prints a folder's path without links. Fails if others than the user and root could put a program
# there: it and the folders above it must be theirs, and nobody else may write to them. Above it,
# folders such as /tmp are good, where all may write but remove only what is theirs.
own() {
  at=$(cd -P -- "$1" 2>/dev/null && pwd -P) || return 1
  path=$at
  set -- "$at"
  while [ "$at" != / ]; do
    at=${at%/*}
    set -- "${at:=/}" "$@"
  done
  LC_ALL=C ls -ldn -- "$@" | {
    seen=0
    user=$(id -u)
    while read -r mode _ owner _; do
      seen=$((seen + 1))
      # What the root folder's owner does cannot be guarded against; in a container it may not be 0.
      [ "$seen" -gt 1 ] || root=$owner
      case $owner in "$user" | 0 | "$root") ;; *) exit 1 ;; esac
      case $seen:$mode in
      *:l*) exit 1 ;;
      *:?????????[tT]*) [ "$seen" -lt "$#" ] || exit 1 ;;
      *:?????w* | *:????????w*) exit 1 ;;
      esac
    done
    [ "$seen" -eq "$#" ]
  } && printf '%s\n' "$path"
}

# Unpacks into a new folder below another, and prints its path. A folder whose programs may not be
# started is none.
unpack() (
  umask 077
  part=$(mktemp -d "$1/unmask.XXXXXXXX") || exit 1
  trap 'rm -rf "$part"' EXIT
  trap 'exit 1' HUP INT TERM
  # On a full disk tar has a line for every file.
  said=$(tail -c +@OFFSET@ <"$self" | tar -xzof - -C "$part" 2>&1) || {
    printf '%s\n' "$said" | head -n 3 >&2
    exit 1
  }
  "$part/deno" --version >/dev/null || exit 1
  trap - EXIT
  printf '%s\n' "$part"
)

# Moves what was unpacked to its place. Another start may have been faster.
settle() {
  # What a cleaner left of it goes.
  if [ -d "$2" ] && ! [ -x "$2/deno" ]; then mv "$2" "$1.old"; fi
  # If a start comes between these two words, mv puts the folder into the other.
  [ -d "$2" ] || mv "$1" "$2"
  rm -rf "$1" "$1.old" "$2/${1##*/}"
}

self=$0
system=$(uname -s)
case $system:$(uname -m) in
@UNAME@) ;;
*)
  say "this file is for @TARGET@; here is $system, $(uname -m)"
  exit 126
  ;;
esac

# A relative path must be ignored (XDG Base Directory Specification).
cache=
case ${HOME:-} in /*) cache=$HOME/.cache ;; esac
case ${XDG_CACHE_HOME:-} in /*) cache=$XDG_CACHE_HOME ;; esac
if [ "$system" = Darwin ]; then
  case ${HOME:-} in /*) cache=$HOME/Library/Caches ;; *) cache= ;; esac
fi

program=
if [ -n "$cache" ]; then
  packed=$cache/unmask/packed
  if ! [ -x "$packed/@DIGEST@/deno" ]; then
    (umask 077 && mkdir -p -- "$packed") 2>/dev/null &&
      packed=$(own "$packed") && part=$(unpack "$packed") &&
      settle "$part" "$packed/@DIGEST@" &&
      # What starts left that were killed, a day ago or more.
      find "$packed"/unmask.* -prune -mtime +0 -exec rm -rf {} + 2>/dev/null
  fi
  program=$(own "$packed/@DIGEST@") || program=
fi
if [ -z "$program" ]; then
  program=$(unpack "${TMPDIR:-/tmp}") && program=$(own "$program") || {
    say "there is no folder to unpack it into. Name one in XDG_CACHE_HOME or TMPDIR: with 120 MB free, writable, not by others, and mounted so that programs may be started."
    exit 1
  }
  say "there is no cache folder of your own, so it is unpacked for this run only. XDG_CACHE_HOME names one."
  # The program keeps this process's number; when it has ended, its folder is removed.
  (
    trap '' HUP INT QUIT TERM
    while kill -0 $$ 2>/dev/null; do sleep 1; done
    rm -rf "$program"
  ) </dev/null >/dev/null 2>&1 &
fi

# What the user set for other programs of Deno and npm does not hold for this one.
unset DENO_CONDITIONS NPM_CONFIG_REGISTRY
export DENO_DIR="$program/cache" DENO_NO_PACKAGE_JSON=1 DENO_NO_UPDATE_CHECK=1
exec "$program/deno" run @FLAGS@ \
  --config "$program/app/deno.json" --lock "$program/app/deno.lock" \
  "$program/app/@ENTRY@" "$@"
