#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the cgroup directory of a container or a process: what "snoop record --cgroup" takes.
# The directory, and nothing else, goes to stdout; messages go to stderr.
set -u

me=${0##*/}

usage() {
  cat <<USAGE
Usage: $me [docker|podman|containerd|crictl] NAME|ID
       $me PID

Prints the absolute cgroup2 directory of a container, for "snoop record --cgroup"; where the
container only has cgroups of version 1, one of those.
Without a runtime, every one that is installed is asked. A number is a process id: the container
it runs in is printed, or, outside containers, its own cgroup. For a container whose name
is a number, give the runtime.

Examples:
  snoop record --cgroup "\$($me docker web)"
  snoop record --cgroup "\$($me 4711)"
  $me web
  $me podman 3f2a9c01
  $me containerd web     # a nerdctl name, a Kubernetes container name, or an id
  CONTAINERD_ADDRESS=/run/k3s/containerd/containerd.sock $me containerd web

Exit codes: 0 found, 1 not found, 2 wrong usage.
USAGE
}

say() { printf '%s: %s\n' "$me" "$*" >&2; }

wrong_usage() {
  say "$*"
  say "try $me --help"
  exit 2
}

# Lines "ROOT MOUNT_POINT" of the visible mounts of the version 1 controller $1, or, if that is empty, of
# cgroup2; wherever they are, octal escapes still in.
cgroup_mounts() {
  sed -n 's/^[^ ]* [^ ]* [^ ]* \([^ ]*\) \([^ ]*\) .* - \(cgroup2*\) [^ ]* \([^ ]*\)$/\3 \4 \1 \2/p' /proc/self/mountinfo |
    while read -r type options root point; do
      case $type,$1,",$options," in
        cgroup2,,* | cgroup,?*,*",$1,"*) printf '%s %s\n' "$root" "$point" ;;
      esac
    done
}

unescape() { printf '%b' "$(printf '%s' "$1" | sed 's/\\\([0-7]\{3\}\)/\\0\1/g')"; }

# Directory in which the process $1, of cgroup path $2 in the hierarchy $3, is visible. A directory counts only if it lists
# the process: in a cgroup namespace, or below a bind mount, the path alone can name another cgroup.
directory_of() {
  cgroup_mounts "$3" | {
    points=
    while read -r root point; do
      root=$(unescape "$root")
      root=${root%/}
      point=$(unescape "$point")
      points="$points$point
"
      case $2/ in
        "$root"/../*) ;;
        "$root"/*)
          dir=$point${2#"$root"}
          grep -qx "$1" "$dir/cgroup.procs" 2>/dev/null && printf '%s\n' "$dir" && return 0
          ;;
      esac
    done
    printf '%s' "$points" | while read -r point; do
      find "$point" -name cgroup.procs -exec grep -lx "$1" {} + 2>/dev/null
    done | sed -n '1s|/cgroup.procs$||p'
  }
}

# Whether the directory name $1 is that of the container $2; with no $2, of any container with a 64-digit id.
names_container() {
  if [ -n "$2" ]; then
    case $1 in
      "$2" | *-"$2" | "$2.scope" | *-"$2.scope") return 0 ;;
    esac
    return 1
  fi
  printf '%s\n' "$1" | grep -Eq '^(.*[-_:])?[0-9a-f]{64}(\.scope)?$'
}

# Directory of version 1 of the process $1: one that is of the container $2, or, if there is none, the first
# that is not the root of its hierarchy.
version1_directory_of() {
  first=
  for controller in memory pids cpu devices freezer blkio; do
    path=$(sed -n "s/^[0-9]*:\(.*,\)\{0,1\}$controller\(,[^:]*\)\{0,1\}:\(\/.*\)$/\3/p" "/proc/$1/cgroup" 2>/dev/null)
    case $path in
      '' | / | /.. | /../*) continue ;;
    esac
    dir=$(directory_of "$1" "$path" "$controller")
    up=$dir
    while [ -n "$up" ] && [ -e "$up/cgroup.procs" ]; do
      names_container "${up##*/}" "$2" && printf '%s\n' "$dir" && return
      up=${up%/*}
    done
    first=${first:-$dir}
  done
  printf '%s\n' "$first"
}

# Prints the cgroup directory of process $1, which is of the container $2 (empty: not known); $3 names it in messages.
#
# The container's cgroup, not the process's: podman with systemd puts the process one below, in
# libpod-ID.scope/container, and an init system in a container makes cgroups of its own there. What is
# printed is libpod-ID.scope: a target of snoop includes everything below it.
locate() {
  if [ ! -r "/proc/$1/cgroup" ]; then
    say "$3 does not exist here${2:+; if its runtime is on another machine, run $me there}"
    return 1
  fi
  path=$(sed -n 's/^0:://p' "/proc/$1/cgroup" 2>/dev/null)
  version2=$(cgroup_mounts '')
  dir=
  case ${version2:+yes},$path in
    ,* | yes, | yes,/) dir=$(version1_directory_of "$1" "$2") ;;
    *) dir=$(directory_of "$1" "$path" '') ;;
  esac
  if [ -z "$dir" ] && [ -z "$version2" ]; then
    say "no cgroup2 is mounted: mkdir -p /mnt/cgroup2 && mount -t cgroup2 cgroup2 /mnt/cgroup2, then try again"
    return 1
  fi
  if [ -z "$dir" ] && [ "$path" = / ]; then
    say "$3 has no cgroup of its own: it is in the root of this cgroup namespace"
    say "make a directory in a cgroup2 mount and write the processes' ids into its cgroup.procs"
    return 1
  fi
  if [ -z "$dir" ]; then
    case $path in
      /../* | /..) say "$3: cgroup $path is outside this cgroup namespace; run $me on the host, or in a container with the host's cgroup namespace" ;;
      *' (deleted)') say "$3 is ending: its cgroup was removed" ;;
      *) say "$3 is in no mounted cgroup2 (/proc/$1/cgroup says '$path'); it may just have ended, try again" ;;
    esac
    return 1
  fi
  up=$dir
  while [ -e "$up/cgroup.procs" ]; do
    if names_container "${up##*/}" "$2"; then
      dir=$up
      break
    fi
    up=${up%/*}
  done
  if [ -n "$2" ] && [ "$dir" != "$up" ]; then
    case $3 in
      containerd*) say "$3 is in $dir, which does not have its name; make sure that nothing else runs there" ;;
      *)
        say "$3 is in $dir, which is not a cgroup of its own"
        say "it was started without one (--cgroups=disabled), or its runtime is on another machine (DOCKER_HOST): run $me there"
        return 1
        ;;
    esac
  fi
  printf '%s\n' "$dir"
}

# Each prints a line "PID ID" for each container that has the name or id $1; PID is 0 if it is not running.
ask_docker() { docker inspect --type container --format '{{.State.Pid}} {{.Id}}' "$1"; }

ask_podman() { podman inspect --type container --format '{{.State.Pid}} {{.Id}}' "$1"; }

ask_containerd() {
  namespaces=$(ctr --connect-timeout 2s namespaces list --quiet) || return 1
  for namespace in $namespaces; do
    ids=$(ctr --namespace "$namespace" containers list --quiet \
      "id==\"$1\"" "labels.\"nerdctl/name\"==\"$1\"" "labels.\"io.kubernetes.container.name\"==\"$1\"") || continue
    if [ -z "$ids" ]; then # the first digits of an id
      ids=$(ctr --namespace "$namespace" containers list --quiet | grep -E '^[0-9a-f]{64}$' | grep "^$1")
    fi
    for id in $ids; do
      ctr --namespace "$namespace" tasks list |
        awk -v id="$id" '$1 == id && $3 != "STOPPED" { pid = $2 } END { print pid + 0, id }'
    done
  done
}

ask_crictl() {
  ids=$(crictl ps --quiet --name "^$1\$") || return 1
  for id in ${ids:-"$1"}; do
    crictl inspect --output go-template --template '{{.info.pid}} {{.status.id}}' "$id" || return 1
    echo
  done
}

program_of() {
  case $1 in
    containerd) echo ctr ;;
    *) echo "$1" ;;
  esac
}

installed() { command -v "$(program_of "$1")" >/dev/null 2>&1; }

runtimes='docker podman containerd crictl'

case ${1-} in
  -h | --help)
    usage
    exit 0
    ;;
  --) shift ;;
  -*) wrong_usage "unknown option '$1'" ;;
esac

case $# in
  1) name=$1 runtime= ;;
  2) name=$2 runtime=$1 ;;
  *) wrong_usage "expected a container or a process id, got $# arguments" ;;
esac
case $name in
  '' | -* | *[!A-Za-z0-9_.-]*) wrong_usage "'$name' is neither the name or id of a container nor a process id" ;;
esac
case $runtime,$name in
  ,*[!0-9]*)
    case " $runtimes " in
      *" $name "*) wrong_usage "which container of $name? ($me $name NAME)" ;;
    esac
    ;;
  ,*)
    locate "$name" '' "process $name"
    exit
    ;;
  *)
    case " $runtimes " in
      *" $runtime "*) runtimes=$runtime ;;
      *) wrong_usage "unknown runtime '$runtime': it is one of $runtimes" ;;
    esac
    ;;
esac

found=   # lines "RUNTIME PID ID"
answers= # what the runtimes said that do not know it
for runtime in $runtimes; do
  if ! installed "$runtime"; then
    [ "$runtime" = "$runtimes" ] && answers="$runtime: $(program_of "$runtime") is not installed"
    continue
  fi
  answer=$("ask_$runtime" "$name" 2>&1)
  lines=$(printf '%s\n' "$answer" | sed -n "s/^[0-9][0-9]* [^ ]*$/$runtime &/p")
  if [ -n "$lines" ]; then
    found="$found$lines
"
  else
    reason=$(printf '%s\n' "$answer" | sed -n '/[a-z]/{p;q;}')
    answers="$answers${answers:+
}$runtime: ${reason:-it knows no such container}"
  fi
done

if [ -z "$found" ]; then
  say "found no container '$name'"
  printf '%s\n' "${answers:-no container runtime is installed}" | sed 's/^/  /' >&2
  say "check the name (a rootless container is known only to the user who started it), or give the id of one of its processes: $me PID"
  exit 1
fi

# A stopped container matters only if none of that name runs.
running=$(printf '%s' "$found" | sed '/^[^ ]* 0 /d')
directories=$(printf '%s\n' "${running:-${found%?}}" | while read -r runtime pid id; do
  if [ "$pid" -eq 0 ]; then
    say "$runtime container '$name' ($id) is not running: start it first"
  else
    locate "$pid" "$id" "$runtime container '$name' (process $pid)"
  fi
done | sort -u)

case $directories in
  '') exit 1 ;;
  *"
"*)
    say "'$name' is the name of several containers; give the runtime and the id of one of them:"
    printf '%s\n' "$running" | sed 's/^\([^ ]*\) [0-9]* /  \1 /' >&2
    exit 1
    ;;
esac
printf '%s\n' "$directories"
