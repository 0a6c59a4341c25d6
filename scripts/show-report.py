#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a snoop report readably."""
import json
import os
import sys

MOST_IN_VAIN = 5


def shown(text):
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def kinds(file, prefix=""):
    """The kinds of access; "open" with how: open:read+write."""
    modes = file.get(prefix + "open_modes")
    names = file["access"] if not prefix else file.get(prefix[:-1], [])
    return ",".join(f"open:{'+'.join(modes)}" if name == "open" and modes else name for name in names)


class Table:
    def __init__(self):
        self.rows = [("ACCESS", "COUNT", "ORIGIN", "PATH -> WHERE IT LED")]

    def add(self, what, file):
        count = "" if file["access"] == ["symlink"] else str(file["count"])
        origin = "-" if file["origin"] == "unknown" else file["origin"]
        arrow = f" -> {shown(file['resolved'])}" if "resolved" in file else ""
        mount = f" (on {shown(file['mount'])})" if "mount" in file else ""
        self.rows.append((what, count, origin, f"{shown(file['path'])}{arrow}{mount}"))

    def print(self):
        what, count, origin = (max(len(row[i]) for row in self.rows) for i in range(3))
        for row in self.rows:
            print(f"  {row[0]:<{what}}  {row[1]:>{count}}  {row[2]:<{origin}}  {row[3]}")


def print_container(container, everything):
    used, links, denied, missing = [], [], [], []
    for file in container["files"]:
        if not file["found"]:
            missing.append(file)
        elif file.get("succeeded") is False:
            denied.append(file)
        elif file["access"] == ["symlink"]:
            links.append(file)
        else:
            used.append(file)
    parts = [f"{len(used)} files used", f"{len(links)} links on the way"]
    if denied:
        parts.append(f"{len(denied)} refused or failed")
    parts += [f"{len(missing)} asked for in vain", f"{container['total_events']} accesses"]
    image = f" ({shown(container['image'])})" if "image" in container else ""
    print(f"{shown(container['name'])}{image}: {', '.join(parts)}")
    if container.get("undecided"):
        print("  undecided: nobody has said whether this is one of those that were asked for")

    table = Table()
    for file in used:
        table.add(kinds(file), file)
    for file in links:
        table.add("symlink", file)
    for file in denied:
        table.add("; ".join(f"{way}: {kinds(file, way + '_')}" for way in ("refused", "failed") if way in file), file)
    for file in missing if everything else missing[:MOST_IN_VAIN]:
        table.add("not there", file)
    table.print()
    if len(missing) > MOST_IN_VAIN and not everything:
        print(f"  not there: {len(missing) - MOST_IN_VAIN} more (--all shows them)")

    for interval in container["observed"]:
        print(f"  watched from {interval['from']} to {interval['to']}")
    if "ended_at" in container:
        print(f"  its cgroup was removed at {container['ended_at']}")
    for window in container["loss_windows"]:
        print(f"  lost between {window['from']} and {window['to']}: {window['lost']} ({window['cause']})")
    if container.get("counts_are_lower_bounds"):
        print("  counts are lower bounds: the kernel's memory of what was seen was too small for this container")
    if "unresolved" in container:
        print(f"  links on the way are not known for some paths: {shown(container['unresolved'])}")
    estimate = container["completeness"]
    if estimate["applies"]:
        print(f"  completeness: {estimate['seen']} files seen, probably {estimate['estimate']} in all "
              f"({estimate['low']} to {estimate['high']}), coverage {estimate['coverage']}")
    else:
        print(f"  completeness: no estimate: {estimate['why_not']}")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--all"]
    me = os.path.basename(sys.argv[0])
    if len(arguments) != 1 or (arguments[0].startswith("-") and arguments[0] != "-"):
        usage = f"{__doc__} Usage: {me} REPORT [--all]; - is stdin"
        if arguments in (["-h"], ["--help"]):
            print(usage)
            return
        print(usage, file=sys.stderr)
        sys.exit(2)
    try:
        with open(0 if arguments[0] == "-" else arguments[0], encoding="utf-8") as stream:
            report = json.load(stream)
    except (OSError, ValueError) as error:
        sys.exit(f"{me}: {arguments[0]}: {error}")
    if not isinstance(report, dict) or report.get("schema_version") != 1:
        sys.exit(f"{me}: {arguments[0]}: not a report of schema version 1")
    for container in report["containers"]:
        print_container(container, "--all" in sys.argv)
        print()
    for source in report.get("merged_from", []):
        print(f"merged from the report of {shown(source['hostname'])} from {source['started_at']} to "
              f"{source['last_updated_at']}{'' if source['complete'] else ', not complete'}{'' if source['final'] else ', not final'}")
    if "undecided_containers" in report["capture"]:
        print(f"undecided: of {report['capture']['undecided_containers']} nobody has said whether they are asked for")
    if "only" in report["capture"]:
        print("listed is only what may be of the image (--only image)")
    for gap in report.get("gaps", []):
        print(f"nobody looked from {gap['from']} to {gap['to']}")
    for what in report["capture"]["not_seen"]:
        print(f"not seen: {shown(what)}")
    if not report["final"]:
        print("not final: snoop still runs, or was killed")
    lost = ", ".join(f"{n} {cause}" for cause, n in report["losses"].items() if n)
    print("complete: nothing was lost" if report["complete"] else f"not complete, lost: {lost}")


if __name__ == "__main__":
    try:
        main()
    except (AttributeError, KeyError, TypeError) as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: not a whole report: {type(error).__name__} {error}")
    except BrokenPipeError:  # as with "| head"
        sys.stderr.close()
