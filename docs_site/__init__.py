"""What the site has beside the pages of ``docs``: a front page, and a reference made of the code at each build."""
