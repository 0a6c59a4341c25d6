// SPDX-License-Identifier: Apache-2.0
// A report that snoop finds where it shall write one. What it goes on from it must be able to write again.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fuzz.h"
#include "output/diff.h"
#include "output/merge.h"
#include "output/report.h"
#include "output/report_reader.h"

namespace {

std::string written(const snoop::ReportContents& contents) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  snoop::write_report(stream, contents.header, contents.containers);
  std::fclose(stream);
  std::string result(text, size);
  std::free(text);
  return result;
}

snoop::Result<snoop::ReportContents> read(const std::string& text) {
  std::string copy = text.empty() ? " " : text;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(::fmemopen(copy.data(), copy.size(), "r"), &std::fclose);
  return snoop::read_report(stream.get());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const snoop::Result<snoop::ReportContents> contents = read(std::string(snoop::text_of(data, size)));
  if (!contents) {
    snoop::expect(!contents.error().what.empty(), "an error says what it is");
    return 0;
  }
  const std::string once = written(*contents);
  const snoop::Result<snoop::ReportContents> again = read(once);
  snoop::expect(again.has_value(), "what was written can be read");
  snoop::expect(written(*again) == once, "writing it again gives the same bytes");
  std::vector<snoop::NamedReport> reports;
  reports.push_back({"once", *read(once)});
  const snoop::Result<snoop::MergedReport> merged = snoop::merge(std::move(reports), snoop::MergeBy::kImage);
  snoop::expect(merged.has_value() && read(written(merged->contents)).has_value(), "what was merged can be read");
  snoop::DiffOptions everything;
  everything.all = everything.missing = true;
  const snoop::Result<snoop::ReportDiff> diff = snoop::compare(*again, *again, everything);
  snoop::expect(!diff || diff->is_empty(), "a report is no different from itself");
  return 0;
}
