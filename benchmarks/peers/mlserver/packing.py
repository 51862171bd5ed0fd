"""A folder for each model, as MLServer looks for them: python packing.py FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
for file in folder.glob("*.joblib"):
    place = folder / "mlserver" / file.stem
    place.mkdir(parents=True, exist_ok=True)
    settings = {
        "name": file.stem,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(file.resolve())},
    }
    (place / "model-settings.json").write_text(json.dumps(settings))
