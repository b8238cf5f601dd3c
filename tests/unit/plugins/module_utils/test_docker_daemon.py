# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import docker_daemon
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

MERGES = {
    "a wish for a bare host": ({}, {"a": 1}, {}, {"a": 1}, {"a": 1}),
    "no wish": ({"a": 1}, {}, {}, {"a": 1}, {}),
    "a foreign key stays": ({"f": 1}, {"a": 2}, {}, {"f": 1, "a": 2}, {"a": 2}),
    "a key no longer wanted goes": (
        {"a": 1, "b": 2},
        {"b": 2},
        {"a": 1, "b": 2},
        {"b": 2},
        {"b": 2},
    ),
    "unless it has another value now": ({"a": 9}, {}, {"a": 1}, {"a": 9}, {}),
    "or is gone already": ({}, {}, {"a": 1}, {}, {}),
    "a wish is set back": ({"a": 9}, {"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}),
    "a hand edit is overwritten": ({"a": 9}, {"a": 1}, {}, {"a": 1}, {"a": 1}),
    "a value that was there stays its author's": ({"a": 1}, {"a": 1}, {}, {"a": 1}, {}),
    "a value we set stays ours": ({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}),
    "objects merge deeply": (
        {"o": {"f": 1}},
        {"o": {"a": {"b": 2}}},
        {},
        {"o": {"f": 1, "a": {"b": 2}}},
        {"o": {"a": {"b": 2}}},
    ),
    "an emptied object goes": ({"o": {"a": {"b": 2}}}, {}, {"o": {"a": {"b": 2}}}, {}, {}),
    "an object with a foreign key does not": (
        {"o": {"a": {"b": 2}, "f": 1}},
        {},
        {"o": {"a": {"b": 2}}},
        {"o": {"f": 1}},
        {},
    ),
    "lists are replaced whole": ({"l": [1, 2]}, {"l": [3]}, {"l": [1]}, {"l": [3]}, {"l": [3]}),
    "a list edited by hand is kept": ({"l": [1, 2]}, {}, {"l": [1]}, {"l": [1, 2]}, {}),
    "an object replaces a value": ({"o": 1}, {"o": {"a": 1}}, {}, {"o": {"a": 1}}, {"o": {"a": 1}}),
    "a value replaces an object": ({"o": {"f": 1}}, {"o": 1}, {}, {"o": 1}, {"o": 1}),
    "true is not one": ({"a": 1}, {"a": True}, {}, {"a": True}, {"a": True}),
    "an empty object is a wish": ({}, {"o": {}}, {}, {"o": {}}, {"o": {}}),
    "and empties nothing": ({"o": {"f": 1}}, {"o": {}}, {}, {"o": {"f": 1}}, {"o": {}}),
    "null is no wish": ({"a": 1}, {"a": None}, {"a": 1}, {}, {}),
}


@pytest.mark.parametrize(
    ("file", "wanted", "mine", "config", "applied"), MERGES.values(), ids=MERGES
)
def test_merge(file, wanted, mine, config, applied):
    before = json.dumps(file)
    merged = docker_daemon.merge(file, wanted, {"me": mine}, "me")
    assert docker_daemon.same(merged.config, config)
    assert docker_daemon.same(merged.applied, applied)
    assert json.dumps(file) == before


@pytest.mark.parametrize(
    ("file", "wanted", "mine", "config", "applied"), MERGES.values(), ids=MERGES
)
def test_second_merge_changes_nothing(file, wanted, mine, config, applied):
    first = docker_daemon.merge(file, wanted, {"me": mine}, "me")
    second = docker_daemon.merge(first.config, wanted, {"me": first.applied}, "me")
    assert docker_daemon.same(second.config, first.config)
    assert docker_daemon.same(second.applied, first.applied)


def test_other_sections_keys_stay():
    merged = docker_daemon.merge({"a": 1, "b": 2}, {}, {"me": {"a": 1}, "you": {"b": 2}}, "me")
    assert merged.config == {"b": 2}


def test_key_that_two_want_goes_with_the_second():
    both = {"you": {"a": 1}}
    first = docker_daemon.merge({"a": 1}, {"a": 1}, both, "me")
    assert first.applied == {"a": 1}
    left = docker_daemon.merge({"a": 1}, {}, {**both, "me": first.applied}, "me")
    assert left.config == {"a": 1}
    assert docker_daemon.merge(left.config, {}, both, "you").config == {}


@pytest.mark.parametrize(
    ("mine", "yours"),
    [({"a": 1}, {"a": 2}), ({"o": {"a": 1}}, {"o": 1}), ({"o": 1}, {"o": {"a": 1}})],
)
def test_sections_that_contradict_each_other_are_refused(mine, yours):
    with pytest.raises(Refused, match=r"'me' wants .* 'you' has set"):
        docker_daemon.merge({}, mine, {"you": yours}, "me")


def test_keys_keep_their_order():
    merged = docker_daemon.merge({"z": 1, "y": 2}, {"a": 3, "y": 4}, {}, "me")
    assert list(merged.config) == ["z", "y", "a"]


@pytest.mark.parametrize("text", ["", " \n"])
def test_empty_file_is_an_empty_configuration(text):
    assert docker_daemon.parse(text, "f") == {}


def test_broken_file_is_refused_with_its_place():
    with pytest.raises(Refused, match=r"f, line 3, column 1: not valid JSON .* left as it is"):
        docker_daemon.parse('{\n  "a": 1,\n}', "f")


def test_file_without_an_object_is_refused():
    with pytest.raises(Refused, match="f does not hold a JSON object"):
        docker_daemon.parse("[1]", "f")


@pytest.mark.parametrize(
    ("journal", "telling"),
    [
        ([], ""),
        (["Starting", "", "Stopped  "], "Stopped"),
        (["level=error msg=early", "failed to start daemon: why", "Failed to start docker"], 1),
        (["unable to configure the Docker daemon: first", "x", "failed to start daemon: last"], 2),
        (['level=error msg="why"', 'level=warning msg="no matter"'], 0),
        (["docker.service: Failed with result 'exit-code'.", "Scheduled restart"], 0),
    ],
)
def test_line_that_says_why_is_picked(journal, telling):
    expected = journal[telling] if isinstance(telling, int) else telling
    assert docker_daemon.telling_line(journal) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pw@proxy:3128", "http://me:********@proxy:3128"),
        ("http://me:p@w:x@proxy:3128/", "http://me:********@proxy:3128/"),
        ("http://:pw@proxy", "http://:********@proxy"),
        (r'{"a": "http:\/\/me:p\"w@proxy"}', r'{"a": "http:\/\/me:********@proxy"}'),
        ("http://198.18.77.4:5000 me@there", "http://198.18.77.4:5000 me@there"),
        ('{"a": "http://proxy:1", "b": "me:x@y"}', '{"a": "http://proxy:1", "b": "me:x@y"}'),
    ],
)
def test_passwords_in_urls_are_masked(text, shown):
    assert docker_daemon.masked(text) == shown
