"""What runs on a node before there is anything: read as text where a flow is launched, sent, and run there.

A ``get_<scheme>`` reads one object of a store by what a bare Python brings along, with the credentials that the cloud's
own library would find. The one of a deployment's store stands in each command (``envbuild.metaflow.inline``); ``first``
is read from the store by it, held against its sha256, and does the rest.

Rules of the room: nothing but the standard library of Python 3.8; no imports of each other; small.
"""
