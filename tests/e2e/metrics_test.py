#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What snoop offers while it runs: metrics, health and reports over HTTP, word to systemd, a log that does not repeat itself."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import unittest
import urllib.parse
import urllib.request

import harness
from http_get import get, samples

ALERTS = harness.SOURCE_DIR / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = harness.SOURCE_DIR / "deploy" / "grafana" / "snoop.json"
# A local port: the kernel chooses.
ANY_PORT = "--metrics-addr=127.0.0.1:0"


def need(program):
    if not shutil.which(program):
        raise unittest.SkipTest(f"{program} is not installed (Debian package prometheus)")


def metrics_in(expression):
    return set(re.findall(r"\b(?:snoop|process)_[a-z_]+\b", expression))


def dashboard_expressions():
    return [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]


class Case(harness.Case):
    def serving(self, *args, **options):
        """A recorder that serves, and where."""
        recorder = self.recorder(*args, **options)
        return recorder, self.address_of(recorder)

    def address_of(self, snoop):
        snoop.wait_for_log("metrics and health at ")
        host, _, port = re.search(r"metrics and health at (\S+)", snoop.log)[1].rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    def assertStatus(self, address, path, status, **options):
        got, _, body = get(address, path, **options)
        self.assertEqual(got, status, body)
        return body


class Metrics(Case):
    def test_they_say_what_the_report_says(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        paths = self.make_files(40)
        recorder, address = self.serving("--cgroup", cgroup.path, ANY_PORT, "--pod-name=web-0", "--namespace=shop",
                                         "--image=registry.example/web:1", "--max-files=50")
        worker.open(paths, 3)
        worker.open([b"/not/there"])
        report = recorder.fresh_report()

        def page():
            """As the report says, up to a second later."""
            status, headers, body = get(address, "/metrics")
            self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
            values = samples(body.decode())
            return values["snoop_accesses_total"] == report["total_events"] and (body, values)

        body, values = harness.wait_for(page, "metrics as new as the report")
        self.assertEqual(report["total_events"], 121)
        labels = f'namespace="shop",pod="web-0",container="{cgroup.name}"'
        for name, value in {
                "snoop_accesses_total": 121,
                "snoop_new_files_total": 41,
                'snoop_first_accesses_total{kind="open",outcome="ok"}': 40,
                'snoop_first_accesses_total{kind="open",outcome="missing"}': 1,
                f"snoop_container_accesses_total{{{labels}}}": 121,
                f"snoop_container_files{{{labels}}}": 41,
                f'snoop_container_info{{{labels},image="registry.example/web:1"}}': 1,
                'snoop_containers{state="there"}': 1,
                "snoop_report_complete": 1,
                "snoop_report_write_duration_seconds_count": 2,
                "snoop_report_write_errors_total": 0,
                "snoop_report_size_bytes": recorder.report_path.stat().st_size,
                "snoop_report_interval_seconds": 3600,
                "snoop_ring_size_bytes": 16 << 20,
                'snoop_map_entries{map="cgroups"}': 1,
                'snoop_map_entries{map="targets"}': 1,
                "snoop_container_files_limit": 50,
        }.items():
            self.assertEqual(values[name], value, name)
        for cause, count in report["losses"].items():
            self.assertEqual(values[f'snoop_losses_total{{cause="{cause}"}}'], count)
        age = time.time() - values["snoop_report_last_success_timestamp_seconds"]
        self.assertTrue(0 <= age < 60, age)
        self.assertGreater(values["process_resident_memory_bytes"], 1 << 20)
        self.assertGreater(values["process_cpu_seconds_total"], 0)
        self.assertGreater(values["snoop_ring_most_bytes"], 40 * 100)

        # Too many files: lost, and said so.
        worker.open(self.make_files(20, directory=self.scratch / "more"))
        harness.wait_for(lambda: samples(get(address, "/metrics")[2].decode())["snoop_report_complete"] == 0, "the loss")
        values = samples(get(address, "/metrics")[2].decode())
        self.assertEqual(values['snoop_losses_total{cause="files_over_limit"}'], 11)
        self.assertEqual(values[f'snoop_container_losses_total{{{labels},cause="files_over_limit"}}'], 11)

        need("promtool")
        checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, b""), checked)
        known = {name.partition("{")[0] for name in values}
        for expression in [ALERTS.read_text(), *dashboard_expressions()]:
            self.assertLessEqual(metrics_in(expression), known)

    def test_prometheus_scrapes_them(self):
        need("prometheus")
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder, (host, port) = self.serving("--cgroup", cgroup.path, ANY_PORT)
        worker.open(self.make_files(10))
        config = self.scratch / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "300ms"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [{"job_name": "snoop", "honor_labels": True,
                                "static_configs": [{"targets": [f"{host}:{port}"]}]}]}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            own = f"127.0.0.1:{free.getsockname()[1]}"
        log = open(self.scratch / "prometheus.log", "wb")
        self.addCleanup(log.close)
        prometheus = subprocess.Popen(["prometheus", f"--config.file={config}", f"--web.listen-address={own}",
                                       f"--storage.tsdb.path={self.scratch}/tsdb"], stdout=log, stderr=log)
        self.addCleanup(prometheus.wait)
        self.addCleanup(prometheus.kill)

        def ask(path, **parameters):
            try:
                with urllib.request.urlopen(f"http://{own}/api/v1/{path}?{urllib.parse.urlencode(parameters)}",
                                            timeout=harness.DEADLINE) as response:
                    return json.load(response)["data"]["result" if path == "query" else "groups"]
            except urllib.error.HTTPError as error:
                if error.code == 503:
                    return None  # not ready yet
                raise AssertionError(f"{parameters}: {error.read()}") from None
            except OSError:
                return None  # not listening yet

        value = lambda result: result and float(result[0]["value"][1])
        harness.wait_for(lambda: value(ask("query", query='up{job="snoop"}')) == 1, "Prometheus to scrape")
        harness.wait_for(lambda: value(ask("query", query="snoop_accesses_total")) == 10, "ten accesses")
        query = f'sum by (container) (snoop_container_files{{container="{cgroup.name}"}})'
        self.assertEqual(value(ask("query", query=query)), 10)
        self.assertEqual(ask("query", query='ALERTS{alertstate="firing"}'), [])
        for group in harness.wait_for(lambda: ask("rules"), "rules"):
            for rule in group["rules"]:
                self.assertNotEqual(rule["health"], "err", rule)
        for expression in dashboard_expressions():
            expression = re.sub(r"\$__rate_interval", "1m", re.sub(r"\$(job|instance)", ".*", expression))
            ask("query", query=expression)  # fails where it is no PromQL
        recorder.stop()
        harness.wait_for(lambda: value(ask("query", query='up{job="snoop"}')) == 0, "Prometheus to see it go")

    def test_off_unless_asked_for(self):
        cgroup = self.cgroup()
        recorder = self.recorder("--cgroup", cgroup.path, "--metrics-addr=off")
        recorder.wait_for_log("recording 1 cgroup")
        self.assertNotIn("metrics", recorder.log)
        go = self.scratch / "go"
        script = f"until [ -e {go} ]; do sleep 0.1; done"
        run = self.background("run", "--report", self.scratch / "run.json", ANY_PORT, "--", "sh", "-c", script)
        address = self.address_of(run)
        self.assertStatus(address, "/readyz", 200)
        harness.wait_for(lambda: b'container="sh"' in get(address, "/metrics")[2], "the command's series")
        go.touch()
        self.assertEqual(run.wait(), 0)


class Rules(unittest.TestCase):
    def test_alerts(self):
        need("promtool")
        for what in (["check", "rules", str(ALERTS)], ["test", "rules", str(harness.SOURCE_DIR / "tests/e2e/alerts.yaml")]):
            done = subprocess.run(["promtool", *what], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Health(Case):
    def test_idle_is_healthy_and_costs_nothing(self):
        recorder, address = self.serving("--cgroup", self.cgroup().path, ANY_PORT)
        self.assertStatus(address, "/healthz", 200)
        self.assertStatus(address, "/readyz", 200)
        self.assertStatus(address, "/metrics", 200)
        switches = lambda: re.findall(r"ctxt_switches:\s+(\d+)",
                                      pathlib.Path(f"/proc/{recorder.pid}/status").read_text())

        def asleep():
            before = switches()
            time.sleep(0.5)
            return switches() == before

        harness.wait_for(asleep, "half a second without a wake-up")
        before = switches()
        time.sleep(2)
        self.assertEqual(switches(), before)
        self.assertStatus(address, "/readyz", 200)
        self.assertEqual(len(os.listdir(f"/proc/{recorder.pid}/task")), 1)

    def test_reports_go_on_without_any_access(self):
        recorder, address = self.serving("--cgroup", self.cgroup().path, ANY_PORT, interval="200ms")
        written = lambda: samples(get(address, "/metrics")[2].decode())["snoop_report_write_duration_seconds_count"]
        first = written()
        harness.wait_for(lambda: written() >= first + 3, "three more reports")
        self.assertStatus(address, "/readyz", 200)

    def test_a_loop_that_hangs_gives_no_answer(self):
        recorder, address = self.serving("--cgroup", self.cgroup().path, ANY_PORT)
        recorder.send(signal.SIGSTOP)
        with self.assertRaises(TimeoutError):
            get(address, "/healthz", timeout=1)
        recorder.send(signal.SIGCONT)
        self.assertStatus(address, "/healthz", 200)

    def test_slow_and_many_clients_harm_nobody(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder, address = self.serving("--cgroup", cgroup.path, ANY_PORT)
        paths = self.make_files(500)
        slow = []
        self.addCleanup(lambda: [one.close() for one in slow])
        for number in range(150):
            slow.append(socket.create_connection(address, timeout=5))
            try:
                slow[-1].sendall([b"", b"G", b"GET /metrics HTTP/1.1\r\n", b"GET /report HTTP/1.1\r\n\r\n"][number % 4])
            except OSError:
                pass  # had to make room
        worker.open(paths)
        begun = time.monotonic()
        for _ in range(20):
            self.assertStatus(address, "/healthz", 200)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertLess(len(os.listdir(f"/proc/{recorder.pid}/fd")), 150)
        report = recorder.final_report()
        self.assertEqual((set(report.files()), report["complete"]), (set(paths), True))


class Addresses(Case):
    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = harness.snoop("record", "--cgroup", self.cgroup().path, "--report", self.scratch / "r.json",
                                 "--metrics-addr", address)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot listen at {address}: Address already in use".encode(), done.stderr)
        self.assertIn(b"hint: another process has it: name another address with --metrics-addr, or off", done.stderr)
        self.assertFalse((self.scratch / "r.json").exists())

    def test_the_default_port_in_use(self):
        try:
            taken = socket.create_server(("127.0.0.1", 9090))
        except OSError:
            taken = None  # it is in use already
        environment = harness.environment()
        del environment["SNOOP_METRICS_ADDR"]
        recorder = self.recorder("--cgroup", self.cgroup().path, env=environment)
        self.assertIn("no metrics yet: cannot listen at :9090: Address already in use", recorder.log)
        if taken:
            taken.close()
            recorder.fresh_report()
            recorder.wait_for_log("metrics and health at :9090")
            self.assertStatus(("127.0.0.1", 9090), "/report", 200)

    def test_unix_socket(self):
        path = self.scratch / "metrics.sock"
        arguments = ["--cgroup", self.cgroup().path, f"--metrics-addr=unix:{path}"]
        recorder = self.recorder(*arguments)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertIn(b"snoop_build_info", self.assertStatus(path, "/metrics", 200))
        self.assertStatus(path, "/containers", 200)
        second = harness.snoop("record", "--report", self.scratch / "second.json", *arguments)
        self.assertEqual(second.returncode, 1)
        self.assertIn(b"Address already in use", second.stderr)
        # What a crash leaves is replaced.
        recorder.send(signal.SIGKILL)
        recorder.wait()
        self.assertTrue(path.is_socket())
        recorder = self.recorder(*arguments)
        self.assertStatus(path, "/readyz", 200)
        self.assertEqual(recorder.stop(), 0)
        self.assertFalse(path.exists())

    def test_what_is_private_stays_on_this_machine(self):
        """In a network namespace of its own, where 192.0.2.1 stands for the outside."""
        cgroup = self.cgroup()
        for options, status in ([], 403), (["--expose-report"], 200):
            with self.subTest(options=options):
                popen = lambda argv, **more: subprocess.Popen(
                    ["unshare", "-n", "sh", "-c",
                     'ip link set lo up && ip address add 192.0.2.1/32 dev lo && exec "$@"', "sh", *argv], **more)
                recorder = self.recorder("--cgroup", cgroup.path, "--metrics-addr=:9090", *options, popen=popen)
                recorder.wait_for_log("metrics and health at :9090")
                ask = ("import http.client, sys\n"
                       "for host in '192.0.2.1', '127.0.0.1', '::1':\n"
                       "  for path in 'metrics', 'healthz', 'readyz', 'report', 'containers':\n"
                       "    c = http.client.HTTPConnection(host, 9090, timeout=20); c.request('GET', '/' + path)\n"
                       "    print(c.getresponse().status)\n")
                answers = subprocess.run(["nsenter", "-t", str(recorder.pid), "-n", "/usr/bin/python3", "-c", ask],
                                         capture_output=True, text=True, check=True).stdout.split()
                self.assertEqual(answers, ["200"] * 3 + [str(status)] * 2 + ["200"] * 10)
                recorder.stop()


class Reports(Case):
    def test_the_report_is_the_file(self):
        cgroup = self.cgroup()
        worker = self.worker(cgroup)
        recorder, address = self.serving("--cgroup", cgroup.path, ANY_PORT)
        worker.open(self.make_files(2000))
        recorder.fresh_report()
        status, headers, body = get(address, "/report")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        self.assertEqual(body, recorder.report_path.read_bytes())
        # Nothing that somebody puts in its place.
        recorder.report_path.unlink()
        self.assertStatus(address, "/report", 503)
        for plant in (lambda path: path.symlink_to("/etc/shadow"), lambda path: path.write_text("{}")):
            plant(recorder.report_path)
            self.assertNotIn(b"root", self.assertStatus(address, "/report", 503))
            recorder.fresh_report()
            self.assertEqual(self.assertStatus(address, "/report", 200), recorder.report_path.read_bytes())
            recorder.report_path.unlink()

    def test_containers(self):
        cgroups = [self.cgroup(), self.cgroup()]
        worker = self.worker(cgroups[0])
        recorder, address = self.serving("--cgroup", cgroups[0].path, "--cgroup", cgroups[1].path, ANY_PORT)
        worker.open(self.make_files(3))
        recorder.fresh_report()
        cgroups[1].remove()
        listed = lambda: {container["cgroup_path"]: container for container in
                          json.loads(self.assertStatus(address, "/containers", 200))["containers"]}
        harness.wait_for(lambda: not listed()[cgroups[1].path]["running"], "the end of the container")
        first = listed()[cgroups[0].path]
        self.assertEqual((first["name"], first["cgroup_id"], first["running"], first["unique_files"]),
                         (cgroups[0].name, cgroups[0].id, True, 3))

    def test_without_a_file(self):
        cgroup = self.cgroup()
        recorder = self.background("record", "--cgroup", cgroup.path, "--report=-", ANY_PORT, stdout=subprocess.DEVNULL)
        self.assertStatus(self.address_of(recorder), "/report", 404)
        place = self.scratch / "gone"
        place.mkdir()
        missing = self.background("record", "--cgroup", cgroup.path, "--report", place / "r.json", ANY_PORT)
        address = self.address_of(missing)
        harness.wait_for((place / "r.json").exists, "the first report")
        shutil.rmtree(place)
        self.assertStatus(address, "/report", 503)


class Systemd(Case):
    def test_notify_and_watchdog(self):
        path = self.scratch / "notify"
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(str(path))
        server.settimeout(harness.DEADLINE)
        recorder = self.recorder("--cgroup", self.cgroup().path,
                                 env=harness.environment(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="400000"))
        told = lambda: server.recv(1000).decode()
        self.assertRegex(told(), "^STATUS=0 paths of 1 container, ")
        self.assertEqual(told(), "READY=1")
        begun = time.monotonic()
        for _ in range(5):
            self.assertEqual(told(), "WATCHDOG=1")
        self.assertGreater(time.monotonic() - begun, 0.8)
        # A loop that does not turn does not say that it does.
        recorder.send(signal.SIGSTOP)
        server.settimeout(1)
        with self.assertRaises(TimeoutError):
            for _ in range(3):
                told()
        recorder.send(signal.SIGCONT)
        server.settimeout(harness.DEADLINE)
        self.assertEqual(told(), "WATCHDOG=1")
        recorder.send(signal.SIGTERM)
        harness.wait_for(lambda: told() == "STOPPING=1", "the word that it stops")
        self.assertEqual(recorder.wait(), 0)


class Log(Case):
    def test_what_comes_again_is_counted(self):
        place = self.scratch / "gone"
        place.mkdir()
        recorder = self.background("record", "--cgroup", self.cgroup().path, "--report", place / "r.json",
                                   "--interval=100ms", ANY_PORT)
        address = self.address_of(recorder)
        place.rename(self.scratch / "elsewhere")
        failed = lambda: samples(get(address, "/metrics")[2].decode())["snoop_report_write_errors_total"]
        harness.wait_for(lambda: failed() >= 10, "ten reports that could not be written")
        self.assertEqual(recorder.log.count("No such file or directory"), 1, recorder.log)
        recorder.stop()
        self.assertRegex(recorder.log, r"error: repeated [1-9]\d* times: cannot write \S+: No such file or directory")


if __name__ == "__main__":
    harness.main()
