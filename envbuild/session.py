"""The session: every verb as a function on values. The command line is a shell on it, and so is any Python program.

::

    from envbuild.session import Session

    (train,) = Session().realize("recipes/train.yaml")
    print(train.prefix, train.environment)

A session finds the project of each recipe from the recipe's folder upwards, reads configuration and environment
variables, opens the home, and wires solver, scheduler, store and reporter. Nothing here prints.
"""

from __future__ import annotations

from envbuild.base_session import BaseSession
from envbuild.doctor.verbs import DoctorVerbs
from envbuild.environments.affected_verbs import AffectedVerbs
from envbuild.environments.collect_verbs import CollectVerbs
from envbuild.environments.copy_verbs import CopyVerbs
from envbuild.environments.edit_verbs import EditVerbs
from envbuild.environments.kernel_verbs import KernelVerbs
from envbuild.environments.look_verbs import LookVerbs
from envbuild.environments.move_verbs import MoveVerbs
from envbuild.environments.picture_verbs import PictureVerbs
from envbuild.environments.rebuild_verbs import RebuildVerbs
from envbuild.environments.remove_verbs import RemoveVerbs
from envbuild.environments.send_verbs import SendVerbs
from envbuild.environments.state_verbs import StateVerbs
from envbuild.environments.trust_verbs import TrustVerbs
from envbuild.environments.verbs import UpkeepVerbs
from envbuild.environments.verify_verbs import VerifyVerbs
from envbuild.exchange.bundle_verbs import BundleVerbs
from envbuild.exchange.image_verbs import ImageVerbs
from envbuild.exchange.verbs import ExchangeVerbs
from envbuild.review.audit_verbs import AuditVerbs
from envbuild.review.check_verbs import CheckVerbs
from envbuild.review.diff_verbs import DiffVerbs
from envbuild.review.lock_history import LockHistoryVerbs
from envbuild.review.publish_verbs import PublishVerbs


class Session(
    BaseSession,
    EditVerbs,
    DiffVerbs,
    ExchangeVerbs,
    ImageVerbs,
    BundleVerbs,
    CheckVerbs,
    MoveVerbs,
    SendVerbs,
    LockHistoryVerbs,
    LookVerbs,
    AffectedVerbs,
    CopyVerbs,
    KernelVerbs,
    PictureVerbs,
    PublishVerbs,
    RebuildVerbs,
    RemoveVerbs,
    StateVerbs,
    CollectVerbs,
    VerifyVerbs,
    TrustVerbs,
    UpkeepVerbs,
    AuditVerbs,
    DoctorVerbs,
):
    """All verbs, each in the module of its subject; made as a ``BaseSession`` is."""
