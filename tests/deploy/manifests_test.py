#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manifests below deploy/kubernetes follow Kubernetes' own types, and ask for no more than they say.

The types are those of the npm package kubernetes-types, which is made from Kubernetes' OpenAPI description. The TypeScript
compiler refuses, in an object that is written out, unknown members, missing ones and wrong types.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import yaml

SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])
DEPLOY = SOURCE / "deploy" / "kubernetes"
WORK = pathlib.Path(os.environ.get("PROGRAMS_DIR") or SOURCE / "build" / "dev" / "tests" / "programs").parent / "deploy" / "types"
OVERLAYS = sorted((DEPLOY / "daemonset" / "overlays").iterdir())


def load(text):
    return [document for document in yaml.safe_load_all(text) if document]


def documents_of(directory):
    return [document for file in sorted(directory.glob("*.yaml")) if file.name != "kustomization.yaml"
            for document in load(file.read_text())]


def only(documents, kind):
    [found] = [document for document in documents if document["kind"] == kind]
    return found


def kustomize(directory):
    """What kustomize makes of it, or None where there is none of today."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            # kubectl of Debian 12 has a kustomize that does not know `patches`.
            done = subprocess.run([*command, directory], check=False, capture_output=True, text=True)
            if done.returncode == 0:
                return load(done.stdout)
            if "unknown field" not in done.stderr:
                raise AssertionError(done.stderr)
    return None


class Types(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("npm"):
            raise unittest.SkipTest("npm is not installed")
        WORK.mkdir(parents=True, exist_ok=True)
        lock = SOURCE / "tests" / "deploy" / "package-lock.json"
        if (WORK / "installed").exists() and (WORK / "installed").read_bytes() == lock.read_bytes():
            return
        for file in (lock, lock.with_name("package.json")):
            shutil.copy(file, WORK)
        done = subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=WORK, check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"npm cannot install kubernetes-types: {(done.stderr or done.stdout).strip()[:200]}")
        shutil.copy(lock, WORK / "installed")

    def mistakes(self, documents):
        """What the compiler says."""
        lines = []
        for number, document in enumerate(documents):
            group, _, version = document["apiVersion"].rpartition("/")
            module = f"{group.partition('.')[0] or 'core'}/{version}"
            lines.append(f'import type {{ {document["kind"]} as T{number} }} from "kubernetes-types/{module}";')
            lines.append(f"export const d{number}: T{number} = {json.dumps(document)};")
        (WORK / "documents.ts").write_text("\n".join(lines))
        done = subprocess.run(["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "documents.ts"], cwd=WORK,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode == 0, done.stdout == "")
        return done.stdout

    # The compiler takes a second or two each time: all at once.

    def test_manifests(self):
        documents = documents_of(DEPLOY / "sidecar") + documents_of(DEPLOY / "daemonset" / "base")
        self.assertEqual(self.mistakes(documents), "")

    def test_overlays(self):
        rendered = [kustomize(overlay) for overlay in OVERLAYS]
        if None in rendered:
            self.skipTest("no kustomize, and no kubectl newer than Debian 12's")
        self.assertEqual(self.mistakes([document for documents in rendered for document in documents]), "")
        for documents in rendered:
            self.assertEqual(len(documents), len(documents_of(DEPLOY / "daemonset" / "base")))

    def test_mistakes_are_found(self):
        def pod(documents):
            return only(documents, "DaemonSet")["spec"]["template"]["spec"]

        spoiled, expected = [], []
        for spoil, said in (
            (lambda documents: pod(documents).update(hostPid=True), "hostPid"),
            (lambda documents: pod(documents)["containers"][0]["securityContext"].update(privileged="no"), "boolean"),
            (lambda documents: only(documents, "DaemonSet")["spec"].pop("selector"), "selector"),
            (lambda documents: pod(documents)["volumes"][0]["hostPath"].pop("path"), "path"),
        ):
            documents = documents_of(DEPLOY / "daemonset" / "base")
            spoil(documents)
            spoiled.append(only(documents, "DaemonSet"))
            expected.append(said)
        lines = [line for line in self.mistakes(spoiled).splitlines() if line.startswith("documents.ts")]
        self.assertEqual(len(lines), len(expected), lines)
        for said in expected:
            self.assertTrue([line for line in lines if said in line], said)


class LeastPrivilege(unittest.TestCase):
    """What the pods are allowed."""

    base = documents_of(DEPLOY / "daemonset" / "base")
    node = only(base, "DaemonSet")["spec"]["template"]["spec"]
    sidecar_documents = documents_of(DEPLOY / "sidecar")
    sidecar = only(sidecar_documents, "Pod")["spec"]

    def check(self, pod, snoop):
        context = snoop["securityContext"]
        self.assertNotIn("privileged", context)
        self.assertEqual(context["capabilities"]["drop"], ["ALL"])
        self.assertEqual(context["capabilities"]["add"], ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"])
        self.assertIs(context["readOnlyRootFilesystem"], True)
        self.assertIs(context["allowPrivilegeEscalation"], False)
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertIn("memory", snoop["resources"]["limits"])
        self.assertNotIn("hostNetwork", pod)
        self.assertNotIn("hostIPC", pod)
        self.assertIs(pod["automountServiceAccountToken"], False)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        self.assertEqual({mount["name"] for mount in snoop["volumeMounts"]}, set(volumes))
        writable = {mount["mountPath"] for mount in snoop["volumeMounts"] if not mount.get("readOnly")}
        self.assertEqual(writable, {"/data"})
        self.assertTrue(next(entry["value"] for entry in snoop["env"] if entry["name"] == "SNOOP_REPORT").startswith("/data/"))
        return {volume["hostPath"]["path"] for volume in volumes.values() if "hostPath" in volume}

    def test_daemonset(self):
        [snoop] = self.node["containers"]
        self.assertEqual(self.check(self.node, snoop), {"/sys/fs/cgroup", "/var/lib/snoop", "/run"})
        [run] = [mount for mount in snoop["volumeMounts"] if mount["name"] == "run"]
        self.assertEqual((run["mountPath"], run["mountPropagation"]), ("/host/run", "HostToContainer"))
        self.assertIs(self.node["hostPID"], True)
        self.assertFalse({"Role", "ClusterRole"} & {document["kind"] for document in self.base})

    def test_without_runtime(self):
        rendered = kustomize(DEPLOY / "daemonset/overlays/without-runtime")
        if rendered is None:
            self.skipTest("no kustomize, and no kubectl newer than Debian 12's")
        pod = only(rendered, "DaemonSet")["spec"]["template"]["spec"]
        [snoop] = pod["containers"]
        self.assertEqual(self.check(pod, snoop), {"/sys/fs/cgroup", "/var/lib/snoop"})
        settings = {entry["name"]: entry.get("value") for entry in snoop["env"]}
        self.assertEqual(settings["SNOOP_METADATA_PROGRAM"], "none")
        self.assertNotIn("SNOOP_HOST_ROOT", settings)

    def test_sidecar(self):
        [snoop] = self.sidecar["initContainers"]
        self.assertEqual(snoop["restartPolicy"], "Always")
        self.assertEqual(self.check(self.sidecar, snoop), {"/sys/fs/cgroup"})
        self.assertNotIn("hostPID", self.sidecar)
        [rule] = only(self.sidecar_documents, "Role")["rules"]
        self.assertEqual((rule["resources"], rule["verbs"]), (["pods"], ["get"]))
        self.assertEqual(rule["resourceNames"], [only(self.sidecar_documents, "Pod")["metadata"]["name"]])
        [nginx] = self.sidecar["containers"]
        self.assertNotIn("volumeMounts", nginx, "it cannot write where the report is")

    def test_the_same_everywhere(self):
        """The unit, compose and the image's head have the same capabilities."""
        unit = (SOURCE / "packaging" / "snoop.service.in").read_text()
        names = self.node["containers"][0]["securityContext"]["capabilities"]["add"]
        self.assertIn("CapabilityBoundingSet=" + " ".join(f"CAP_{name}" for name in names) + "\n", unit)
        compose = yaml.safe_load((SOURCE / "deploy" / "docker-compose.yaml").read_text())["services"]["snoop"]
        self.assertEqual(compose["cap_add"], names)
        dockerfile = (SOURCE / "Dockerfile").read_text()
        for name in names:
            self.assertIn(f"--cap-add={name}", dockerfile)
        version = next(line.split()[2] for line in (SOURCE / "CMakeLists.txt").read_text().splitlines()
                       if line.startswith("project("))
        self.assertIn(f"ARG VERSION={version}\n", dockerfile)
        for snoop in (self.node["containers"][0], self.sidecar["initContainers"][0]):
            self.assertEqual(snoop["image"], f"snoop:{version}")


if __name__ == "__main__":
    sys.argv.append("-v")
    unittest.main()
