"""Coming from other tools and going to them: ``import``, ``capture`` and ``export``.

Theory: ``envbuild.formats`` says what a foreign file holds and how one is written, and touches nothing. Here is what
lies between that and a project: what a foreign lock does not say is fetched and said; a recipe is written that asks for
what the lock holds; addresses are found for a lock that names none. Nothing is ever solved: an imported lock holds the
packages of the foreign one, or there is an error.

Rules of the room: nothing is overwritten unless somebody said so; recipe and lock appear together or not at all.
"""
