#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""More real programs under snoop and strace at once, on top of those of tests/e2e/strace_test.py: one table of all."""

import os
import pathlib
import shutil
import socket
import sys
import textwrap
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import harness  # noqa: E402
import strace_test  # noqa: E402

PERL_SCRIPT = r"""
use strict; use warnings;
use File::Find; use File::Temp qw(tempdir); use File::Copy; use POSIX (); use Digest::SHA; use JSON::PP; use Cwd;
mkdir "p"; open my $out, ">", "p/one" or die; print $out "text\n"; close $out;
copy("p/one", "p/two"); move("p/two", "p/three"); symlink "three", "p/link"; -e "p/link" or die; -l "p/link" or die;
find(sub { stat $_ }, "p");
my $dir = tempdir(DIR => ".", CLEANUP => 1);
chdir "p"; my @all = glob "*"; utime 1, 1, "one"; chmod 0600, "one"; rename "one", "four"; chdir "..";
open my $pipe, "-|", "/bin/cat p/four" or die; my @lines = <$pipe>; close $pipe;
unlink glob "p/*"; rmdir "p";
"""

NODE_SCRIPT = r"""
const fs = require("fs"), path = require("path"), { execFileSync } = require("child_process"), zlib = require("zlib");
fs.mkdirSync("node_modules/answer", { recursive: true });
fs.writeFileSync("node_modules/answer/package.json", JSON.stringify({ name: "answer", main: "lib.js" }));
fs.writeFileSync("node_modules/answer/lib.js", "module.exports = 42");
fs.symlinkSync("answer", "node_modules/linked");
if (require("answer") !== 42 || require("linked") !== 42) process.exit(1);
try { require("no-such-module"); process.exit(1); } catch (error) {}
fs.writeFileSync("x.gz", zlib.gzipSync("text"));
execFileSync("/bin/cat", ["x.gz"]);
(async () => {
  const names = await fs.promises.readdir("node_modules");
  await Promise.all(names.map((name) => fs.promises.stat(path.join("node_modules", name))));
  await Promise.all([...Array(20).keys()].map((n) => fs.promises.writeFile(`file-${n}`, `${n}`)));
  await fs.promises.rename("file-0", "file-x");
  await fs.promises.rm("file-1");
})();
"""

MAKEFILE = """\
all: out/one out/two
out/%: %.in | out
\tsed s/a/b/ $< >$@
out:
\tmkdir out
include $(wildcard *.mk)
-include none.mk
"""

NGINX_CONF = """\
user root;
daemon off;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
  include /etc/nginx/mime.types;
  access_log access.log;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{ listen 127.0.0.1:{port}; root www; location / {{ try_files $uri $uri.html =404; }} }}
}}
"""


@unittest.skipUnless(strace_test.STRACE, "strace is not installed")
class RealPrograms(strace_test.SameAsStrace):
    table = []

    def shell(self, name, script):
        self.compare(name, self.need("bash"), "-ec", textwrap.dedent(script))

    def test_perl(self):
        self.compare("perl", self.need("perl"), "-e", PERL_SCRIPT)

    def test_node(self):
        (self.work / "main.js").write_text(NODE_SCRIPT)
        self.compare("node", self.need("node"), "main.js")

    def test_make(self):
        (self.work / "Makefile").write_text(MAKEFILE)
        (self.work / "settings.mk").write_text("answer = 42\n")
        for name in ("one.in", "two.in"):
            (self.work / name).write_text("a\n")
        make = self.need("make")
        self.shell("make", f"{make} -s -j2; touch one.in; {make} -s; {make} -s -q; {make} -s -C out -f ../Makefile -n || :")

    def test_busybox(self):
        busybox = self.need("busybox")
        self.compare("busybox", busybox, "sh", "-ec", textwrap.dedent(f"""
            mkdir -p a/b; echo text >a/b/one; ln -s b a/link; cat a/link/one | sort | md5sum
            cp -a a c; mv c/b/one c/two; find c -name two -exec cat {{}} ';'; ls -lR c; tar cf x.tar c; tar tf x.tar
            {busybox} gzip x.tar; {busybox} zcat x.tar.gz | {busybox} wc -c; sed -i s/text/more/ a/b/one; grep -r more a
            test -x /bin/sh; stat a/b/one; du -s c; touch -t 202601010000 c/two; rm -rf c; realpath a/link/one
            /bin/true  # strace has libraries, too; here a program of its own has them"""))

    def test_sqlite3(self):
        sqlite = self.need("sqlite3")
        self.shell("sqlite3", f"""
            {sqlite} -batch one.db 'pragma journal_mode=wal; create table t (x); insert into t values (1),(2);'
            {sqlite} -batch one.db 'select sum(x) from t; vacuum;' '.backup two.db'
            echo '.dump' | {sqlite} two.db >dump.sql; {sqlite} three.db <dump.sql; {sqlite} three.db 'attach "two.db" as b;'
            {sqlite} three.db '.output out.csv' '.mode csv' 'select * from t'""")

    def test_text_tools(self):
        self.shell("text", """
            for n in 1 2 3; do seq $n 100 >$n.txt; done
            sed -i.bak s/1/one/ 1.txt; awk '{ print $1 >"split-" NR % 3 }' 2.txt; grep -rl 99 . | xargs head -1
            sort -u -o sorted ?.txt; split -l 20 sorted part-; cat part-* | tee copy | tail -1; diff sorted copy
            cut -c1 sorted | uniq -c >counts; paste 2.txt 3.txt | join - 3.txt >joined || :; wc -l *; comm sorted copy | tr a b >/dev/null
            install -m 600 -D copy deep/er/copy; realpath deep/er/../er/copy; mktemp -p . XXXXXX; dd if=copy of=dd status=none""")

    def test_openssl(self):
        openssl = self.need("openssl")
        self.shell("openssl", f"""
            {openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -subj /CN=a -days 1
            {openssl} x509 -in cert.pem -noout -text; {openssl} verify -CAfile cert.pem cert.pem
            {openssl} dgst -sha256 -sign key.pem -out signature cert.pem
            {openssl} enc -aes-256-cbc -pbkdf2 -pass pass:x -in cert.pem -out secret
            {openssl} rand -out random -writerand seed 100""")

    def test_dpkg_query(self):
        query = self.need("dpkg-query")
        self.shell("dpkg", f"{query} -W >all; {query} -L bash; {query} -S /bin/bash || :; {query} -s tar >status")

    def test_cmake(self):
        (self.work / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.20)\nproject(x LANGUAGES NONE)\nconfigure_file(in out)\n"
            "add_custom_target(make_it ALL COMMAND ${CMAKE_COMMAND} -E copy out copied)\ninclude(GNUInstallDirs)\n")
        (self.work / "in").write_text("@PROJECT_NAME@\n")
        cmake = self.need("cmake")
        self.need("make")
        self.shell("cmake", f"{cmake} -G 'Unix Makefiles' -B built; {cmake} --build built")

    def test_nginx(self):
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        if not nginx:
            self.skipTest("nginx is not installed")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (self.work / "nginx.conf").write_text(NGINX_CONF.format(port=port))
        (self.work / "www" / "below").mkdir(parents=True)
        (self.work / "www" / "page.html").write_text("page\n")
        (self.work / "www" / "below" / "index.html").write_text("index\n")
        os.symlink("below", self.work / "www" / "link")
        self.shell("nginx", f"""
            {nginx} -p . -c nginx.conf -e error.log & server=$!
            get() {{ exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET %s HTTP/1.0\\r\\n\\r\\n' "$1" >&3 && cat <&3; }}
            until get /page 2>/dev/null; do sleep 0.1; done
            get /page.html; get /below/; get /link/index.html; get /none
            kill -QUIT $server; wait $server""")


# Not twice: it is here only to be inherited from.
def load_tests(loader, _tests, _pattern):
    return loader.loadTestsFromTestCase(RealPrograms)


if __name__ == "__main__":
    harness.main()
