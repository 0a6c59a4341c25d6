/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are long, deep or odd, and memory where a name is hard to read. */
#include <sys/mman.h>

#include "recall.h"

static void open_it(const char* name) { close((int)did("open", open(name, O_RDONLY), name)); }

/* --- odd names --- */

static const char* const kOdd[] = {"new\nline", "qu\"o'te", "back\\slash",  "sp ace", "not-utf8-\xff\xfe", "tab\t",
                                   "%41",       "*",        "\xe2\x8b\xaf", "-",      "\x01\x7f",          "..."};

static void odd_files(void) {
  for (size_t i = 0; i < sizeof(kOdd) / sizeof(*kOdd); i++) make_file(kOdd[i]);
}

static void odd(void) {
  for (size_t i = 0; i < sizeof(kOdd) / sizeof(*kOdd); i++) open_it(kOdd[i]);
}

/* --- the same file, spelled otherwise --- */

static void spelling_files(void) {
  make_directory("dir");
  make_file("dir/file");
}

static void spelling(void) {
  char path[4096];
  did("open", open("dir//file", O_RDONLY), "dir/file");
  did("open", open("./dir/./file", O_RDONLY), "dir/file");
  did("open", open("dir/", O_RDONLY), "dir");
  did("open", open("dir/.", O_RDONLY), "dir");
  did("open", open("dir/../dir/file", O_RDONLY), "dir/file");
  snprintf(path, sizeof(path), "//%s", path_of("dir/file"));
  did("open", open(path, O_RDONLY), "dir/file");
  snprintf(path, sizeof(path), "/../..%s", path_of("dir/file"));
  did("open", open(path, O_RDONLY), "dir/file");
  failed("open", ENOTDIR, open("dir/file/", O_RDONLY), "dir/file");
}

/* --- long --- */

static char long_name[256];

static void name_of_255(void) { memset(long_name, 'n', 255); }

static void long_component_file(void) {
  name_of_255();
  make_file(long_name);
}

static void long_component(void) {
  name_of_255();
  open_it(long_name);
}

/* A path of 4,095 bytes, the longest that a call takes: slashes fill it up. */
static void longest_path(void) {
  char path[4096];
  memset(path, '/', sizeof(path));
  memcpy(path, path_of(""), strlen(path_of("")));
  memcpy(path + 4095 - 4, "file", 5);
  did("open", open(path, O_RDONLY), "file");
}

static void longest_path_file(void) { make_file("file"); }

static char real_path[4096];

/* The longest absolute path without any slash to spare. */
static void name_longest(void) {
  const char* top = path_of("");
  size_t at = strlen(top);
  memcpy(real_path, top, at);
  while (at < 4095) {
    size_t part = 4095 - at;
    if (part > 255) part = 4095 - at - 256 == 0 ? 254 : 255; /* leave a name behind the slash */
    memset(real_path + at, 'd', part);
    at += part;
    if (at < 4095) real_path[at++] = '/';
  }
  real_path[4095] = '\0';
}

static void longest_names(void) {
  name_longest();
  char* slash = real_path + strlen(path_of(""));
  while ((slash = strchr(slash, '/'))) {
    *slash = '\0';
    make_directory(real_path);
    *slash++ = '/';
  }
  make_file(real_path);
}

static void longest_name(void) {
  name_longest();
  open_it(real_path);
}

/* --- deep: more levels than a call can name at once, by chdir --- */

static void make_levels(int count) {
  for (int i = 0; i < count; i++) {
    make_directory("l");
    must(chdir("l"), "l");
  }
  make_file("file");
}

static void go_levels(int count) {
  char* path = calloc(1, (size_t)count * 2 + 8);
  for (int i = 0; i < count; i++) {
    strcat(path, i ? "/l" : "l");
    did("stat", chdir("l"), path);
  }
  did("open", open("file", O_RDONLY), strcat(path, "/file"));
}

static void make_81(void) { make_levels(81); }
static void go_81(void) { go_levels(81); }
static void make_257(void) { make_levels(257); }
static void go_257(void) { go_levels(257); }

/* Long names, and so more than PATH_MAX in all: only the pieces can be named. */
static void make_long_levels(void) {
  name_of_255();
  for (int i = 0; i < 20; i++) {
    make_directory(long_name);
    must(chdir(long_name), long_name);
  }
  make_file("file");
}

static void go_long_levels(void) {
  static char path[8192];
  name_of_255();
  for (int i = 0; i < 20; i++) {
    if (i) strcat(path, "/");
    did("stat", chdir(long_name), strcat(path, long_name));
  }
  did("open", open("file", O_RDONLY), strcat(path, "/file"));
}

/* --- memory --- */

static void named_file(void) { make_file("file"); }

/* In a page of the program file that nobody has touched, and that is not in memory. */
__attribute__((section(".rodata.far"), aligned(4096))) static const char far_name[8192] = {[4096] = 'f', 'i', 'l', 'e'};

static void fresh_rodata(void) {
  madvise((void*)(size_t)far_name, sizeof(far_name), MADV_DONTNEED);
  did("open", syscall(SYS_open, far_name + 4096, O_RDONLY), "file");
}

static void name_in_a_file(void) {
  make_file("file");
  make_text("text", "file", 0644);
}

static void fresh_file_page(void) {
  const int fd = (int)did("open", open("text", O_RDONLY), "text");
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const char* memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  must(memory == MAP_FAILED ? -1 : 0, "mmap");
  did("open", syscall(SYS_open, memory, O_RDONLY), "file");
}

/* Two pages, and nothing behind them. */
static char* two_pages(void) {
  char* memory = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(memory == MAP_FAILED || munmap(memory + 2 * 4096, 4096) != 0 ? -1 : 0, "mmap");
  return memory;
}

static void page_border(void) {
  char* memory = two_pages();
  char *across = memory + 4096 - 2, *at_the_end = memory + 2 * 4096 - sizeof("file");
  strcpy(across, "file");
  strcpy(at_the_end, "file");
  did("open", syscall(SYS_open, across, O_RDONLY), "file");
  did("access", syscall(SYS_access, at_the_end, R_OK), "file");
}

static void released_memory(void) {
  /* The name is gone as soon as the call is done. */
  char* memory = two_pages();
  strcpy(memory, "file");
  const long fd = syscall(SYS_open, memory, O_RDONLY);
  memset(memory, 'x', 100);
  munmap(memory, 2 * 4096);
  did("open", fd, "file");
}

const struct recall_case recall_cases[] = {
    {"odd_names", odd, odd_files, RECALL_NEW},
    {"spellings", spelling, spelling_files, RECALL_NEW},
    {"component_of_255", long_component, long_component_file, RECALL_NEW},
    {"path_of_4095_slashes", longest_path, longest_path_file, RECALL_NEW},
    {"path_of_4095_names", longest_name, longest_names, RECALL_NEW},
    {"levels_81", go_81, make_81, RECALL_NEW},
    {"levels_257", go_257, make_257, RECALL_NEW},
    {"longer_than_path_max", go_long_levels, make_long_levels, RECALL_NEW},
    {"name_in_fresh_rodata", fresh_rodata, named_file, RECALL_NEW},
    {"name_in_fresh_file_page", fresh_file_page, name_in_a_file, RECALL_NEW},
    {"name_at_page_border", page_border, named_file, RECALL_NEW},
    {"name_gone_after_the_call", released_memory, named_file, RECALL_NEW},
    {0},
};
