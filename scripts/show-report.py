#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a snoop report readably. Usage: show-report.py REPORT [--all]"""
import json
import sys


def shown(text):
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--all"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    with open(arguments[0], encoding="utf-8") as stream:
        report = json.load(stream)
    for container in report["containers"]:
        found = [f for f in container["files"] if f["found"]]
        missing = [f for f in container["files"] if not f["found"]]
        print(f"{shown(container['name'])} ({shown(container.get('image', 'no image named'))}): "
              f"{len(found)} files used, {len(missing)} asked for in vain, "
              f"{container['total_events']} accesses")
        for file in found:
            what = ",".join(file["access"])
            if file.get("open_modes"):
                what += ":" + "+".join(file["open_modes"])
            arrow = f" -> {shown(file['resolved'])}" if "resolved" in file else ""
            print(f"  {what:<22} {shown(file['path'])}{arrow}")
        for file in missing if "--all" in sys.argv else missing[:5]:
            print(f"  {'not there':<22} {shown(file['path'])}")
        if len(missing) > 5 and "--all" not in sys.argv:
            print(f"  {'not there':<22} ... {len(missing) - 5} more (--all shows them)")
    lost = {cause: n for cause, n in report["losses"].items() if n}
    print("complete: nothing was lost" if report["complete"] else f"not complete, lost: {lost}")


if __name__ == "__main__":
    main()
