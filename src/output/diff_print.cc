// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "output/diff.h"
#include "output/identity_json.h"
#include "output/report_json.h"
#include "output/report_side.h"

namespace snoop {

namespace {

std::string title_of(const ContainerDiff& diff) {
  const std::string before = title_of(*diff.before.container);
  const std::string after = title_of(*diff.after.container);
  return before == after ? after : before + " -> " + after;
}

/// "open:read+write,exec".
std::string kinds_text(uint16_t kinds) {
  std::string text;
  for (const std::string_view kind : kind_names(kinds)) {
    text += text.empty() ? "" : ",";
    text += kind;
    if (kind == "open") {
      text += fmt::format(":{}", fmt::join(open_mode_names(kinds), "+"));
    }
  }
  return text;
}

/// What succeeded; else how it ended, too.
std::string use_text(const AccessStore::Entry& entry) {
  if (const uint16_t kinds = kinds_with(entry.seen(), SNOOP_OUTCOME_OK); kinds != 0) {
    return kinds_text(kinds);
  }
  std::string text;
  for (const auto& [outcome, name] :
       {std::pair(SNOOP_OUTCOME_REFUSED, "refused"), std::pair(SNOOP_OUTCOME_OTHER, "failed"),
        std::pair(SNOOP_OUTCOME_MISSING, "missing")}) {
    if (const uint16_t kinds = kinds_with(entry.seen(), outcome); kinds != 0) {
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, kinds_text(kinds));
    }
  }
  return text;
}

std::string line_of(const FileDiff& file) {
  if (file.before == nullptr) {
    return fmt::format("+ {}  ({})\n", printable(file.after->path()), use_text(*file.after));
  }
  if (file.after == nullptr) {
    // Alone, as it can be used; but it must not look as if it were there.
    return fmt::format("- {}{}\n", printable(file.before->path()),
                       file.before->is_found() ? "" : fmt::format("  ({})", use_text(*file.before)));
  }
  return fmt::format("~ {}  {}\n", printable(file.after->path()), fmt::join(file.changes, ", "));
}

void put_container_names(ReportWriter& json, const std::vector<const Container*>& containers) {
  json.StartArray();
  for (const Container* container : containers) {
    json.StartObject();
    put_bytes(json, "name", container->name);
    put_bytes_unless_empty(json, "namespace", container->identity.namespace_name);
    put_bytes_unless_empty(json, "image", container->image);
    put_bytes_unless_empty(json, "image_digest", container->image_digest);
    put_bytes_unless_empty(json, "image_id", container->identity.image_id);
    json.EndObject();
  }
  json.EndArray();
}

void put_report(ReportWriter& json, std::string_view key, const ReportHeader& header) {
  put_key(json, key);
  json.StartObject();
  put_bytes(json, "hostname", header.hostname);
  put_time(json, "started_at", header.started_at);
  put_time(json, "last_updated_at", header.updated_at);
  put_number(json, "runs", header.runs);
  json.EndObject();
}

/// The files of one of three lists.
class FileLists {
 public:
  FileLists(JsonOutput& output, ReportWriter& json, const ContainerDiff& diff)
      : output_(output), json_(json), printer_(json), diff_(diff) {}

  void put() {
    list("only_in_new", [&](const FileDiff& file) {
      if (file.before == nullptr) {
        printer_.put(diff_.after.container->files.use_of(*file.after));
      }
    });
    list("only_in_old", [&](const FileDiff& file) {
      if (file.after == nullptr) {
        printer_.put(diff_.before.container->files.use_of(*file.before));
      }
    });
    list("changed", [&](const FileDiff& file) {
      if (file.before != nullptr && file.after != nullptr) {
        json_.StartObject();
        put_bytes(json_, "path", file.after->path());
        put_list(json_, "changes", {file.changes.begin(), file.changes.end()});
        put_key(json_, "old");
        printer_.put(diff_.before.container->files.use_of(*file.before));
        put_key(json_, "new");
        printer_.put(diff_.after.container->files.use_of(*file.after));
        json_.EndObject();
      }
    });
  }

 private:
  template <typename Put>
  void list(std::string_view key, Put put_one) {
    put_key(json_, key);
    json_.StartArray();
    for (const FileDiff& file : diff_.files) {
      put_one(file);
      output_.flush_if_enough();
    }
    json_.EndArray();
  }

  JsonOutput& output_;
  ReportWriter& json_;
  FilePrinter printer_;
  const ContainerDiff& diff_;
};

}  // namespace

void print_diff(std::FILE* stream, const ReportDiff& diff) {
  const auto print = [stream](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stream); };
  bool has_removed = false;
  for (const ContainerDiff& one : diff.containers) {
    print(fmt::format("@@ {}: {} only in NEW, {} only in OLD, {} changed, {} the same. OLD: {}. NEW: {}\n",
                      title_of(one), one.added, one.removed, one.changed, one.same, trust_text(one.before),
                      trust_text(one.after)));
    for (const FileDiff& file : one.files) {
      print(line_of(file));
    }
    has_removed = has_removed || one.removed != 0;
  }
  for (const Container* container : diff.only_before) {
    print(fmt::format("@@ only in OLD: {}\n", title_of(*container)));
  }
  for (const Container* container : diff.only_after) {
    print(fmt::format("@@ only in NEW: {}\n", title_of(*container)));
  }
  if (has_removed) {
    print("# A line with - says that the file was not used while NEW was watched, not that it is not needed.\n");
  }
  if (diff.only_image) {
    print("# One of the reports lists only what may be of the image (--only image): so only that was compared.\n");
  }
}

void print_diff_json(std::FILE* stream, const ReportDiff& diff) {
  JsonOutput output(stream);
  ReportWriter json(output.buffer());
  json.SetIndent(' ', 1);
  json.StartObject();
  put_report(json, "old", *diff.before);
  put_report(json, "new", *diff.after);
  put_key(json, "different");
  json.Bool(!diff.is_empty());
  if (diff.only_image) {
    put_key(json, "only");
    put_text(json, "image");
  }
  put_key(json, "containers");
  json.StartArray();
  for (const ContainerDiff& one : diff.containers) {
    json.StartObject();
    put_side(json, "old", one.before);
    put_side(json, "new", one.after);
    put_number(json, "same", one.same);
    FileLists(output, json, one).put();
    json.EndObject();
  }
  json.EndArray();
  put_key(json, "containers_only_in_old");
  put_container_names(json, diff.only_before);
  put_key(json, "containers_only_in_new");
  put_container_names(json, diff.only_after);
  json.EndObject();
  output.buffer().Put('\n');
  output.flush();
}

}  // namespace snoop
