# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import source
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

REPO = "elyza/Llama-3-ELYZA-JP-8B-GGUF"
LAN = "http://192.0.2.1:8080/hf"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        (f"https://huggingface.co/{REPO}/resolve/main/x.gguf", (REPO, "x.gguf", "main")),
        (f"https://huggingface.co/{REPO}/blob/main/x.gguf", (REPO, "x.gguf", "main")),
        (
            f"https://huggingface.co/{REPO}/resolve/main/x.gguf?download=true",
            (REPO, "x.gguf", "main"),
        ),
        (
            f"  https://huggingface.co/{REPO}/blob/v1.0/sub/x%20y.gguf#top",
            (REPO, "sub/x y.gguf", "v1.0"),
        ),
        (
            f"https://huggingface.co/{REPO}/resolve/refs%2Fpr%2F1/x.gguf",
            (REPO, "x.gguf", "refs/pr/1"),
        ),
        (
            f"https://huggingface.co/{REPO}/resolve/refs/pr/1/sub/x.gguf",
            (REPO, "sub/x.gguf", "refs/pr/1"),
        ),
        (f"https://huggingface.co/{REPO}/blob/a%2Fb/x.gguf", (REPO, "x.gguf", "a/b")),
        (f"https://huggingface.co/{REPO}/raw/main/x.gguf", (REPO, "x.gguf", "main")),
        (f"https://hf.co/{REPO}/resolve/main/x.gguf", (REPO, "x.gguf", "main")),
        (f"http://www.HuggingFace.co:80/{REPO}/blob/main/x.gguf", (REPO, "x.gguf", "main")),
        (
            f"https://huggingface.co/{REPO}/resolve/main/Q4_K_M/x-00001-of-00002.gguf",
            (REPO, "Q4_K_M/x-00001-of-00002.gguf", "main"),
        ),
        ("https://huggingface.co/gpt2/resolve/main/x.gguf", ("gpt2", "x.gguf", "main")),
    ],
)
def test_address_of_a_page_is_a_file_of_a_repository(url, meant):
    assert source.from_url(url) == source.HubFile(*meant)


def test_address_is_served_by_the_endpoint():
    found = source.from_url(f"https://huggingface.co/{REPO}/blob/main/x.gguf", f"{LAN}/")
    assert found == source.HubFile(REPO, "x.gguf", "main", LAN)
    assert source.from_url(f"{LAN}/{REPO}/resolve/v2/x.gguf", LAN).revision == "v2"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/n/r/resolve/main/x.gguf",
        "https://huggingface.co.example.com/n/r/resolve/main/x.gguf",
        "https://huggingface.co/datasets/n/r/resolve/main/x.gguf",
        "https://huggingface.co/api/resolve-cache/models/n/r/0123/x.gguf",
        "https://huggingface.co:8443/n/r/resolve/main/x.gguf",
        "https://cdn-lfs.huggingface.co/n/r/resolve/main/x.gguf",
        "https://huggingface.co/n/x.gguf",
        "https://huggingface.co/n/r/some/x.gguf",
        "https://example.com/n/r/tree/main",
    ],
)
def test_other_addresses_are_taken_as_they_are(url):
    assert source.from_url(url) == source.PlainUrl(url)


@pytest.mark.parametrize(
    "page",
    [
        REPO,
        f"{REPO}/",
        f"{REPO}?library=llama-cpp",
        f"{REPO}/tree/main",
        f"{REPO}/tree/main/Q4_K_M",
        f"{REPO}/resolve/main",
        f"{REPO}/blob/main/",
        f"{REPO}/commits/main",
        f"{REPO}/discussions/1",
        f"{REPO}#files",
    ],
)
@pytest.mark.parametrize("base", ["https://huggingface.co", "https://hf.co", LAN])
def test_page_without_a_file_is_refused_with_the_options_to_use(base, page):
    with pytest.raises(Refused, match=f"repo={REPO}, and in file the path"):
        source.from_url(f"{base}/{page}", LAN)


@pytest.mark.parametrize(
    ("repo", "file", "revision"),
    [
        ("", "x", "main"),
        ("a/b/c", "x", "main"),
        ("../b", "x", "main"),
        ("a/b?c", "x", "main"),
        ("a/b", "", "main"),
        ("a/b", "/x", "main"),
        ("a/b", "../x", "main"),
        ("a/b", "s//x", "main"),
        ("a/b", "x", " "),
    ],
)
def test_names_that_cannot_be_are_refused(repo, file, revision):
    with pytest.raises(Refused):
        source.hub_file(repo, file, revision)


@pytest.mark.parametrize("url", ["", "x.gguf", "ftp://example.com/x", "http://", "http://a:b/"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(Refused):
        source.from_url(url)


def test_url_of_a_file_is_quoted():
    found = source.hub_file(REPO, "sub/x y#1.gguf", "refs/pr/1", f"{LAN}/")
    assert found.url == f"{LAN}/{REPO}/resolve/refs%2Fpr%2F1/sub/x%20y%231.gguf"


def test_equal_wishes_are_equal_wherever_they_are_fulfilled():
    file = source.hub_file(REPO, "x.gguf")
    assert file.asked == source.hub_file(REPO, "x.gguf", endpoint=LAN).asked
    assert file.asked != source.hub_file(REPO, "x.gguf", "v2").asked
    plain = source.PlainUrl("http://a/x?file=1")
    assert plain.asked != source.PlainUrl("http://a/x?file=2").asked
    assert "file" not in plain.asked


def test_secrets_of_an_address_are_left_out():
    url = "https://me:pass@example.com:8443/x.gguf?Signature=s&Expires=1"
    assert source.PlainUrl(url).name == "https://example.com:8443/x.gguf"
    assert source.secrets_of(url) == {"Signature=s&Expires=1", "me:pass"}
    assert source.secrets_of("https://example.com/x") == set()


@pytest.mark.parametrize("url", ["htps://me:hush@h/x?sig=hush", "http://[x?sig=hush"])
def test_address_that_is_none_is_refused_without_its_secrets(url):
    with pytest.raises(Refused) as caught:
        source.from_url(url)
    assert "hush" not in str(caught.value)
    assert source.secrets_of("https://example.com/x@y?#z") == set()
    # Of what is no address too.
    assert source.secrets_of("me:pass@example.com/x") == {"me:pass"}
    assert source.secrets_of("http://me:pass@[x") == {"me:pass"}


def test_who_asks_for_an_address_does_not_matter():
    asked = [source.from_url(f"http://{user}x/y?z").asked for user in ("", "me:a@", "me:b@")]
    assert len(set(asked)) == 1
    assert source.from_url("http://x/y?other").asked != asked[0]
