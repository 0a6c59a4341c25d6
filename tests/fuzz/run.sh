#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS: each of libFuzzer's programs for so long, two at a time. What reaches new code is kept in
# BUILD/corpus, what ends a program in BUILD/crash-*.
set -eu
build=$(realpath "$1")
seconds=$2
corpus=$(realpath "$(dirname "$0")/corpus")
# shellcheck disable=SC2016
find "$corpus" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | xargs -P "$(nproc)" -I NAME sh -c '
  mkdir -p "$2/corpus/NAME"
  "$2/tests/fuzz/fuzz_NAME" -max_total_time="$1" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="$2/crash-NAME-" "$2/corpus/NAME" "$3/NAME" >"$2/fuzz-NAME.log" 2>&1 ||
    { tail -40 "$2/fuzz-NAME.log"; exit 255; }
  printf "%-16s %s runs, %s s\n" NAME "$(sed -n "s/^stat::number_of_executed_units: *//p" "$2/fuzz-NAME.log")" "$1"
' sh "$seconds" "$build" "$corpus"
