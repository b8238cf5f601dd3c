# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import errors, names, registry
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

NAME = names.parse("bge-m3")
LAYER = {"mediaType": "m", "digest": "sha256:" + "a" * 64, "size": 7}
# Odd on purpose: the digest is that of the bytes, not of what they mean.
RAW = json.dumps({"schemaVersion": 2, "config": LAYER, "layers": []}, indent=3).encode()


@pytest.fixture
def ask(served):
    """Ask a registry with these routes for NAME."""

    def ask(*routes, version="0.32.15"):
        mirror = served(Starlette(routes=list(routes)))
        return registry.fetch(registry.place(NAME, mirror), version=version, timeout=5)

    return ask


def manifests(endpoint):
    async def answer(request):
        return endpoint(request)

    return Route("/v2/library/bge-m3/manifests/latest", answer)


@pytest.mark.parametrize(
    ("name", "mirror", "url", "pulled", "insecure"),
    [
        ("bge-m3", None, "https://registry.ollama.ai", "bge-m3:latest", False),
        ("hf.co/a/b:Q4", None, "https://hf.co", "hf.co/a/b:Q4", False),
        ("bge-m3", "http://m:80", "http://m:80", "m:80/library/bge-m3:latest", True),
        ("bge-m3", "http://m/", "http://m", "m/library/bge-m3:latest", True),
        ("hf.co/a/b:Q4", "https://m", "https://m", "m/a/b:Q4", False),
    ],
)
def test_place_is_the_registry_or_its_mirror(name, mirror, url, pulled, insecure):
    place = registry.place(names.parse(name), mirror)
    assert (place.url, place.name.short, place.insecure) == (url, pulled, insecure)


@pytest.mark.parametrize(
    "mirror", ["m:80", "ftp://m", "http://", "http://m/path", "http://u:p@m", "http://[::1]:80"]
)
def test_mirror_that_ollama_could_not_use_is_refused(mirror):
    with pytest.raises(Refused, match="registry_mirror"):
        registry.place(NAME, mirror)


def test_digest_is_that_of_the_bytes_sent(ask, traffic):
    offer = ask(manifests(lambda _request: Response(RAW)))
    assert (offer.digest, offer.size) == (hashlib.sha256(RAW).hexdigest(), 7)
    headers = traffic.requests[0].headers
    assert headers["user-agent"].startswith("ollama/0.32.15 ")
    assert headers["accept"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_without_a_version_none_is_claimed(ask, traffic):
    ask(manifests(lambda _request: Response(RAW)), version=None)
    assert "ollama/" not in traffic.requests[0].headers["user-agent"]


def test_redirects_are_followed(ask):
    async def moved(_request):
        return Response(RAW)

    there = manifests(lambda _request: RedirectResponse("/moved", status_code=307))
    assert ask(there, Route("/moved", moved)).size == 7


def test_unknown_model_is_told_by_name(ask):
    with pytest.raises(errors.UnknownModel, match=r"/library/bge-m3:latest \(404\)\. Check"):
        ask()


def test_model_that_needs_a_newer_server_is_told_with_the_remedy(ask):
    too_old = manifests(lambda _request: Response("requires a newer version", status_code=412))
    with pytest.raises(errors.RegistryError) as caught:
        ask(too_old, version="0.9.0")
    assert "needs a newer Ollama than 0.9.0" in str(caught.value)
    assert "requires a newer version" in str(caught.value)
    assert "ollama_server_image" in str(caught.value)


def test_page_instead_of_a_manifest_is_told(ask):
    page = manifests(lambda _request: Response("<html>", media_type="text/html"))
    with pytest.raises(errors.RegistryError, match=r"not a manifest \(text/html.*proxy"):
        ask(page)


@pytest.mark.parametrize("status", [401, 403])
def test_closed_registry_is_told(ask, status):
    with pytest.raises(errors.RegistryError, match="anonymous callers"):
        ask(manifests(lambda _request: Response(status_code=status)))


def test_other_status_is_told_with_what_was_said(ask):
    with pytest.raises(errors.RegistryError, match=r"answered 500 .*: no luck"):
        ask(manifests(lambda _request: Response("no luck", status_code=500)))


def test_nobody_there_is_told_with_the_remedy(nobody):
    with pytest.raises(errors.RegistryError, match=r"does not answer.*registry_mirror"):
        registry.fetch(registry.place(NAME, nobody), version=None, timeout=5)


def challenged(realm):
    def endpoint(request):
        if request.headers.get("authorization") == "Bearer sesame":
            return Response(RAW)
        where = realm or f"{request.base_url}token"
        challenge = f'Bearer realm="{where}",service="here",scope="repository:bge-m3:pull"'
        return Response(status_code=401, headers={"www-authenticate": challenge})

    return manifests(endpoint)


async def token(request):
    assert request.query_params["service"] == "here"
    assert request.query_params["scope"] == "repository:bge-m3:pull"
    return JSONResponse({"token": "sesame"})


def test_anonymous_token_is_fetched_when_asked_for(ask):
    assert ask(challenged(None), Route("/token", token)).size == 7


@pytest.mark.parametrize("answer", [JSONResponse({}), JSONResponse([]), Response("no")])
def test_token_that_is_none_is_told(ask, answer):
    async def refuse(_request):
        return answer

    with pytest.raises(errors.RegistryError, match="anonymous callers"):
        ask(challenged(None), Route("/token", refuse))


def test_token_from_another_host_is_not_fetched(ask, traffic):
    with pytest.raises(errors.RegistryError, match="anonymous callers"):
        ask(challenged("http://elsewhere.invalid/token"), Route("/token", token))
    assert traffic.lines() == ["GET /v2/library/bge-m3/manifests/latest"]
