"""Writes the documents to files, for tools: `python -m tests.owasp.documents FOLDER`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from config.settings import load_settings
from service.app import create_app
from service.bootstrap import assemble
from service.operations.installation import initialise

WHOLE = "openapi.json"
MODEL = "linear"


def write(folder: Path) -> None:
    """Write the document of the whole API and of a model of a demo that is made for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        instance = Path(scratch) / "instance"
        list(initialise(instance, demo=True))
        settings = load_settings(instance)
        platform = assemble(settings)
        client = create_app(settings, platform).test_client()
        demo = json.loads((instance / "demo.json").read_text())
        tenant = demo["tenants"][0]
        user = tenant["users"][0]
        login = {name: user[name] for name in ("username", "password")}
        answer = client.post("/auth/login", json={"tenant": tenant["tenant"], **login})
        headers = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}
        for name, path in (
            (WHOLE, "/openapi.json"),
            (f"{MODEL}.json", f"/models/{MODEL}/openapi.json"),
        ):
            document = client.get(path, headers=headers)
            assert document.status_code == 200, document.text
            (folder / name).write_bytes(document.data)
        platform.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
