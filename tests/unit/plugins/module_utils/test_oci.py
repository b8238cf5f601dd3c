# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import oci
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from starlette.responses import PlainTextResponse, Response

from tests.unit.fake_images import Images

SHA = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("docker.io/ollama/ollama:0.32.15", "docker.io", "ollama/ollama", "0.32.15", None),
        ("ollama/ollama", "docker.io", "ollama/ollama", "latest", None),
        ("debian:trixie", "docker.io", "library/debian", "trixie", None),
        ("docker.io/debian", "docker.io", "library/debian", "latest", None),
        ("index.docker.io/debian", "docker.io", "library/debian", "latest", None),
        ("ghcr.io/a/b/c:1", "ghcr.io", "a/b/c", "1", None),
        ("localhost/a", "localhost", "a", "latest", None),
        ("192.0.2.1:5000/a/b", "192.0.2.1:5000", "a/b", "latest", None),
        (f"a/b@{SHA}", "docker.io", "a/b", "latest", SHA),
        (f"a/b:1@{SHA}", "docker.io", "a/b", "1", SHA),
    ],
)
def test_name_is_completed_as_the_engine_does(text, registry, repository, tag, digest):
    found = oci.parse_reference(text)
    assert found == oci.Reference(registry, repository, tag, digest)
    assert oci.parse_reference(str(found)) == found


@pytest.mark.parametrize(
    "text",
    ["", "A/b", "a/b:", "a/b:x y", "a//b", "https://docker.io/a", "a/b@sha256:1", "a/b@", "a b"],
)
def test_name_no_engine_would_take_is_refused(text):
    with pytest.raises(Refused, match="Invalid image"):
        oci.parse_reference(text)


@pytest.mark.parametrize(
    ("image", "mirror", "url"),
    [
        ("ollama/ollama", None, "https://registry-1.docker.io"),
        ("ollama/ollama", "http://192.0.2.1:5000", "http://192.0.2.1:5000"),
        ("ollama/ollama", "https://mirror.lan/", "https://mirror.lan"),
        ("ghcr.io/a/b", "http://192.0.2.1:5000", "https://ghcr.io"),
    ],
)
def test_mirror_stands_in_for_docker_hub_alone(image, mirror, url):
    assert oci.base_url(oci.parse_reference(image), mirror) == url


@pytest.mark.parametrize("mirror", ["192.0.2.1:5000", "http://a/b", "ftp://a"])
def test_mirror_that_is_no_address_is_refused(mirror):
    with pytest.raises(Refused, match="must be http"):
        oci.base_url(oci.parse_reference("a/b"), mirror)


@pytest.fixture
def images():
    return Images()


def look_up(served, images, image="some/image:1", architecture="amd64"):
    url = served(images.app)
    reference = oci.parse_reference(image)
    return oci.look_up(reference, url, architecture=architecture, timeout=5)


@pytest.mark.parametrize(("architecture", "size"), [("x86_64", 37), ("aarch64", 107)])
def test_size_is_that_of_the_architecture(served, images, architecture, size):
    platforms = {
        "linux/amd64": images.image("amd64", 10, 20),
        "windows/arm64": images.image("arm64", 5),
        "linux/arm64": images.image("arm64", 100),
        "unknown/unknown": images.image("unknown", 1),
    }
    digest = images.index(platforms, tag="1")
    found = look_up(served, images, architecture=architecture)
    assert (found.size, found.digest) == (size, digest)
    assert found.platform_digest == platforms[f"linux/{found.architecture}"]
    assert found.reference == "docker.io/some/image:1"


def test_image_of_one_architecture_is_its_own_platform(served, images):
    digest = images.image("arm64", 10, tag="1")
    found = look_up(served, images, architecture="arm64")
    assert (found.digest, found.platform_digest, found.size) == (digest, digest, 17)


@pytest.mark.parametrize("indexed", [True, False])
def test_image_for_another_architecture_is_refused(served, images, indexed):
    digest = images.image("arm64", 10, tag="1")
    if indexed:
        images.index({"linux/arm64": digest}, tag="1")
    with pytest.raises(oci.ImageError, match="not made for amd64, only for arm64"):
        look_up(served, images)


def test_pinned_digest_is_what_is_asked_for(served, images, traffic):
    digest = images.image("amd64", 10, tag="1")
    found = look_up(served, images, image=f"some/image:other@{digest}")
    assert found.digest == digest
    assert traffic.lines()[0] == f"GET /v2/some/image/manifests/{digest}"


def test_content_of_another_digest_is_refused(served, images):
    images.content[SHA] = b"{}"
    with pytest.raises(oci.ImageError, match="another digest"):
        look_up(served, images, image=f"some/image@{SHA}")


def test_registry_that_wants_a_token_is_given_one(served, traffic):
    images = Images(token="for everybody")
    images.index({"linux/amd64": images.image("amd64", 10)}, tag="1")
    assert look_up(served, images).size == 17
    # One token serves all requests.
    assert [line.split("/")[1] for line in traffic.lines()] == ["v2", "token", "v2", "v2"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Response(status_code=404), "has no image docker.io/some/image:1"),
        (Response(status_code=403), "does not give .* to anonymous callers"),
        (Response(status_code=401), "does not give .* to anonymous callers"),
        (
            Response(status_code=401, headers={"WWW-Authenticate": "Basic realm=here"}),
            "does not give .* to anonymous callers",
        ),
        (Response(status_code=429), "name a mirror of Docker Hub"),
        (PlainTextResponse("no disk", status_code=500), "answered 500 .*: no disk"),
        (PlainTextResponse("<html>log in</html>"), "not an image's manifest"),
        (PlainTextResponse("[]"), "not an image's manifest"),
        (PlainTextResponse('{"config": {}}'), "not an image's manifest"),
    ],
)
def test_refusals_are_told_in_words(served, images, fault, message):
    images.fault = fault
    with pytest.raises(oci.ImageError, match=message):
        look_up(served, images)


def test_registry_out_of_reach_is_told_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(oci.ImageError, match=r"does not answer: .* name a mirror of Docker Hub"):
        oci.look_up(oci.parse_reference("a/b"), url, architecture="amd64", timeout=2)
