# SPDX-License-Identifier: Apache-2.0
"""A client of CRI, as the kubelet is one: crictl is not packaged. Messages are written by hand, with the field numbers
of k8s.io/cri-api's runtime/v1/api.proto, so that the test does not share snoop's own description of them."""

import grpc

HOST_NETWORK = 2


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(int(value))


def message(number, *parts):
    return field(number, b"".join(parts))


def entries(number, mapping):
    return b"".join(message(number, field(1, key), field(2, value)) for key, value in mapping.items())


def decode(data):
    """Number and value of each field."""
    at, fields = 0, []

    def read():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while at < len(data):
        key = read()
        if key & 7 == 2:
            size = read()
            fields.append((key >> 3, data[at:at + size]))
            at += size
        else:
            fields.append((key >> 3, read()))
    return fields


class Cri:
    def __init__(self, socket):
        self.channel = grpc.insecure_channel(f"unix://{socket}")

    def call(self, method, request=b"", service="RuntimeService"):
        rpc = self.channel.unary_unary(f"/runtime.v1.{service}/{method}", request_serializer=None,
                                       response_deserializer=None)
        return decode(rpc(request, timeout=60))

    def pull(self, image):
        self.call("PullImage", message(1, field(1, image)), "ImageService")

    def pod(self, name, uid, namespace, labels, handler=""):
        """Its id and its configuration, which its containers need."""
        config = (message(1, field(1, name), field(2, uid), field(3, namespace), field(4, 0)) + entries(6, labels) +
                  message(8, field(1, f"/kubepods/besteffort/pod{uid}"), message(2, message(1, field(1, HOST_NETWORK)))))
        request = field(1, config) + (field(2, handler) if handler else b"")
        return self.call("RunPodSandbox", request)[0][1].decode(), config

    def run(self, pod, name, image, command, attempt=0):
        pod_id, pod_config = pod
        config = (message(1, field(1, name), field(2, attempt)) + message(2, field(1, image)) +
                  b"".join(field(3, word) for word in command) +
                  entries(9, {"io.kubernetes.container.name": name}) +
                  message(15, message(2, message(3, field(1, HOST_NETWORK)))))
        container = self.call("CreateContainer", field(1, pod_id) + field(2, config) + field(3, pod_config))[0][1].decode()
        self.call("StartContainer", field(1, container))
        return container

    def stop(self, container):
        self.call("StopContainer", field(1, container) + field(2, 0))

    def remove_pods(self):
        for _, pod in self.call("ListPodSandbox"):
            pod_id = field(1, decode(pod)[0][1])
            self.call("StopPodSandbox", pod_id)
            self.call("RemovePodSandbox", pod_id)

    def close(self):
        self.channel.close()
