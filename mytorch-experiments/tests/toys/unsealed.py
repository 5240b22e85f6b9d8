"""Runs whose files a test may edit."""

import json


def unsealed(path):
    """Take the digests out of a run's summary, as somebody does who knows what they do. Returns the folder."""
    file = path / "summary.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in content.items() if name not in ("files", "sha256")}))
    return path
