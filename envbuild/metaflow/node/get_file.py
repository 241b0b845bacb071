"""An object of a store in a folder."""


def get(url, key):  # type: ignore[no-untyped-def]
    try:
        with open((url[7:] if url.startswith("file://") else url) + "/" + key, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
