"""R24: servers that take a create-only put and overwrite all the same are found before anything is lost there."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from tests.faults.figures import count
from tests.faults.world import differences, one_error
from tests.flows.test_shared_clouds import CloudTeam, cloud
from tests.objects.conftest import Place
from tests.objects.test_rights import signed_address

__all__ = ["cloud"]


def overwriting(cloud: CloudTeam) -> None:
    """From now on the conditions of puts do not arrive."""
    if cloud.cloud.scheme == "az":  # whose keys sign the condition: a signed address does not
        place = Place(kind="az", url=cloud.url, proxy=cloud.proxy, server=cloud.cloud)
        cloud.environ["AZURE_STORAGE_CONNECTION_STRING"] = signed_address(place)
    cloud.proxy.fault("*", strip=("If-None-Match",), strip_query=("ifGenerationMatch",), times=100_000)


def wrote(cloud: CloudTeam) -> set[str]:
    """What was put, by the first part of its name."""
    puts = [seen for method in ("PUT", "POST") for seen in cloud.proxy.matching(method)]
    names = [parse_qs(seen.query)["name"][0] if cloud.cloud.scheme == "gs" else seen.path for seen in puts]
    return {name.partition("team/")[2].partition("/")[0] for name in names}


@pytest.mark.parametrize("cloud", ["s3", "gs", "az"], indirect=True)
def test_R24_a_server_that_overwrites_is_read_and_not_written(cloud: CloudTeam) -> None:
    cloud.run("realize", "small.yaml")
    whole = cloud.tree("small")
    cloud.another()
    cloud.proxy.forget()
    overwriting(cloud)
    # what is missing there is said once not to be sent, and nothing is
    outcome = cloud.run("realize", "everything.yaml")
    assert outcome.err.count("does not keep create-only puts") == outcome.err.count("note: ") == 1
    assert wrote(cloud) == {"format.json"}
    # what is there is taken: blobs prove themselves
    cloud.another()
    cloud.close()
    cloud.run("realize", "small.yaml", "--locked")
    assert not differences(cloud.tree("small"), whole)
    # and what must be told is told
    cloud.server.content = cloud._content()
    cloud.run("realize", "everything.yaml")
    for command in (("push", "everything.yaml"), ("alias", "everything.yaml", "team/x:stable")):
        assert one_error(cloud.run(*command, code=5)).startswith("error[overwrites]"), command
    assert wrote(cloud) == {"format.json", "probe"}
    # as soon as it keeps its promise it is written
    cloud.proxy.forget()
    cloud.run("push", "everything.yaml")
    assert cloud.run("alias", "everything.yaml", "team/x:stable").out == "team/x:stable\n"
    count("commands before whose first write a server that overwrites was found", 3, 3)
