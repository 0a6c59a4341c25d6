#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a small real workload under snoop and prints the report readably.
# Usage: scripts/demo.sh SNOOP
set -eu

snoop=$(realpath "${1:?usage: scripts/demo.sh SNOOP}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/greet.sh" <<'SCRIPT'
#!/bin/bash
# Starts programs, reads files, follows a link, looks for what is not there.
read -r name </etc/hostname
ls -l /etc/localtime >/dev/null
sort /etc/passwd | head -n 1 >/dev/null
test -e /etc/no-such-file || true
echo "hello from $name" >greeting.txt
SCRIPT
chmod +x "$work/greet.sh"

echo "== snoop check"
"$snoop" check
echo
echo "== snoop run -- ./greet.sh"
(cd "$work" && "$snoop" run --report report.json --image demo/greet:1 -- ./greet.sh)
echo
scripts/show-report.py "$work/report.json"
