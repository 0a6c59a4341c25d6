# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion for bash. It asks snoop for its help, so it knows what the installed snoop knows.

_snoop() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} command='' i
  local has_config='' mount
  COMPREPLY=()
  # bash takes "--format=json" for three words.
  if [[ $current == = ]]; then
    current=''
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) # snoop run -- COMMAND
        if declare -F _command_offset >/dev/null; then
          _command_offset $((i + 1))
        else
          mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
        fi
        return
        ;;
      --config) ((i++)) ;;
      -* | =) ;;
      config) has_config=yes ;;
      *)
        command=${COMP_WORDS[i]}
        break
        ;;
    esac
  done
  if [[ $has_config && -z $command && $current != -* && $before != --* ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'run record trace' -- "$current")
    return
  fi
  # Alone it is about record.
  command=${command:-${has_config:+record}}

  local help option words
  help=$("$program" ${command:+"$command"} --help 2>/dev/null) || return
  if [[ $before == --* ]]; then
    option=$(sed -n "s/^  \(-.,\)\{0,1\}\($before [A-Z=a-z].*\)/\2/p" <<<"$help")
    case $option in
      '' | "$before  "*) ;; # a flag
      *'{'*)
        words=${option#*'{'}
        words=${words%%'}'*}
        mapfile -t COMPREPLY < <(compgen -W "${words//,/ }" -- "$current")
        return
        ;;
      '--cgroup '*) # a directory, or a path from the mount on
        compopt -o filenames 2>/dev/null
        mount=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
        mapfile -t COMPREPLY < <(if [[ $current == /* || -z $mount ]]; then
          compgen -d -- "$current"
        else
          compgen -d -- "$mount/$current" | sed "s|^$mount/||"
        fi)
        return
        ;;
      *' DIR'*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
      *' PATH'* | *' FILE'* | *' PREFIX'* | *' SOCKET'*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
      *) return ;;
    esac
  fi
  if [[ $current != -* && $help == *$'\nPositionals:'* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
  fi
  if [[ $current != -* && -z $command ]]; then
    words=$(sed -n '/^Subcommands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' <<<"$help")
  else
    words=$(sed -n 's/^  \(-.,\)\{0,1\}\(--[a-z-]*\).*/\2/p' <<<"$help")
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _snoop snoop
complete -o filenames -A file snoop-show-report
