// SPDX-License-Identifier: Apache-2.0
#include "output/report_reader.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/filereadstream.h>
#include <rapidjson/reader.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "output/report_values.h"

namespace snoop {

namespace {

/// One name, string or number, with the space around it.
constexpr size_t kMaxTokenBytes = 4UL << 20;
/// Containers stand at depth 3, files at 5, their lists at 6.
constexpr size_t kMaxDepth = 32;
/// Of what is held at a time: a file, and the container and the top around it.
constexpr size_t kMaxHeldBytes = 64UL << 20;

/// Ends where a token is longer than there is memory for.
class BoundedStream {
 public:
  using Ch = char;

  explicit BoundedStream(std::FILE* file) : in_(file, buffer_.data(), buffer_.size()) {}

  [[nodiscard]] Ch Peek() const { return left_ == 0 ? '\0' : in_.Peek(); }
  Ch Take() {
    if (left_ == 0) {
      return '\0';
    }
    left_--;
    taken_++;
    return in_.Take();
  }
  [[nodiscard]] size_t Tell() const { return taken_; }
  // For writing in place, which this cannot.
  Ch* PutBegin() { return nullptr; }
  void Put(Ch) {}
  void Flush() {}
  size_t PutEnd(Ch*) { return 0; }

  /// A NUL byte looks like the end to whoever peeks.
  [[nodiscard]] bool is_at_end() {
    const size_t before = in_.Tell();
    in_.Take();
    return in_.Tell() == before;
  }

  void token_ended() { left_ = left_ == 0 ? 0 : kMaxTokenBytes; }
  [[nodiscard]] bool is_over_limit() const { return left_ == 0; }

 private:
  std::array<char, 64UL * 1024> buffer_ = {};
  rapidjson::FileReadStream in_;
  size_t left_ = kMaxTokenBytes;
  size_t taken_ = 0;
};

/// Takes the events of the parser and builds values. Each file is read and
/// forgotten when it ends, and so is each container.
class Builder {
 public:
  using Ch = char;

  Builder(BoundedStream& stream, ReportContents& contents) : stream_(stream), contents_(contents) {}

  bool Null() { return add({}); }
  bool Bool(bool flag) {
    return add({.type = Value::Type::kBool, .flag = flag, .text = {}, .items = {}, .members = {}});
  }
  bool Int(int) { return add_other(); }
  bool Int64(int64_t) { return add_other(); }
  bool Double(double) { return add_other(); }
  bool RawNumber(const Ch*, rapidjson::SizeType, bool) { return add_other(); }
  bool Uint(unsigned number) { return Uint64(number); }
  bool Uint64(uint64_t number) {
    return add({.type = Value::Type::kNumber, .number = number, .text = {}, .items = {}, .members = {}});
  }
  bool String(const Ch* text, rapidjson::SizeType size, bool) {
    held_bytes_ += size;
    return add({.type = Value::Type::kText, .text = std::string(text, size), .items = {}, .members = {}});
  }
  bool StartObject() {
    if (is_in(kContainersList)) {
      files_.emplace(std::numeric_limits<size_t>::max());
    }
    return start(Value::Type::kObject);
  }
  bool Key(const Ch* text, rapidjson::SizeType size, bool) {
    stream_.token_ended();
    held_bytes_ += size;
    open_.back().key.assign(text, size);
    return true;
  }
  bool EndObject(rapidjson::SizeType) { return end(); }
  bool StartArray() { return start(Value::Type::kArray); }
  bool EndArray(rapidjson::SizeType) { return end(); }

  [[nodiscard]] bool has_top() const { return has_top_; }

 private:
  struct Open {
    Value value;
    /// Of the member that comes next.
    std::string key = {};
    size_t held_bytes_before = 0;
  };
  // Depths of the open values around.
  static constexpr size_t kContainersList = 2;
  static constexpr size_t kFilesList = 4;

  /// Whether what comes next is a container, or a file.
  [[nodiscard]] bool is_in(size_t list) const {
    return open_.size() == list && open_[0].key == "containers" && open_[1].value.type == Value::Type::kArray &&
           (list == kContainersList || (open_[2].key == "files" && open_[2].value.type == Value::Type::kObject &&
                                        open_[3].value.type == Value::Type::kArray));
  }

  bool start(Value::Type type) {
    stream_.token_ended();
    if (open_.size() >= kMaxDepth) {
      damaged("it is too deep");
    }
    const size_t before = held_bytes_;
    open_.push_back({.value = {.type = type, .text = {}, .items = {}, .members = {}}, .held_bytes_before = before});
    return true;
  }

  bool end() {
    Open ended = std::move(open_.back());
    open_.pop_back();
    if (open_.empty()) {
      if (ended.value.type != Value::Type::kObject) {
        foreign();
      }
      finish(ended.value);
      return true;
    }
    if (is_in(kFilesList)) {
      read_file_entry(ended.value, *files_);
      held_bytes_ = ended.held_bytes_before;
      return true;
    }
    if (is_in(kContainersList)) {
      if (contents_.containers.size() >= kMaxContainers || !find(ended.value, "files")) {
        damaged("too many containers, or one without files");
      }
      contents_.containers.push_back(get_container(ended.value, std::move(*files_)));
      held_bytes_ = ended.held_bytes_before;
      return true;
    }
    return add(std::move(ended.value));
  }

  bool add_other() { return add({.type = Value::Type::kOther, .text = {}, .items = {}, .members = {}}); }

  bool add(Value value) {
    stream_.token_ended();
    held_bytes_ += 2 * sizeof(Value);
    if (held_bytes_ > kMaxHeldBytes) {
      damaged("it is too large for what it says");
    }
    if (open_.empty()) {
      foreign();
    }
    if (is_in(kContainersList) || is_in(kFilesList)) {
      damaged("a container or a file is no object");
    }
    Open& parent = open_.back();
    if (parent.value.type == Value::Type::kArray) {
      parent.value.items.push_back(std::move(value));
      return true;
    }
    if (open_.size() == 1 && parent.key == "schema_version") {
      check_version(value);
    }
    const bool is_label =
        (open_.size() == 2 && open_[0].key == "labels") || (open_.size() == 4 && open_[2].key == "labels");
    const auto [place, is_new] = parent.value.members.try_emplace(parent.key, Value());
    // Two labels of other bytes than UTF-8 may look the same.
    if (!is_new && !is_label) {
      damaged(fmt::format("{} stands twice", printable(parent.key)));
    }
    place->second = std::move(value);
    return true;
  }

  static void check_version(const Value& version) {
    if (version.type != Value::Type::kNumber || version.number == 0) {
      foreign();
    }
    if (version.number > kReportSchemaVersion) {
      damaged(fmt::format("it is of schema version {}, and this snoop reads up to {}: a newer snoop wrote it",
                          version.number, kReportSchemaVersion));
    }
  }

  [[noreturn]] static void foreign() { damaged("it is no report of snoop"); }

  void finish(const Value& top) {
    if (find(top, "schema_version") == nullptr || find(top, "snoop_version") == nullptr) {
      foreign();
    }
    read_top(top, contents_);
    has_top_ = true;
  }

  BoundedStream& stream_;
  ReportContents& contents_;
  std::vector<Open> open_;
  /// Of the container that is being read.
  std::optional<AccessStore> files_;
  size_t held_bytes_ = 0;
  bool has_top_ = false;
};

}  // namespace

Result<ReportContents> read_report(std::FILE* stream) {
  ReportContents contents;
  const auto in = std::make_unique<BoundedStream>(stream);
  Builder builder(*in, contents);
  rapidjson::Reader reader;
  try {
    const rapidjson::ParseResult parsed =
        reader.Parse<rapidjson::kParseValidateEncodingFlag | rapidjson::kParseIterativeFlag>(*in, builder);
    if (std::ferror(stream) != 0) {
      return fail(errno != 0 ? errno : EIO, "it cannot be read");
    }
    if (in->is_over_limit()) {
      return fail(0, "a part of it is too long");
    }
    if (parsed.IsError()) {
      std::string_view why = rapidjson::GetParseError_En(parsed.Code());
      why.remove_suffix(why.ends_with('.') ? 1 : 0);
      return fail(0, fmt::format("it is no JSON, or cut off: at byte {}: {}", parsed.Offset(), why));
    }
  } catch (const Damage& damage) {
    return fail(0, damage.what);
  }
  if (!builder.has_top() || !in->is_at_end()) {
    return fail(0, "something stands behind the report");
  }
  return contents;
}

}  // namespace snoop
