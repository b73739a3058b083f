#!/bin/sh
# Unpacks a newer software Vulkan driver into a folder, and a Deno that runs with it; installs nothing.
#
#   sh .ci/mesa.sh FOLDER DENO
#   VK_DRIVER_FILES=FOLDER/lvp_icd.json FOLDER/deno test …
#
# Dawn finds nothing to compute on in Debian 12's Mesa, 22.3. Mesa 26.1, of Debian 13's backports, has
# all that Dawn asks for and emulates matrix units, which Debian 12's own backport, 25.0, does not. It
# needs a newer C library as well: all of its libraries are unpacked, and FOLDER/deno is a copy of the
# program DENO that looks for libraries there. A folder that is whole is used again.
#
# On Debian and Ubuntu with Debian's keys, from the mirror that the machine's own apt uses.
set -eu
[ $# -eq 2 ] || { echo "use: sh .ci/mesa.sh FOLDER DENO" >&2; exit 2; }
release=trixie
key=/usr/share/keyrings/debian-archive-keyring.gpg

mkdir -p "$1"
folder=$(cd "$1" && pwd)
root=$folder/root

fail() {
  echo "mesa.sh: $1" >&2
  exit 1
}

# Lists, packages and the record of what is installed are all FOLDER's own; signatures are checked.
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$folder/lists" -o Dir::State::status="$folder/status" \
    -o Dir::Cache::Archives="$folder/debs" -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache= \
    -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o Acquire::Retries=2 "$@" >&2
}

unpack() {
  command -v apt-get > /dev/null || fail "it unpacks Debian packages, and there is no apt-get"
  [ -e "$key" ] || fail "Debian's keys are missing: $key"
  rm -rf "$root" "$folder/lists" "$folder/debs"
  mkdir -p "$root" "$folder/lists/partial" "$folder/debs/partial"
  : > "$folder/status"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
    grep -m 1 '/debian/*$' || echo http://deb.debian.org/debian)
  for suite in $release $release-backports; do
    echo "deb [signed-by=$key] $mirror $suite main"
  done > "$folder/sources.list"
  apt update || fail "no lists of Debian $release from $mirror"
  apt install --download-only --yes --no-install-recommends \
    mesa-vulkan-drivers/$release-backports libvulkan1 patchelf ||
    fail "no Mesa of $release-backports from $mirror"
  for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$root"; done
  rm -rf "$folder/lists" "$folder/debs"
  touch "$root/whole"
}

[ -e "$root/whole" ] || unpack
driver=$(echo "$root"/usr/lib/*/libvulkan_lvp.so)
libraries=$(dirname "$driver")
# With the driver's whole path, so that the loader takes this one and no other.
sed "s#\"library_path\": *\"[^\"]*\"#\"library_path\": \"$driver\"#" \
  "$root"/usr/share/vulkan/icd.d/lvp_icd*.json > "$folder/lvp_icd.json"
loader=$(echo "$libraries"/ld-linux*)
# RPATH, not RUNPATH: what libraries load in turn is looked for there, too.
"$loader" --library-path "$libraries" "$root/usr/bin/patchelf" --set-interpreter "$loader" \
  --force-rpath --set-rpath "$libraries" --output "$folder/deno" "$2"
"$folder/deno" --version > /dev/null || fail "$2 does not run with the libraries of Debian $release"
