/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are started: by every call, by other names, by threads, and by the kernel for a `#!`. */
#include <dlfcn.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>

#include "recall.h"

extern char** environ;

static void program(void) {
  copy_program("tiny", "prog");
  make_file("file");
}

/* Runs a program in a new process and waits for it; it must exit with 0. */
static void run(const char* path, const char* const* arguments) {
  const pid_t pid = vfork();
  if (pid == 0) {
    execve(path, (char* const*)(size_t)arguments, environ);
    _exit(99);
  }
  wait_for(must(pid, "vfork"), 0);
}

static void run_with_file(const char* path) { run(path, (const char* const[]){path, "file", NULL}); }

static void started_by_vfork(void) {
  run_with_file("prog");
  used("exec", "ok", "prog");
  used("open", "ok", "file");
}

static void started_by_spawn(void) {
  pid_t pid = 0;
  char* arguments[] = {(char*)"prog", (char*)"file", NULL};
  errno = posix_spawn(&pid, path_of("prog"), NULL, NULL, arguments, environ);
  must(errno ? -1 : 0, "posix_spawn");
  wait_for(pid, 0);
  used("exec", "ok", "prog");
  used("open", "ok", "file");
}

static void* exec_in_thread(void* unused) {
  execl("prog", "prog", "file", (char*)NULL);
  return unused;
}

static void exec_by_a_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, exec_in_thread, NULL);
  pthread_join(thread, NULL);
  _exit(99);
}

static void started_by_thread(void) {
  in_child(exec_by_a_thread);
  used("exec", "ok", "prog");
  used("open", "ok", "file");
}

static void* open_in_thread(void* name) {
  did("open", open(name, O_RDONLY), name);
  return NULL;
}

static void many_files(void) {
  char name[16];
  for (int i = 0; i < 16; i++) {
    snprintf(name, sizeof(name), "file%d", i);
    make_file(name);
  }
}

static void threads_at_once(void) {
  static char names[16][16];
  pthread_t threads[16];
  for (int i = 0; i < 16; i++) {
    snprintf(names[i], sizeof(names[i]), "file%d", i);
    /* One after the other: their telling is not made for threads. The kernel sees 16 tasks of one process. */
    pthread_create(&threads[i], NULL, open_in_thread, names[i]);
    pthread_join(threads[i], NULL);
  }
}

static void fexec_file_body(void) {
  const int fd = open("prog", O_RDONLY | O_CLOEXEC);
  char* arguments[] = {(char*)"prog", (char*)"file", NULL};
  fexecve(fd, arguments, environ);
  _exit(99);
}

static void fexec_file(void) {
  in_child(fexec_file_body);
  used("open", "ok", "prog");
  used("exec", "ok", "prog");
  used("open", "ok", "file");
}

static void fexec_memory_body(void) {
  char buffer[65536];
  const int from = open("prog", O_RDONLY), fd = memfd_create("in-memory", MFD_CLOEXEC);
  char* arguments[] = {(char*)"prog", (char*)"file", NULL};
  for (ssize_t part; (part = read(from, buffer, sizeof(buffer))) > 0;) must(write(fd, buffer, (size_t)part), "memfd");
  fexecve(fd, arguments, environ);
  _exit(99);
}

static void fexec_memory(void) {
  /* What ran has no name; what it used has. */
  in_child(fexec_memory_body);
  used("open", "ok", "prog");
  used("open", "ok", "file");
}

static void execveat_body(void) {
  const int dir = open("dir", O_PATH | O_CLOEXEC);
  char* arguments[] = {(char*)"prog", NULL};
  syscall(SYS_execveat, dir, "prog", arguments, environ, 0);
  _exit(99);
}

static void program_in_directory(void) {
  make_directory("dir");
  copy_program("tiny", "dir/prog");
}

static void execveat_directory(void) {
  in_child(execveat_body);
  used("open", "ok", "dir");
  used("exec", "ok", "dir/prog");
}

static void execveat_empty_body(void) {
  const int fd = open("prog", O_PATH | O_CLOEXEC);
  char* arguments[] = {(char*)"prog", (char*)"file", NULL};
  syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
  _exit(99);
}

static void execveat_empty(void) {
  in_child(execveat_empty_body);
  used("open", "ok", "prog");
  used("exec", "ok", "prog");
  used("open", "ok", "file");
}

static void failed_execs(void) {
  char* arguments[] = {(char*)"x", NULL};
  failed("exec", ENOENT, execve("none", arguments, environ), "none");
  failed("exec", EACCES, execve("file", arguments, environ), "file");
  failed("exec", ENOEXEC, execve("noise", arguments, environ), "noise");
  failed("exec", ENOENT, execve("orphan", arguments, environ), "orphan");
}

static void failing_programs(void) {
  make_file("file");
  make_text("noise", "\1\2\3\4 neither a program nor a script\n", 0755);
  make_text("orphan", "#!/no/such/interpreter\n", 0755);
}

/* --- scripts --- */

static char* format(const char* text, const char* name) {
  char* made = NULL;
  must(asprintf(&made, text, path_of(name)), "asprintf");
  return made;
}

static void script_of_tiny(void) {
  program();
  make_text("script", format("#!%s\n", "prog"), 0755);
}

/* tiny opens its arguments: the script, as an interpreter does, and what follows. */
static void script(void) {
  run_with_file("script");
  used("exec", "ok", "script");
  used("interpreter", "ok", "prog");
  used("open", "ok", "script");
  used("open", "ok", "file");
}

static void script_with_argument_made(void) {
  program();
  make_text("script", format("#! %s file\n", "prog"), 0755);
}

static void script_with_argument(void) {
  run("script", (const char* const[]){"script", NULL});
  used("exec", "ok", "script");
  used("interpreter", "ok", "prog");
  used("open", "ok", "script");
  used("open", "ok", "file");
}

static void nested_script_made(void) {
  script_of_tiny();
  make_text("outer", format("#!%s\n", "script"), 0755);
}

static void nested_script(void) {
  run_with_file("outer");
  used("exec", "ok", "outer");
  used("interpreter", "ok", "prog");
  /* tiny opens both as its arguments; the kernel took "script" as an interpreter. */
  used("open", "ok", "script");
  used("open", "ok", "outer");
  used("open", "ok", "file");
  may("interpreter", "ok", "script");
}

/* An interpreter in the middle that nothing but the kernel opens. */
static void silent_nested_made(void) {
  make_file("file");
  make_text("middle", "#!/bin/true\n", 0755);
  make_text("outer", format("#!%s\n", "middle"), 0755);
}

static void silent_nested(void) {
  run_with_file("outer");
  used("exec", "ok", "outer");
  used("interpreter", "ok", "/bin/true");
  used("interpreter", "ok", "middle");
}

static void linked_interpreter_made(void) {
  program();
  make_link("prog", "link");
  make_text("script", format("#!%s\n", "link"), 0755);
}

static void linked_interpreter(void) {
  run_with_file("script");
  used("exec", "ok", "script");
  led("interpreter", 0, "link", "prog");
  walked("link");
  used("open", "ok", "script");
  used("open", "ok", "file");
}

static void env_script_made(void) {
  make_file("file");
  make_text("script", "#!/usr/bin/env sh\nread line <file\n", 0755);
}

/* Shells ask where they are. */
static void shell(void) { may("stat", "ok", ""); }

static void env_script(void) {
  shell();
  run("script", (const char* const[]){"script", NULL});
  used("exec", "ok", "script");
  used("interpreter", "ok", "/usr/bin/env");
  used("open", "ok", "script");
  used("open", "ok", "file");
}

static void plain_script_made(void) {
  make_file("file");
  make_text("plain", "read line <file\n", 0755);
}

static void plain_script(void) {
  shell();
  run("/bin/sh", (const char* const[]){"sh", "-c", "./plain", NULL});
  used("exec", "ok", "/bin/sh");
  used("exec", "other", "plain"); /* ENOEXEC; the shell then reads it */
  used("open", "ok", "plain");
  used("open", "ok", "file");
  may("stat", "ok", "plain");
  may("exec", "ok", "plain");
}

/* --- libraries --- */

static void library(void) { copy_program("library.so", "library.so"); }

static void loaded(void) {
  void* handle = dlopen(path_of("library.so"), RTLD_NOW);
  did("open", handle ? 0 : -1, "library.so");
  must(((int (*)(void))dlsym(handle, "answer"))() == 42 ? 0 : -1, "answer");
}

static void library_through_links(void) {
  make_directory("lib");
  copy_program("library.so", "lib/libanswer.so.1.0");
  make_link("libanswer.so.1.0", "lib/libanswer.so");
  make_link("lib", "lib64");
}

static void loaded_through_links(void) {
  led("open", dlopen(path_of("lib64/libanswer.so"), RTLD_NOW) ? 0 : -1, "lib64/libanswer.so", "lib/libanswer.so.1.0");
  walked("lib64");
  walked("lib/libanswer.so");
}

static void musl_made(void) {
  make_file("file");
  copy_program("musl", "prog");
}

static void musl(void) {
  run("prog", (const char* const[]){"prog", "file", NULL});
  used("exec", "ok", "prog");
  used("open", "ok", "file");
  used("stat", "ok", "file");
  used("access", "ok", "file");
}

/* --- early death --- */

static void short_life(void) {
  /* A process that is over before anybody could look at it. */
  started_by_vfork();
}

static void storm_files(void) {
  char name[16];
  copy_program("tiny", "prog");
  for (int i = 0; i < 10000; i++) {
    snprintf(name, sizeof(name), "f%05d", i);
    close((int)must(open(name, O_WRONLY | O_CREAT, 0644), name));
  }
}

static void storm(void) {
  char name[16];
  for (int i = 0; i < 10000; i++) {
    snprintf(name, sizeof(name), "f%05d", i);
    run("prog", (const char* const[]){"prog", name, NULL});
    used("open", "ok", name);
  }
  used("exec", "ok", "prog");
}

const struct recall_case recall_cases[] = {
    {"vfork", started_by_vfork, program, RECALL_NEW},
    {"posix_spawn", started_by_spawn, program, RECALL_NEW},
    {"exec_by_thread", started_by_thread, program, RECALL_NEW},
    {"open_by_threads", threads_at_once, many_files, RECALL_NEW},
    {"fexecve_file", fexec_file, program, RECALL_NEW},
    {"fexecve_memfd", fexec_memory, program, RECALL_NEW},
    {"execveat", execveat_directory, program_in_directory, RECALL_NEW},
    {"execveat_o_path", execveat_empty, program, RECALL_NEW},
    {"exec_failed", failed_execs, failing_programs, RECALL_NEW},
    {"script", script, script_of_tiny, RECALL_NEW},
    {"script_with_argument", script_with_argument, script_with_argument_made, RECALL_NEW},
    {"script_nested", nested_script, nested_script_made, RECALL_NEW},
    {"script_nested_silent", silent_nested, silent_nested_made, RECALL_NEW},
    {"script_linked_interpreter", linked_interpreter, linked_interpreter_made, RECALL_NEW},
    {"script_env", env_script, env_script_made, RECALL_NEW},
    {"script_without_interpreter", plain_script, plain_script_made, RECALL_NEW},
    {"dlopen", loaded, library, RECALL_NEW},
    {"dlopen_through_links", loaded_through_links, library_through_links, RECALL_NEW},
    {"musl_static", musl, musl_made, RECALL_NEW},
    {"early_death", short_life, program, RECALL_NEW},
    {"early_death_10000", storm, storm_files, RECALL_NEW},
    {0},
};
