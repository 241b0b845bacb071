"""Pictures of derivation graphs: one value (``picture``), written as text, Graphviz or one page.

The page needs nothing but itself: its program and its style stand in it (``page.js``, ``page.css``), it asks no
network, and its policy lets no other code run. The layout is our own: what builds an environment is a fan of some
hundred files into one prefix, of which a general layout makes a wall; here steps of one kind stand in a column, in
boxes that fold.

Rules of the room: everything from outside is text, escaped where it is written; only ``page`` reads files, its own.
"""
