"""Where jobs run: in this process, on threads, later on other machines."""
