"""A storage in a dictionary: it proves that nothing but the protocol is used."""

from maskfold.storage import checked_key


class MemoryStorage:
    def __init__(self):
        self.contents: dict[str, bytes] = {}

    def read(self, key, start=None, end=None):
        try:
            return self.contents[checked_key(key)][start:end]
        except KeyError:
            raise FileNotFoundError(key) from None

    def publish(self, key, content):
        self.contents[checked_key(key)] = bytes(content)

    def list(self, prefix=""):
        folder = f"{checked_key(prefix)}/" if prefix else ""
        return sorted(key for key in self.contents if f"{key}/".startswith(folder))

    def exists(self, key):
        return checked_key(key) in self.contents

    def remove(self, prefix):
        for key in self.list(prefix):
            del self.contents[key]

    def move(self, key, to):
        self.contents[checked_key(to)] = self.contents.pop(checked_key(key))

    def sweep(self, prefix=""):
        pass

    def size(self, prefix=""):
        return sum(len(self.contents[key]) for key in self.list(prefix))
