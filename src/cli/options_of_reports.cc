// SPDX-License-Identifier: Apache-2.0
#include "cli/options_of_reports.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace snoop {

namespace {

void set_on_the_command_line_only(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    option->configurable(false);
  }
}

}  // namespace

CLI::App* add_merge_command(CLI::App& app, Options& options) {
  CLI::App* merge = app.add_subcommand("merge", "Unites reports of replicas, nodes or days into one");
  merge->add_option("REPORT", options.reports, "Reports; - is stdin")->required()->type_name("FILE");
  merge->add_option("-o,--output", options.output, "Where the united report goes, also one of the others; - is stdout")
      ->type_name("FILE")
      ->check([](const std::string& text) { return std::string(text.empty() ? "must not be empty" : ""); })
      ->default_str("-")
      ->group("Output");
  merge
      ->add_option_function<std::string>(
          "--by",
          [&options](const std::string& by) {
            options.merge_by = by == "container" ? MergeBy::kContainer : MergeBy::kImage;
          },
          "Which containers become one: all of one image, or those of one image that also have one\n"
          "name, in one namespace")
      ->check(CLI::IsMember({"image", "container"}))
      ->default_str("image")
      ->group("Output");
  set_on_the_command_line_only(*merge);
  merge->footer(
      "Examples:\n"
      "  snoop merge node1.json node2.json -o all.json\n"
      "  snoop merge monday.json tuesday.json | snoop-show-report -\n"
      "  snoop merge --by container nodes/*.json -o roles.json\n"
      "  ssh node2 cat /var/lib/snoop/report.json | snoop merge node1.json - -o both.json\n"
      "\nFiles are united by path, counts and losses added. Containers become one only if they are certainly\n"
      "of one image (by its digest, else its id, else its name): never are lists of two digests mixed. What\n"
      "has no image stays apart. 'complete' and 'final' are true only if they are so in each report. A\n"
      "report that another one goes on from is left out, with a warning.\n"
      "\nExit code: 0 done; 1 if a report is damaged or cannot be read, or nothing could be written: then\n"
      "nothing is changed. Needs no privileges.");
  return merge;
}

CLI::App* add_diff_command(CLI::App& app, Options& options) {
  CLI::App* diff = app.add_subcommand("diff", "Tells which files one report has used that the other has not");
  options.reports.resize(2);
  diff->add_option("OLD", options.reports[0], "The report from before; - is stdin")->required()->type_name("FILE");
  diff->add_option("NEW", options.reports[1], "The one from after")->required()->type_name("FILE");
  diff->add_option("--container", options.diff.container, "Only the container of this name, NAME or NAMESPACE/NAME")
      ->type_name("NAME")
      ->group("What is compared");
  diff->add_flag("--all", options.diff.all, "All containers of OLD together with all of NEW together")
      ->group("What is compared");
  diff->add_flag("--missing", options.diff.missing, "Also what was asked for and not there")->group("What is compared");
  const std::map<std::string, FileOrigin> origins = {{"image", FileOrigin::kImage},
                                                     {"written", FileOrigin::kWritten},
                                                     {"volume", FileOrigin::kVolume},
                                                     {"pseudo", FileOrigin::kPseudo},
                                                     {"unknown", FileOrigin::kUnknown}};
  diff->add_option_function<std::vector<std::string>>(
          "--origin",
          [&options, origins](const std::vector<std::string>& names) {
            for (const std::string& name : names) {
              options.diff.origins.push_back(origins.at(name));
            }
          },
          "Only files of this origin, in either report (repeatable)")
      ->check(CLI::IsMember({"image", "written", "volume", "pseudo", "unknown"}))
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group("What is compared");
  diff->add_option_function<std::string>(
          "--format", [&options](const std::string& format) { options.diff_json = format == "json"; },
          "Lines of text, or one JSON object")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text")
      ->group("Output");
  set_on_the_command_line_only(*diff);
  diff->footer(
      "Examples:\n"
      "  snoop diff old.json new.json                what does the new image use that the old did not?\n"
      "  snoop diff --container shop/cart monday.json tuesday.json\n"
      "  snoop diff --all --origin image v1.json v2.json | grep '^+'\n"
      "  snoop diff --format json v1.json v2.json | jq -r '.containers[].only_in_new[].path'\n"
      "\nA line for each file: + only NEW has it, - only OLD has it, ~ both have it, and what changed: whether\n"
      "it was there, kinds of access, origin, where it leads to. Containers are compared with those of the\n"
      "same image and name, else of the same name, else of the same image. A line with - says that the file\n"
      "was not used while NEW was watched, not that it is not needed: the line above says how long that was.\n"
      "\nExit code, unlike that of other commands: 0 no difference, 1 differences, 2 trouble. Needs no\n"
      "privileges.");
  return diff;
}

CLI::App* add_packages_command(CLI::App& app, Options& options) {
  CLI::App* packages = app.add_subcommand("packages", "Tells which packages of an image own the files that were used");
  options.reports.resize(1);
  packages->add_option("REPORT", options.reports[0], "The report; - is stdin")->required()->type_name("FILE");
  packages
      ->add_option("--root", options.packages_root,
                   "The root directory of the image: unpacked, mounted, or /proc/PID/root of its\n"
                   "container")
      ->required()
      ->type_name("DIR")
      ->group("What is told");
  packages
      ->add_option("--container", options.packages_container,
                   "The container of this name, NAME or NAMESPACE/NAME, where the report has several")
      ->type_name("NAME")
      ->group("What is told");
  packages->add_flag("--files", options.packages_files, "Also each used file, those of no package, too")
      ->group("What is told");
  packages
      ->add_option_function<std::string>(
          "--format", [&options](const std::string& format) { options.packages_json = format == "json"; },
          "A table, or one JSON object")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text")
      ->group("Output");
  set_on_the_command_line_only(*packages);
  packages->footer(
      "Examples:\n"
      "  snoop packages web.json --root /proc/$(pidof -s nginx)/root\n"
      "  snoop packages nodes.json --root /mnt/image --container shop/cart --files\n"
      "  snoop packages web.json --root image/ | grep -e ^not_seen -e ^#\n"
      "  snoop packages web.json --root image/ --format json | jq -r '.packages[] | select(.state == \"used\") | "
      ".purl'\n"
      "\nReads the package databases of dpkg (also of distroless images) and apk below DIR, and follows no link\n"
      "out of it. Databases of rpm are named and not read. A line for each package:\n"
      "  used      a file of it was used; the note has the first one\n"
      "  not_seen  none was: that is not the same as not needed\n"
      "  no_files  it has none but documentation, so files cannot tell\n"
      "  unknown   none was seen, and yet one may have been; the note has why\n"
      "The note also names packages that need it and are used. Lines with # say how far not_seen can be trusted.\n"
      "\nExit code: 0 done; 1 if the report, DIR or the package database cannot be read, or there is no such\n"
      "database. Needs no privileges but to read DIR.");
  return packages;
}

void check_reports(const Options& options) {
  if (std::count(options.reports.begin(), options.reports.end(), "-") > 1) {
    throw CLI::ParseError("stdin (-) can be one report, not two", kExitUsage);
  }
  if (options.diff.all && !options.diff.container.empty()) {
    throw CLI::ExcludesError("--all", "--container");
  }
}

}  // namespace snoop
