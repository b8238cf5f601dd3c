# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import email.utils

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import http
from ansible_collections.edgellm.host.plugins.module_utils.download.errors import (
    Lost,
    Unavailable,
)

from tests.unit.file_server import Fault


@pytest.fixture
def client():
    with http.Http(timeout=5) as client:
        yield client


def redirect(target):
    return Fault("HEAD", status=307, headers={"Location": target})


@pytest.mark.parametrize("target", ["/plain/there", "there", "?x=1"])
def test_relative_redirects_are_followed(server, client, target):
    server.faults.append(redirect(target))
    with client.open("HEAD", server.plain) as answer:
        assert (answer.status, answer.redirected) == (200, True)


def test_redirects_in_a_circle_end(server, client):
    server.faults.extend([redirect(server.plain)] * 20)
    with pytest.raises(Unavailable, match="in a circle"), client.open("HEAD", server.plain):
        pass
    assert len(server.seen) == http.MAX_REDIRECTS + 1


@pytest.mark.parametrize("target", ["ftp://example.com/x?Signature=hush", "http://:80/?hush=1"])
def test_redirect_to_nowhere_is_told_without_secrets(server, client, target):
    server.faults.append(redirect(target))
    leads_nowhere = pytest.raises(Unavailable, match="leads nowhere")
    with leads_nowhere as caught, client.open("HEAD", server.plain):
        pass
    assert "hush" not in str(caught.value)


def test_redirect_that_says_enough_is_not_followed(server, client):
    server.faults.append(redirect("/plain/there"))
    with client.open("HEAD", server.plain, enough=lambda answer: True) as answer:
        assert answer.status == 307
    assert len(server.seen) == 1


def test_conversation_that_breaks_is_lost(nobody, client):
    with pytest.raises(Lost, match="cannot be reached"), client.open("HEAD", nobody):
        pass


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"ratelimit": '"resolvers";r=0;t=137'}, 137),
        ({"retry-after": "5", "ratelimit": '"resolvers";r=0;t=137'}, 5),
    ],
)
def test_time_to_come_back(headers, seconds):
    assert http._retry_after(headers) == seconds


def test_time_to_come_back_as_a_date():
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=100)
    said = http._retry_after({"retry-after": email.utils.format_datetime(then, usegmt=True)})
    assert 60 < said <= 100
