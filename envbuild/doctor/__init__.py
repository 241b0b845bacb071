"""What is wrong on this machine or in this project, found before somebody meets it; and what mends it.

Each room looks at one thing and tells findings; none of them changes anything, and none ends the others: what cannot
be looked at is a finding too.
"""
