// SPDX-License-Identifier: Apache-2.0
#include "cli/container_targets.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.h"
#include "container/cgroup_path.h"
#include "container/container_name.h"

namespace snoop {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A runtime makes the cgroup first, then tells of it.
constexpr seconds kCandidateTime{5};
/// From what says that a container is not asked for until it is let go of.
constexpr seconds kUnwantedTime{2};
/// Most runtimes have told of a container by then.
constexpr WallTime kDoubtTime = 5'000'000'000;
/// From the start until what is asked for and not there is told of.
constexpr seconds kMissingTime{5};
/// Of ended containers that are still undecided.
constexpr size_t kMostDoubtful = 1'000;
constexpr size_t kMostDoubtfulFiles = 200'000;
/// What a program of the kernel side that runs just now may take.
constexpr milliseconds kRetireTime{50};
/// Between two looks at all cgroups, where some could not be adopted.
constexpr seconds kLookTime{5};
/// Containers within one container. What it calls its cgroups is its own affair, and targets are for all.
constexpr size_t kMaxWithin = 256;

constexpr uint32_t kPassOn = SNOOP_TARGET_ADOPT | SNOOP_TARGET_ADOPT_DEEP;

}  // namespace

ContainerTargets::ContainerTargets(const Options& options, const CgroupTree& tree, Probe& probe, Recorder& recorder,
                                   TargetPool& pool, Handlers handlers)
    : tree_(tree),
      probe_(probe),
      recorder_(recorder),
      pool_(pool),
      handlers_(std::move(handlers)),
      selection_(options) {}

Result<void> ContainerTargets::start() {
  const Result<Cgroup> root = tree_.at("/");
  Result<Cgroup> own = tree_.own();
  if (!root || !own) {
    return tl::unexpected(root ? own.error() : root.error());
  }
  own_ = std::move(*own);
  if (const std::optional<ContainerName> name = parse_container_name(own_.path);
      name && name->kind == ContainerName::Kind::kContainer) {
    own_top_ = name->top;
  }
  if (Result<void> adopting = pool_.begin_adopting(); !adopting) {
    return adopting;
  }
  over_limit_ = probe_.global_stats().targets_over_limit;
  return walk(*root);
}

/// The parent first: what is made below it from then on is adopted by the kernel side. Nothing is replaced: that one
/// has a record on its way.
Result<void> ContainerTargets::walk(const Cgroup& cgroup, bool again) {
  // What may be one was started long ago: its runtime will tell.
  const Judgement judged = judge_path(cgroup.path);
  snoop_target target = {};
  if (judged.place == Place::kContainer) {
    const Result<snoop_target> next = pool_.next();
    if (!next) {
      // To be found by a later look, when others have ended.
      if (!probe_.has_cgroup(cgroup.id)) {
        is_starved_ = true;
        if (!again) {
          pool_.count_over_limit();
        }
      }
      return {};
    }
    target = *next;
    target.flags = SNOOP_TARGET_TOP;
  } else if (const Container* around = recorder_.find(judged.target); around != nullptr) {
    target.id = around->target;
    target.slot = around->slot;
  }
  target.flags |= kPassOn;
  const Result<bool> added = probe_.add_cgroup(cgroup.id, target, false);
  if (!added) {
    if (judged.place == Place::kContainer) {
      pool_.give_back(target);
    }
    if (added.error().code != E2BIG) {
      return tl::unexpected(added.error());
    }
    if (!again) {
      pool_.count_over_limit();
    }
    return {};
  }
  if (judged.place == Place::kContainer && *added) {
    adopt(cgroup, target, false);
  } else if (judged.place == Place::kContainer) {
    pool_.give_back(target);
  }
  for (const Cgroup& child : tree_.children(cgroup)) {
    if (Result<void> walked = walk(child, again); !walked) {
      return walked;
    }
  }
  // What was removed before it had an entry leaves no other trace.
  if (const Result<Cgroup> now = tree_.at(cgroup.path); !now || now->id != cgroup.id) {
    probe_.remove_cgroup(cgroup.id);
  }
  return {};
}

ContainerTargets::Judgement ContainerTargets::judge_path(const std::string& path) {
  const std::optional<ContainerName> name = parse_container_name(path);
  const bool is_container = name && name->kind == ContainerName::Kind::kContainer;
  if (is_own(path, is_container ? name->top : std::string_view())) {
    return {};
  }
  if (is_container && name->is_top) {
    const std::string outer(name->outer);
    if (!outer.empty() && tops_within(outer) >= kMaxWithin) {
      return {Place::kInside, target_at(outer)};
    }
    return {Place::kContainer, 0};
  }
  if (is_container) {
    return {Place::kInside, target_at(std::string(name->top))};
  }
  // One that its runtime has told of may be around.
  for (std::string above = path; above != "/"; above = parent_path(above)) {
    if (const auto top = tops_.find(above); top != tops_.end()) {
      return {above == path ? Place::kContainer : Place::kInside, top->second};
    }
  }
  return {!name && may_be_container(path) ? Place::kCandidate : Place::kNothing, 0};
}

/// Of the container with this top cgroup; 0: it is not recorded.
uint32_t ContainerTargets::target_at(const std::string& top) {
  if (const auto found = tops_.find(top); found != tops_.end()) {
    return found->second;
  }
  // The record of its adoption may have been lost.
  const Result<Cgroup> cgroup = tree_.at(top);
  const std::optional<snoop_target> target = cgroup ? probe_.target_of(cgroup->id) : std::nullopt;
  if (target && target->id != 0 && pool_.has(target->id) && recorder_.find(target->id) == nullptr &&
      !retired_.contains(target->id)) {
    place(*cgroup, *target);
  }
  const auto found = tops_.find(top);
  return found == tops_.end() ? 0 : found->second;
}

bool ContainerTargets::is_own(std::string_view path, std::string_view top) const {
  if (!top.empty()) {
    return top == own_top_;
  }
  return own_top_.empty() && own_.path != "/" && is_at_or_below(path, own_.path);
}

size_t ContainerTargets::tops_within(const std::string& path) const {
  size_t count = 0;
  const std::string prefix = path + "/";
  for (auto top = tops_.lower_bound(prefix); top != tops_.end() && top->first.starts_with(prefix); top++) {
    count++;
  }
  return count;
}

void ContainerTargets::place(const Cgroup& cgroup, const snoop_target& target) {
  pool_.set_aside_or_warn();
  const Judgement judged = judge_path(cgroup.path);
  if (judged.place == Place::kContainer || judged.place == Place::kCandidate) {
    adopt(cgroup, target, judged.place == Place::kCandidate);
    return;
  }
  const Container* around = recorder_.find(judged.target);
  snoop_target instead = {};
  if (around != nullptr) {
    instead.id = around->target;
    instead.slot = around->slot;
  }
  instead.flags = kPassOn;
  repoint(cgroup, instead);
  retire(target.id, instead.id);
}

void ContainerTargets::adopt(const Cgroup& cgroup, const snoop_target& target, bool is_candidate) {
  if (is_candidate) {
    candidates_[target.id] = Clock::now() + kCandidateTime;
  } else {
    tops_[cgroup.path] = target.id;
  }
  handlers_.add(cgroup, target);
}

void ContainerTargets::repoint(const Cgroup& cgroup, const snoop_target& target) {
  if (const Result<bool> added = probe_.add_cgroup(cgroup.id, target, true); !added) {
    spdlog::warn("{}", added.error().message());
  }
  if (const Result<Cgroup> now = tree_.at(cgroup.path); !now || now->id != cgroup.id) {
    probe_.remove_cgroup(cgroup.id);
  }
}

/// Those below that are of one target (0: of none) become another's.
void ContainerTargets::repoint_below(const Cgroup& cgroup, uint32_t from, const snoop_target& target) {
  for (const Cgroup& child : tree_.children(cgroup)) {
    const std::optional<snoop_target> now = probe_.target_of(child.id);
    if ((now ? now->id : 0) == from) {
      repoint(child, target);
      if (target.id == 0) {
        handlers_.on_left_out(child.id);
      }
    }
    repoint_below(child, from, target);
  }
}

void ContainerTargets::retire(uint32_t former, uint32_t into) { retired_[former] = {into, round_, Clock::now()}; }

Container* ContainerTargets::container_of(uint32_t target, uint64_t cgroup_id) {
  if (Container* container = recorder_.find(target)) {
    return container;
  }
  if (const auto retired = retired_.find(target); retired != retired_.end()) {
    return recorder_.find(retired->second.into);
  }
  // The record of its cgroup was lost, or this one was very late.
  const std::optional<snoop_target> now = probe_.target_of(cgroup_id);
  if (now && now->id != target) {
    return recorder_.find(now->id);
  }
  const Result<Cgroup> cgroup = tree_.find_id(cgroup_id);
  snoop_target lost = {};
  lost.id = target;
  lost.slot = pool_.slot_of(target);
  if (cgroup && now) {
    spdlog::debug("{}: known by an access, since its record was lost", printable(cgroup->path));
    place(*cgroup, lost);
    return container_of(target, cgroup_id);
  }
  // It is gone already, and was a container's or not.
  return pool_.has(target) ? &handlers_.add({cgroup_id, ""}, lost) : nullptr;
}

bool ContainerTargets::end(uint32_t target) {
  if (retired_.contains(target)) {
    return false;
  }
  const Container* container = recorder_.find(target);
  if (container == nullptr) {
    return true;
  }
  if (const auto top = tops_.find(container->cgroup_path); top != tops_.end() && top->second == target) {
    tops_.erase(top);
  }
  return true;
}

void ContainerTargets::judge(Container& container) {
  const uint32_t target = container.target;
  if (candidates_.contains(target)) {
    container.undecided = true;
    if (container.identity.source.empty()) {
      return;
    }
    candidates_.erase(target);
    if (container.ended_at == 0) {
      tops_[container.cgroup_path] = target;
    }
    take_in_candidates(container.cgroup_path, target);
  }
  // It may have moved.
  Container& judged = *recorder_.find(target);
  const Selection::Verdict verdict = selection_.judge(judged);
  judged.undecided = verdict != Selection::Verdict::kYes;
  judged.doubtful = judged.doubtful && verdict == Selection::Verdict::kUnknown;
  if (verdict == Selection::Verdict::kNo) {
    unwanted_since_.try_emplace(target, Clock::now());
  } else {
    unwanted_since_.erase(target);
  }
}

/// Cgroups below one that turned out to be a container's: they were recorded by themselves until now.
void ContainerTargets::take_in_candidates(const std::string& path, uint32_t target) {
  std::vector<uint32_t> below;
  for (const auto& [candidate, until] : candidates_) {
    const Container* container = recorder_.find(candidate);
    if (container != nullptr && container->cgroup_path != path && is_at_or_below(container->cgroup_path, path)) {
      below.push_back(candidate);
    }
  }
  snoop_target instead = {};
  instead.id = target;
  instead.slot = recorder_.find(target)->slot;
  instead.flags = kPassOn;
  for (const uint32_t one : below) {
    Container& part = *recorder_.find(one);
    if (part.ended_at == 0) {
      repoint({part.cgroup_id, part.cgroup_path}, instead);
      retire(one, target);
    }
    candidates_.erase(one);
    handlers_.on_removing(part);
    recorder_.find(target)->take_in(std::move(part));
    recorder_.remove(one);
  }
}

bool ContainerTargets::on_known(const KnownContainer& known) {
  const std::string& path = known.cgroup_path;
  const bool is_there = known.state != "exited" && known.state != "removed" && known.identity.not_observable.empty();
  if (!is_there || path.size() < 2 || path.front() != '/' || !may_be_container(path) ||
      is_at_or_below(own_.path, path) || tops_within(path) > 0 || judge_path(path).place != Place::kCandidate) {
    return false;
  }
  const Result<Cgroup> cgroup = tree_.at(path);
  Result<snoop_target> target = cgroup ? pool_.next() : tl::unexpected(cgroup.error());
  if (!target) {
    return false;
  }
  target->flags = SNOOP_TARGET_TOP | kPassOn;
  adopt(*cgroup, *target, false);
  repoint(*cgroup, *target);
  take_in_candidates(path, target->id);
  target->flags = kPassOn;
  repoint_below(*cgroup, 0, *target);
  handlers_.on_found_late(*recorder_.find(target->id));
  return true;
}

void ContainerTargets::drop(uint32_t target) {
  Container& container = *recorder_.find(target);
  const Cgroup cgroup{container.cgroup_id, container.cgroup_path};
  spdlog::debug("{} is not asked for", printable(cgroup.path));
  handlers_.on_removing(container);
  if (container.ended_at == 0) {
    snoop_target none = {};
    none.flags = kPassOn;
    tops_.erase(cgroup.path);
    repoint(cgroup, none);
    repoint_below(cgroup, target, none);
    handlers_.on_left_out(cgroup.id);
    retire(target, 0);
  }
  recorder_.remove(target);
  candidates_.erase(target);
  unwanted_since_.erase(target);
}

void ContainerTargets::settle(uint32_t target, const Retired& retired) {
  if (Container* container = recorder_.find(retired.into)) {
    const snoop_target_stats stats = probe_.target_stats(pool_.slot_of(target));
    container->earlier_events += stats.events;
    container->earlier_losses.ring_full += stats.ring_full;
    container->earlier_losses.path_unreadable += stats.path_unreadable;
    container->earlier_losses.path_truncated += stats.path_truncated;
    container->earlier_losses.base_unknown += stats.base_unknown;
    if (stats.ring_full != 0) {
      const WallTime now = wall_now();
      container->add_loss_window(now - std::chrono::nanoseconds(Clock::now() - retired.at).count(), now,
                                 stats.ring_full, "ring_full");
    }
  }
  pool_.release(target);
}

void ContainerTargets::on_round(bool all) {
  round_++;
  const Clock::time_point now = Clock::now();
  for (auto one = retired_.begin(); one != retired_.end();) {
    const bool is_due = all || (round_ >= one->second.round + 2 && now >= one->second.at + kRetireTime);
    if (is_due) {
      settle(one->first, one->second);
    }
    one = is_due ? retired_.erase(one) : std::next(one);
  }
  std::vector<uint32_t> dropped;
  for (const auto& [target, until] : candidates_) {
    // One around it may turn out to be a container's: that one is decided no later.
    if (now >= until) {
      dropped.push_back(target);
    }
  }
  for (const auto& [target, since] : unwanted_since_) {
    if (now >= since + kUnwantedTime) {
      dropped.push_back(target);
    }
  }
  for (const uint32_t target : dropped) {
    if (recorder_.find(target) != nullptr) {
      drop(target);
    }
  }
  mark_doubtful(all);
  forget_oldest_doubtful();
  if (!told_missing_ && now >= started_at_ + kMissingTime) {
    told_missing_ = true;
    tell_what_is_missing();
  }
  look_again();
}

/// Of what may be no container at all nothing is said, nor of what is known not to be asked for.
bool ContainerTargets::is_undecided(const Container& container) const {
  return container.undecided && container.target != 0 && !container.cgroup_path.empty() &&
         !candidates_.contains(container.target) && !unwanted_since_.contains(container.target);
}

void ContainerTargets::mark_doubtful(bool all) {
  const WallTime now = wall_now();
  for (Container& container : recorder_.containers()) {
    const bool is_due = all || now - container.observed.back().from > kDoubtTime;
    if (container.doubtful || !is_due || !is_undecided(container)) {
      continue;
    }
    container.doubtful = true;
    spdlog::log(std::exchange(told_doubtful_, true) ? spdlog::level::debug : spdlog::level::warn,
                "nobody has said whether {} ({}) is asked for: it is in the report, as undecided",
                printable(container.name), printable(container.cgroup_path));
  }
}

/// Somebody may still tell of them, however late: what is kept for that has a limit.
void ContainerTargets::forget_oldest_doubtful() {
  std::vector<std::pair<WallTime, uint32_t>> ended;
  size_t files = 0;
  for (const Container& container : recorder_.containers()) {
    if (container.ended_at != 0 && is_undecided(container)) {
      ended.emplace_back(container.ended_at, container.target);
      files += container.files.size();
    }
  }
  if (ended.size() <= kMostDoubtful && files <= kMostDoubtfulFiles) {
    return;
  }
  std::sort(ended.begin(), ended.end());
  size_t left = ended.size();
  for (const auto& [ended_at, target] : ended) {
    // A tenth at a time.
    if (left <= kMostDoubtful - kMostDoubtful / 10 && files <= kMostDoubtfulFiles - kMostDoubtfulFiles / 10) {
      break;
    }
    files -= recorder_.find(target)->files.size();
    left--;
    drop(target);
    pool_.count_over_limit();
  }
  if (!std::exchange(told_forgotten_, true)) {
    spdlog::warn(
        "too many ended containers of which nobody has said whether they are asked for: the oldest are forgotten");
  }
}

void ContainerTargets::tell_what_is_missing() {
  for (const std::string& name : selection_.missing(recorder_.containers())) {
    spdlog::warn("there is no {} yet", printable(name));
  }
}

/// Where the kernel side found no target for new cgroups, they have none until somebody looks.
void ContainerTargets::look_again() {
  const uint64_t over_limit = probe_.global_stats().targets_over_limit;
  const Clock::time_point now = Clock::now();
  const bool can_feed = is_starved_ && !pool_.is_empty();
  if ((over_limit == over_limit_ && !can_feed) || now < looked_at_ + kLookTime) {
    return;
  }
  is_starved_ = false;
  over_limit_ = over_limit;
  looked_at_ = now;
  const Result<Cgroup> root = tree_.at("/");
  if (const Result<void> walked = root ? walk(*root, true) : tl::unexpected(root.error()); !walked) {
    spdlog::warn("{}", walked.error().message());
  }
}

uint64_t ContainerTargets::undecided() const {
  const std::vector<Container>& containers = recorder_.containers();
  return static_cast<uint64_t>(
      std::count_if(containers.begin(), containers.end(), [&](const Container& one) { return is_undecided(one); }));
}

}  // namespace snoop
