# SPDX-License-Identifier: Apache-2.0
# Completion for fish. It asks snoop for its help, so it knows what the installed snoop knows.

# The command among the words before the cursor, or nothing.
function __snoop_command
    set -l skip 0
    for word in (commandline -opc)[2..]
        switch $word
            case --config
                set skip 1
            case '-*'
            case config
                if test $skip = 1
                    set skip 0
                end
            case '*'
                if test $skip = 1
                    set skip 0
                else
                    echo $word
                    return 0
                end
        end
    end
    return 1
end

# Whether "config" stands before the cursor, and no command behind it.
function __snoop_config
    contains -- config (commandline -opc); and not __snoop_command >/dev/null
end

# What is said of "config" alone is about record.
function __snoop_help
    set -l of (__snoop_command)
    __snoop_config; and set of record
    command snoop $of --help 2>/dev/null
end

# The line of help of the option that wants a value now, without the option's name; status 1: there is none.
function __snoop_option
    set -l option (commandline -opc)[-1]
    string match -qr -- '^--.*=' (commandline -ct); and set option (string replace -r -- '=.*' '' (commandline -ct))
    string match -q -- '--*' $option; or return 1
    __snoop_help | string replace -rf -- "^  (-.,)?$option (\S.*)" '$2'
end

# Lines "name<TAB>what it is": commands where one is missing, else options. A name that is too long for its column has that
# in the next line.
function __snoop_entries
    set -l commands no
    if __snoop_config; and not string match -q -- '-*' (commandline -ct)
        printf '%s\n' run record trace
        return
    end
    not __snoop_command >/dev/null; and not __snoop_config; and not string match -q -- '-*' (commandline -ct); and set commands yes
    set -l section
    set -l name
    __snoop_help | while read -l line
        set -l text (string sub -s 35 -- $line)
        if test -n "$name"
            printf '%s\t%s\n' $name (string trim -- $line)
            set name
        end
        if string match -qr -- '^[A-Z].*:$' $line
            set section $line
        else if test $commands = no; and set -l found (string match -r -- '^  (?:-.,)?(--[a-z-]+)' $line)
            set name $found[2]
            if test (string sub -s 33 -l 2 -- $line) = '  '
                printf '%s\t%s\n' $name $text
                set name
            end
        else if test $commands = yes -a "$section" = Subcommands:; and set -l found (string match -r -- '^  ([a-z-]+)' $line)
            printf '%s\t%s\n' $found[2] $text
        end
    end
end

function __snoop_values
    set -l option (string match -r -- '^--.*=' (commandline -ct))
    __snoop_option | string replace -rf -- '^[^ ]*\{(.*)\}.*' '$1' | string split , | string replace -r -- '^' "$option"
    set -l last $option
    test -n "$last"; or set last (commandline -opc)[-1]
    if string match -qr -- '^--cgroup=?$' $last
        # A directory, or a path from the mount on.
        set -l mount (string match -r -- '^\S+ (\S+) cgroup2 ' </proc/mounts)[2]
        set -l current (string replace -r -- '^--cgroup=' '' (commandline -ct))
        string match -q -- '/*' $current; and set mount; or set mount $mount/
        for directory in "$mount$current"*/
            string replace -- "$mount" '' (string trim -rc / $directory) | string replace -r -- '^' "$option"
        end
        return
    end
    __snoop_option | string match -qr -- '^(PATH|FILE|PREFIX|SOCKET)'; and __fish_complete_path (commandline -ct)
    __snoop_option | string match -qr -- '^DIR'; and __fish_complete_directories (commandline -ct)
end

# Whether the command takes files.
function __snoop_files
    string match -q -- '-*' (commandline -ct); or __snoop_option >/dev/null; and return 1
    __snoop_command >/dev/null; and __snoop_help | string match -q Positionals:
end

function __snoop_before_dashes
    not contains -- -- (commandline -opc)
end

complete -c snoop -f
complete -c snoop -n '__snoop_before_dashes; and not __snoop_option >/dev/null' -a '(__snoop_entries)'
complete -c snoop -n '__snoop_before_dashes; and __snoop_option >/dev/null' -a '(__snoop_values)'
complete -c snoop -n __snoop_files -F
complete -c snoop -n 'not __snoop_before_dashes' -a '(__fish_complete_subcommand --commandline (commandline -cp | string replace -r -- "^.*? -- " ""))'
