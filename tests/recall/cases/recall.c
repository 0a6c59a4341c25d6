/* SPDX-License-Identifier: Apache-2.0 */
#include "recall.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* Shared with the children, so that they can tell as well. */
struct lines {
  size_t length;
  char text[8 << 20];
};

static struct lines* lines;
static const char* directory;
static const char* case_name;

static void die(const char* what) {
  fprintf(stderr, "%s: %s: %s\n", case_name, what, strerror(errno));
  _exit(1);
}

static void put(char c) {
  if (lines->length == sizeof(lines->text)) {
    errno = ENOSPC;
    die("too much to tell");
  }
  lines->text[lines->length++] = c;
}

static void put_word(const char* word) {
  for (; *word; word++) put(*word);
}

static void put_path(const char* path) {
  put(' ');
  for (; *path; path++) {
    const unsigned char byte = (unsigned char)*path;
    if (byte > ' ' && byte < 0x7f && byte != '%') {
      put(*path);
    } else {
      put('%');
      put("0123456789ABCDEF"[byte >> 4]);
      put("0123456789ABCDEF"[byte & 15]);
    }
  }
}

const char* path_of(const char* name) {
  char* path = NULL;
  if (*name == '/') return name;
  if (asprintf(&path, "%s/%s", directory, name) < 0) die("asprintf");
  return path;
}

static void tell(const char* verb, const char* kind, const char* outcome, const char* name, const char* resolved) {
  put_word(verb);
  put(' ');
  put_word(kind);
  put(' ');
  put_word(outcome);
  put_path(path_of(name));
  if (resolved) put_path(path_of(resolved));
  put('\n');
}

static const char* outcome_of(int error) {
  switch (error) {
    case 0:
      return "ok";
    case ENOENT:
    case ENOTDIR:
      return "missing";
    case EACCES:
    case EPERM:
      return "refused";
    default:
      return "other";
  }
}

long did(const char* kind, long result, const char* name) { return led(kind, result, name, NULL); }

long led(const char* kind, long result, const char* name, const char* resolved) {
  if (result < 0) die(name);
  tell("USED", kind, "ok", name, resolved);
  return result;
}

void failed(const char* kind, int error, long result, const char* name) {
  if (result >= 0 || errno != error) die(name);
  tell("USED", kind, outcome_of(error), name, NULL);
}

void walked(const char* name) { tell("USED", "symlink", "ok", name, NULL); }

void used(const char* kind, const char* outcome, const char* name) { tell("USED", kind, outcome, name, NULL); }

void may(const char* kind, const char* outcome, const char* name) { tell("MAY", kind, outcome, name, NULL); }

long must(long result, const char* what) {
  if (result < 0) die(what);
  return result;
}

static void flush(void) {
  size_t done = 0;
  while (done < lines->length) {
    const ssize_t more = write(STDOUT_FILENO, lines->text + done, lines->length - done);
    if (more < 0) die("stdout");
    done += (size_t)more;
  }
}

void skip(const char* reason) {
  lines->length = 0;
  put_word("SKIP ");
  put_word(reason);
  put('\n');
  flush();
  _exit(0);
}

void wait_for(long pid, int status) {
  int ended = 0;
  must(waitpid((pid_t)pid, &ended, 0), "waitpid");
  if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status) {
    fprintf(stderr, "%s: a child ended with status %#x\n", case_name, ended);
    _exit(1);
  }
}

void in_child(void (*body)(void)) {
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(0);
  }
  wait_for(must(pid, "fork"), 0);
}

void meet(void) {
  char byte;
  must(write(STDOUT_FILENO, "READY\n", 6), "stdout");
  if (read(STDIN_FILENO, &byte, 1) != 1) die("stdin");
}

void make_text(const char* name, const char* text, mode_t mode) {
  const int fd = (int)must(open(name, O_WRONLY | O_CREAT | O_TRUNC, mode), name);
  must(write(fd, text, strlen(text)), name);
  must(fchmod(fd, mode), name);
  close(fd);
}

void make_file(const char* name) { make_text(name, "text\n", 0644); }

void make_directory(const char* name) { must(mkdir(name, 0755), name); }

void make_link(const char* text, const char* name) { must(symlink(text, name), name); }

void copy_program(const char* program, const char* name) {
  char self[4096], buffer[65536];
  const ssize_t length = must(readlink("/proc/self/exe", self, sizeof(self) - 64), "/proc/self/exe");
  self[length] = '\0';
  strcpy(strrchr(self, '/') + 1, program);
  const int from = (int)must(open(self, O_RDONLY), self);
  const int to = (int)must(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755), name);
  ssize_t part;
  while ((part = must(read(from, buffer, sizeof(buffer)), self)) > 0) must(write(to, buffer, (size_t)part), name);
  close(from);
  close(to);
}

int main(int argc, char** argv) {
  static const char* const kWhen[] = {"new", "before", "moved"};
  const struct recall_case* one = recall_cases;

  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (; one->name; one++) printf("%s %s\n", one->name, kWhen[one->when]);
    return 0;
  }
  while (argc == 4 && one->name && strcmp(one->name, argv[1]) != 0) one++;
  if (argc != 4 || !one->name) {
    fprintf(stderr, "usage: %s --list | CASE prepare|run DIRECTORY\n", argv[0]);
    return 2;
  }
  case_name = argv[1];
  directory = argv[3];
  umask(022);
  if (strcmp(argv[2], "prepare") == 0) {
    if (one->prepare) one->prepare();
    return 0;
  }
  lines = mmap(NULL, sizeof(*lines), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (lines == MAP_FAILED) die("mmap");
  one->run();
  flush();
  /* No exit handlers: whoever changed the root could not run them. */
  _exit(0);
}
