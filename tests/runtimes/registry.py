# SPDX-License-Identifier: Apache-2.0
"""A registry with one image, so that the runtimes pull it and know the digest that it is pulled by."""

import hashlib
import http.server
import io
import json
import pathlib
import tarfile
import threading

BUSYBOX = pathlib.Path("/bin/busybox")
APPLETS = ("sh", "sleep", "cat", "true", "false")


def root_file_system():
    """As a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "proc", "dev", "sys", "tmp", "etc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        data = BUSYBOX.read_bytes()
        entry.size, entry.mode = len(data), 0o755
        tar.addfile(entry, io.BytesIO(data))
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()


class Registry:
    """Serves 127.0.0.1:PORT/lab/busybox:1; runtimes take plain HTTP from there."""

    def __init__(self):
        self.blobs = {}
        layer = self._put(root_file_system())
        config = json.dumps({
            "architecture": "amd64", "os": "linux",
            "config": {"Cmd": ["/bin/sleep", "600"], "Env": ["PATH=/bin"], "Labels": {"of": "image"}},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}, "history": [{"created_by": "snoop's tests"}]})
        self.media = "application/vnd.oci.image.manifest.v1+json"
        config = self._put(config.encode())
        manifest = {
            "schemaVersion": 2, "mediaType": self.media,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}]}
        self.image_id = config["digest"]
        self.digest = self._put(json.dumps(manifest).encode())["digest"]

        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                name = self.path.rsplit("/", 1)[-1]
                digest = registry.digest if name == "1" else name
                data = b"{}" if self.path == "/v2/" else registry.blobs.get(digest)
                self.send_response(404 if data is None else 200)
                data = data or b""
                self.send_header("Content-Type",
                                 registry.media if "/manifests/" in self.path else "application/octet-stream")
                self.send_header("Docker-Content-Digest", digest)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.image = f"127.0.0.1:{self.server.server_port}/lab/busybox:1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _put(self, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
