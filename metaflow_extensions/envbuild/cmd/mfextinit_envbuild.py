"""The commands that the extension adds to Metaflow's own: ``metaflow environment …``."""

CMDS_DESC = [("environment", "envbuild.metaflow.cmd.cli")]
