// SPDX-License-Identifier: Apache-2.0
#include "output/report_side.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/text.h"
#include "output/identity_json.h"
#include "output/unite.h"

namespace snoop {

namespace {

std::string image_text(const Container& container) {
  for (const std::string* text : {&container.image, &container.image_digest, &container.identity.image_id}) {
    if (!text->empty()) {
      return printable(*text);
    }
  }
  return {};
}

}  // namespace

ReportSide side_of(const ReportHeader& header, const Containers& containers) {
  ReportSide side;
  side.containers = containers.size();
  if (containers.size() == 1) {
    side.container = containers.front();
  } else {
    side.united = std::make_unique<Container>(unite(containers));
    side.container = side.united.get();
  }
  for (const Interval& interval : joined(side.container->observed)) {
    side.observed += interval.to - interval.from;
  }
  // What belongs to no container may have been of this one.
  side.lost = side.container->all_losses().sum() + header.undecodable + header.skipped_runs;
  side.complete = side.lost == 0 && header.targets_over_limit == 0;
  side.final = header.final;
  return side;
}

Containers all_of(const ReportContents& report) {
  Containers all;
  for (const Container& container : report.containers) {
    all.push_back(&container);
  }
  return all;
}

Containers named(const Containers& all, const std::string& name) {
  Containers found;
  std::copy_if(all.begin(), all.end(), std::back_inserter(found),
               [&](const Container* container) { return container->name == name || full_name(*container) == name; });
  return found;
}

std::string full_name(const Container& container) {
  const std::string& ns = container.identity.namespace_name;
  return ns.empty() ? container.name : ns + "/" + container.name;
}

std::string names_of(const Containers& containers) {
  std::set<std::string> names;
  for (const Container* container : containers) {
    names.insert(container->image.empty() ? full_name(*container)
                                          : fmt::format("{} ({})", full_name(*container), container->image));
  }
  return names.empty() ? "no container" : fmt::format("{}", fmt::join(names, ", "));
}

std::string duration_text(WallTime time) {
  constexpr WallTime kMinute = 60;
  constexpr WallTime kHour = 60 * kMinute;
  constexpr WallTime kDay = 24 * kHour;
  const WallTime seconds = time / kSecond;
  if (seconds >= kDay) {
    return fmt::format("{}d {}h", seconds / kDay, seconds % kDay / kHour);
  }
  if (seconds >= kHour) {
    return fmt::format("{}h {}m", seconds / kHour, seconds % kHour / kMinute);
  }
  return seconds >= kMinute ? fmt::format("{}m {}s", seconds / kMinute, seconds % kMinute)
                            : fmt::format("{}s", seconds);
}

std::string title_of(const Container& container) {
  const std::string& ns = container.identity.namespace_name;
  const std::string image = image_text(container);
  return fmt::format("{}{}{}{}", ns.empty() ? "" : printable(ns) + "/", printable(container.name),
                     image.empty() ? "" : " ", image.empty() ? "" : "(" + image + ")");
}

std::string trust_text(const ReportSide& side) {
  std::string text = fmt::format("watched for {}", duration_text(side.observed));
  if (side.containers > 1) {
    text += fmt::format(" in {} containers", side.containers);
  }
  text += side.complete ? ", nothing lost" : side.lost != 0 ? fmt::format(", {} lost", side.lost) : ", not complete";
  text += side.final ? "" : ", not final";
  text += side.container->undecided ? ", undecided" : "";
  const std::string& not_observable = side.container->identity.not_observable;
  return not_observable.empty() ? text : fmt::format("{}, not observable: {}", text, printable(not_observable));
}

void put_side(ReportWriter& json, std::string_view key, const ReportSide& side) {
  const Container& container = *side.container;
  put_key(json, key);
  json.StartObject();
  put_bytes(json, "name", container.name);
  put_bytes_unless_empty(json, "namespace", container.identity.namespace_name);
  put_bytes_unless_empty(json, "image", container.image);
  put_bytes_unless_empty(json, "image_digest", container.image_digest);
  put_bytes_unless_empty(json, "image_id", container.identity.image_id);
  put_number(json, "containers", side.containers);
  put_number(json, "observed_seconds", static_cast<uint64_t>(side.observed / kSecond));
  put_key(json, "complete");
  json.Bool(side.complete);
  put_number(json, "lost", side.lost);
  put_key(json, "final");
  json.Bool(side.final);
  if (container.undecided) {
    put_key(json, "undecided");
    json.Bool(true);
  }
  put_bytes_unless_empty(json, "not_observable", container.identity.not_observable);
  json.EndObject();
}

}  // namespace snoop
