# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, plan, registry
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.manifest import Layer, Manifest

OLD, NEW, OTHER = ("1" * 64, "2" * 64, "3" * 64)
BIG, SMALL = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
OFFER = Manifest(NEW, (Layer(BIG, 1000, "model"), Layer(SMALL, 10, "config")))
# Under its very own name a model is replaced only with a way back.
ASIDE = f"bge-m3:latest-prev-{OLD[:12]}"
GUARDED = [("snapshot", ASIDE), ("pull", "bge-m3:latest"), ("delete", ASIDE)]
MIRROR = "http://198.51.100.1:8080"


def wanted(state="present", *, name="bge-m3", pulled=None, mirror=None, digest=None):
    source = registry.place(names.parse(pulled or name), mirror)
    return plan.Wanted(names.parse(name), state, source, bool(mirror), digest)


def installed(digest, name="bge-m3"):
    return Installed(names.parse(name), digest, 77)


def steps(planned):
    return [(action.action, action.name.short) for action in planned.actions]


@pytest.mark.parametrize(
    ("state", "current", "digest", "asked"),
    [
        ("present", None, None, True),
        ("present", OLD, None, False),
        ("present", OLD, OLD, False),
        ("present", OLD, NEW, True),
        ("latest", None, None, True),
        ("latest", OLD, None, True),
        ("latest", OLD, OLD, True),
        ("absent", None, None, False),
        ("absent", OLD, NEW, False),
    ],
)
def test_registry_is_asked_only_if_the_answer_matters(state, current, digest, asked):
    model = installed(current) if current else None
    assert plan.needs_offer(wanted(state, digest=digest), model) is asked


@pytest.mark.parametrize(
    ("state", "current", "offer", "digest", "expected"),
    [
        ("present", None, OFFER, None, [("pull", "bge-m3:latest")]),
        ("present", None, OFFER, NEW, [("pull", "bge-m3:latest")]),
        ("present", OLD, None, None, []),
        ("present", OLD, None, OLD, []),
        ("present", OLD, OFFER, NEW, GUARDED),
        ("latest", None, OFFER, None, [("pull", "bge-m3:latest")]),
        ("latest", OLD, OFFER, None, GUARDED),
        ("latest", NEW, OFFER, None, []),
        ("latest", NEW, OFFER, NEW, []),
        ("absent", None, None, None, []),
        ("absent", OLD, None, None, [("delete", "bge-m3:latest")]),
    ],
)
def test_steps_follow_from_wanted_and_present(state, current, offer, digest, expected):
    model = installed(current) if current else None
    planned = plan.decide(wanted(state, digest=digest), plan.State(current=model, offer=offer))
    assert steps(planned) == expected
    assert planned.changed is bool(expected)
    assert (planned.diff["before"] != planned.diff["after"]) is planned.changed


@pytest.mark.parametrize(
    ("here", "fetch", "reuse"),
    [((), 1010, 0), ((SMALL,), 1000, 10), ((BIG,), 10, 1000), ((BIG, SMALL), 0, 1010)],
)
def test_bytes_are_exact(here, fetch, reuse):
    state = plan.State(offer=OFFER, bytes_here={blob: OFFER.blobs[blob] for blob in here})
    planned = plan.decide(wanted(), state)
    assert (planned.total("bytes_fetch"), planned.total("bytes_reuse")) == (fetch, reuse)
    assert planned.to_result() == {
        "actions": [
            {
                "action": "pull",
                "name": "bge-m3:latest",
                "bytes_fetch": fetch,
                "bytes_reuse": reuse,
                "bytes_upload": 0,
                "bytes_disk": fetch,
            }
        ],
        "bytes_fetch": fetch,
        "bytes_reuse": reuse,
        "bytes_upload": 0,
        "bytes_disk": fetch,
    }


@pytest.mark.parametrize("current", [None, OLD, OTHER])
def test_mirror_is_a_vehicle_and_the_wanted_name_comes_last(current):
    state = plan.State(current=installed(current) if current else None, offer=OFFER)
    planned = plan.decide(wanted("latest", mirror=MIRROR), state)
    vehicle = "198.51.100.1:8080/library/bge-m3:latest"
    assert steps(planned) == [("pull", vehicle), ("copy", "bge-m3:latest"), ("delete", vehicle)]
    assert planned.after == {"name": "bge-m3:latest", "digest": NEW, "size": 1010}


@pytest.mark.parametrize(
    ("there_before", "goes"),
    [(None, True), (installed(OLD, "hf.co/a/b:Q4_K_M"), False)],
)
def test_other_registrys_name_goes_only_if_it_was_not_there(there_before, goes):
    want = wanted(name="mine", pulled="hf.co/a/b:Q4_K_M")
    planned = plan.decide(want, plan.State(at_source=there_before, offer=OFFER))
    assert (("delete", "hf.co/a/b:Q4_K_M") in steps(planned)) is goes


def test_leftover_of_an_interrupted_pull_from_a_mirror_goes():
    leftover = installed(NEW, "198.51.100.1:8080/library/bge-m3")
    planned = plan.decide(wanted(mirror=MIRROR), plan.State(at_source=leftover, offer=OFFER))
    assert steps(planned)[-1] == ("delete", "198.51.100.1:8080/library/bge-m3:latest")


@pytest.mark.parametrize("state", ["present", "latest"])
def test_other_digest_than_expected_is_refused_naming_both(state):
    with pytest.raises(Refused) as caught:
        plan.decide(wanted(state, digest=OTHER), plan.State(installed(OLD), offer=OFFER))
    assert OTHER in str(caught.value)
    assert NEW in str(caught.value)
    assert caught.value.details == {"expected": OTHER, "offered": NEW}


def test_spelling_of_the_installed_name_stays():
    state = plan.State(current=installed(OLD, "BGE-M3:Latest"), offer=OFFER)
    assert plan.decide(wanted("latest"), state).after["name"] == "BGE-M3:Latest"


def test_loaded_model_is_unloaded_before_it_goes():
    planned = plan.decide(wanted("absent"), plan.State(installed(OLD), loaded=True))
    assert steps(planned) == [("unload", "bge-m3:latest"), ("delete", "bge-m3:latest")]


@pytest.mark.parametrize("name", ["x:cloud", "x:120b-cloud", "x:local"])
def test_reserved_tags_are_refused_except_to_be_removed(name):
    with pytest.raises(Refused, match="switch between local and remote"):
        plan.check(wanted(name=name))
    plan.check(wanted("absent", name=name))
