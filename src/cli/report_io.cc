// SPDX-License-Identifier: Apache-2.0
#include "cli/report_io.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "output/report_reader.h"

namespace snoop {

Result<NamedReport> read_report_of(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(nullptr, &std::fclose);
  std::FILE* stream = stdin;
  if (path != "-") {
    opened.reset(std::fopen(path.c_str(), "re"));
    if (!opened) {
      return fail(errno, "cannot open " + path);
    }
    stream = opened.get();
  }
  const std::string name = path == "-" ? "stdin" : path;
  errno = 0;
  Result<ReportContents> contents = read_report(stream);
  if (!contents) {
    return fail(contents.error(), name);
  }
  return NamedReport{name, std::move(*contents)};
}

Result<void> write_to_stdout(const std::function<void(std::FILE*)>& write) {
  errno = 0;
  write(stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return fail(errno != 0 ? errno : EIO, "cannot write to stdout");
  }
  return {};
}

}  // namespace snoop
