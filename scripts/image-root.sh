#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image-root.sh INSTALLED ROOT: makes the root directory of an image from what was installed below INSTALLED (prefix /usr):
# the programs, the libraries that they are linked with, and what is known of those libraries' packages.
set -eu
installed=$1
root=$2
mkdir -p "$root/usr/bin" "$root/usr/share/doc/snoop" "$root/data" "$root/var/lib/dpkg/status.d"

cp "$installed/usr/bin/snoop" "$root/usr/bin/"
cp "$installed/usr/share/doc/snoop/LICENSE" "$installed/usr/share/doc/snoop/GPL-2.0-only.txt" "$root/usr/share/doc/snoop/"
if [ -d "$installed/usr/libexec/snoop" ]; then
  mkdir -p "$root/usr/libexec"
  cp -R "$installed/usr/libexec/snoop" "$root/usr/libexec/"
fi

for program in "$root/usr/bin/snoop" "$root"/usr/libexec/snoop/*; do
  [ -e "$program" ] || continue
  ldd "$program" | sed -n 's/^.*\(=> \|\t\)\(\/[^ ]*\) (0x.*$/\2/p'
done | sort -u | while read -r library; do
  # The file itself under the name that is asked for.
  mkdir -p "$root${library%/*}"
  cp -L "$library" "$root$library"
  # Where /lib is a link, dpkg may know the file by either name.
  package=$(dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "/usr$library")
  package=${package%%:*}
  # As distroless images have it: scanners read it there.
  dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
  mkdir -p "$root/usr/share/doc/$package"
  cp "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done
# Read by everyone, whatever the umask was.
chmod -R u=rwX,go=rX "$root"
