#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check.sh format|tidy|shell|spdx BUILD_DIR: checks the form of the sources, from
# the top of the tree. Exit 77: skipped.
set -euo pipefail

need() {
  command -v "$1" >/dev/null || { echo "skipped: $1 is not installed"; exit 77; }
}
# Tracked and new files, not those that git ignores.
files() { git ls-files --cached --others --exclude-standard "$@" | while read -r f; do [ -e "$f" ] && echo "$f"; done; }

case "$1" in
  format)
    need clang-format
    files '*.h' '*.cc' '*.c' | xargs clang-format --dry-run --Werror
    ;;
  tidy)
    need clang-tidy
    # Tests that wait for something run beside it.
    nice -n 5 /usr/bin/python3 -B tests/check/tidy.py "$2"
    ;;
  shell)
    need shellcheck
    { files '*.sh' packaging/completions/snoop.bash 'packaging/debian/p*'; echo .ci/run; } | xargs shellcheck
    ;;
  spdx)
    missing=$(files '*.h' '*.cc' '*.c' '*.py' '*.sh' '*CMakeLists.txt' '*.cmake' '*.yaml' 'packaging/*' Makefile Dockerfile .ci/run |
      grep -vE '^packaging/debian/(changelog|conffiles).in$|/copyright$|/lintian-overrides$' |
      xargs grep -L 'SPDX-License-Identifier:' || true)
    [ -z "$missing" ] || { echo "no SPDX line in:"; echo "$missing"; exit 1; }
    ;;
  *)
    echo "check.sh: no such check: $1" >&2
    exit 2
    ;;
esac
