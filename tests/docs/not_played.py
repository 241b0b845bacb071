"""The few commands of pages that no test types, each with its reason; all others are played.

Rules of the file: a page, how the command line begins, why not. What is tested by other means says by which test.
"""

from __future__ import annotations

NOT_PLAYED = (
    ("README.md", "./dev test", "it is what runs this test: .ci/run types it"),
    ("README.md", "./dev demo", "tests/docs/test_played_alone.py runs the same on a local index"),
    ("README.md", "./dev docs", "tests/docs/test_site.py builds the site as it does"),
    ("README.md", "uv tool install envbuild", "asks an index for envbuild itself"),
    ("tutorial.md", "uv tool install envbuild", "asks an index for envbuild itself"),
    (
        "commands.md",
        'eval "$(envbuild shell-hook',
        "would stay active: tests/unit/test_activation.py types it, in each shell",
    ),
    ("commands.md", "envbuild shell-hook", "for fish and PowerShell: tests/unit/test_activation.py, where they are"),
    ("commands.md", "envbuild bundle", "bundles.md plays it; for another platform: tests/flows/test_bundle.py"),
    ("commands.md", "pip freeze", "the pip here is the tests': tests/flows/test_import.py reads what one prints"),
    ("CONTRIBUTING.md", "./dev ", "needs a checkout of its own, for hours in part; its words are checked"),
    ("metaflow.md", "pip install", "asks an index for envbuild itself"),
    ("metaflow-migration.md", "pip ", "asks an index for envbuild itself"),
    (
        "metaflow-remote.md",
        "python train.py",
        "wants a cluster: tests/metaflow/test_remote.py plays one",
    ),
    ("metaflow-remote.md", "envbuild gc", "wants a deployment: tests/objects/test_deployments.py makes and unpins one"),
    ("scaling.md", "dask ", "goes on until it is ended: tests/distributed/cluster.py starts the same programs"),
    (
        "scaling.md",
        "envbuild realize recipes/train.yaml --store s3://team",
        "tests/distributed/test_reach.py has an sshd",
    ),
    ("scaling.md", "python -m benchmarks.farm", "tests/distributed/test_farm.py holds the page against it"),
    ("coming-from-metaflow-netflixext.md", "pip ", "asks an index for envbuild itself"),
    ("coming-from-metaflow-netflixext.md", "python flow.py", "metaflow-migration.md plays it"),
)


def why_not(page: str, command: str) -> str | None:
    """Why a command of a page is not typed by tests; None when it is."""
    return next((why for name, begin, why in NOT_PLAYED if name == page and command.startswith(begin)), None)
