"""Examples of requests and answers, by operation; tests hold each against its schema."""

from __future__ import annotations

from typing import Any, Final

TOKEN: Final = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl"  # noqa: S105  # no secret
TOKENS: Final = {
    "access_token": TOKEN,
    "refresh_token": "spr_1wPj3v",
    "token_type": "Bearer",
    "expires_in": 900,
    "scope": "account models.read predict",
}
LINEAR: Final = {"name": "linear", "default": True, "champion": 2, "versions": [1, 2]}
MOVE: Final = {
    "alias": "champion",
    "from": 1,
    "to": 2,
    "moved_by": "user:ben@acme",
    "moved_at": 1790000000.5,
    "reason": "trained on October",
    "rollback": False,
}
ROUTE: Final = {
    "split": [{"version": "champion", "weight": 95}, {"version": "canary", "weight": 5}],
    "sticky": "caller",
    "shadow": {"version": 7, "share": 0.1},
    "bounds": {"error_rate": 0.02, "p95_ratio": 2, "least_requests": 50, "window_seconds": 60},
}
USER: Final = {"username": "ben", "role": "developer", "scope": "predict:linear"}
CLIENT: Final = {"name": "nightly", "scope": "predict:linear"}

TENSORS: Final = {
    "inputs": [{"name": "input", "shape": [2, 2], "datatype": "FP64", "data": [5, 10, 1, 2]}]
}
INSTANCES: Final = {"instances": [[5, 10], [1, 2]]}
PEOPLE: Final = {"examples": [{"age": 41, "city": "Oslo"}]}
FRAME: Final = {"dataframe_split": {"columns": ["x0", "x1"], "data": [[5, 10], [1, 2]]}}
GATE: Final = {
    "rules": [
        {"metric": "f1:malignant", "at_least": 0.9},
        {"metric": "f1_macro", "not_below_champion": "interval"},
        {"parity": "exact"},
        {"serving_p99_ms": 1.0},
    ]
}
NATIVE: Final = {"features": [[5, 10], [1, 2]], "model": "linear", "version": 1}
TEXTS: Final = ("application/json", "application/x-www-form-urlencoded")  # which examples are in

REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "auth-login": {"tenant": "acme", "username": "ada", "password": "correct horse battery staple"},
    "auth-refresh": {"refresh_token": "spr_1wPj3v"},
    "auth-token": {"grant_type": "client_credentials", "scope": "predict:linear"},
    "auth-revoke": {"token": TOKEN},
    "auth-introspect": {"token": TOKEN},
    "auth-password": {
        "password": "correct horse battery staple",
        "new_password": "staple battery horse correct",
    },
    "auth-otp": {"action": "confirm", "password": "correct horse battery staple", "otp": "123456"},
    "predict-predict": NATIVE,
    "columnar-predict": NATIVE,
    **dict.fromkeys(("open_inference-infer", "open_inference-infer_version"), TENSORS),
    **{f"tensorflow_serving-predict{of}": INSTANCES for of in ("", "_version", "_label")},
    **{f"tensorflow_serving-classify{of}": PEOPLE for of in ("", "_version", "_label")},
    **{f"tensorflow_serving-regress{of}": PEOPLE for of in ("", "_version", "_label")},
    **{f"mlflow-invoke_{of}": FRAME for of in ("default", "model", "endpoint", "serving_endpoint")},
    "prediction_logs-set_log": {"sample": 0.1, "retention_days": 30},
    "aliases-set_alias": {"version": 2, "reason": "trained on October"},
    "versions-change_version": {"state": "retired", "pinned": False},
    "routing-set_route": ROUTE,
    "gates-set_gate": GATE,
    "admin-create_user": USER,
    "admin-change_user": {"state": "disabled"},
    "admin-create_client": CLIENT | {"expires_in": 86_400},
    "admin-set_limits": {"limits": {"requests_per_minute": 1000, "rows_per_day": None}},
}
ANSWERS: Final[dict[str, Any]] = {
    "auth-login": TOKENS,
    "auth-refresh": TOKENS,
    "auth-token": {n: TOKENS[n] for n in ("access_token", "token_type", "expires_in", "scope")},
    "auth-introspect": {"active": False},
    "predict-predict": {"prediction": [15.0, 3.0], "model": "linear", "version": 1},
    "tensorflow_serving-predict": {"predictions": [15.0, 3.0]},
    "tensorflow_serving-classify": {"results": [[["stays", 0.8], ["goes", 0.2]]]},
    "tensorflow_serving-regress": {"results": [15.0]},
    "mlflow-invoke_model": {"predictions": [15.0, 3.0]},
    "open_inference-infer": {
        "model_name": "linear",
        "model_version": "1",
        "outputs": [{"name": "predict", "shape": [2], "datatype": "FP64", "data": [15.0, 3.0]}],
    },
    "models-list_models": [LINEAR],
    "aliases-set_alias": MOVE,
    "aliases-roll_back": MOVE | {"from": 2, "to": 1, "rollback": True},
    "admin-create_user": USER | {"state": "active", "password": "Kz7-generated-9Qm"},
    "admin-list_users": [USER | {"state": "active", "otp": False, "created_at": 1790000000.5}],
    "admin-create_client": CLIENT | {"id": "cli_0a1b", "state": "active", "secret": "sps_9Qm"},
    "health-live": {"status": "live"},
    "health-ready": {"status": "ready", "checks": {"database": "ok", "sandbox": "full"}},
}


def add_examples(operation: dict[str, Any]) -> None:
    """Put an operation's examples beside the schemas that they follow."""
    name = operation["operationId"]
    if name in REQUESTS:
        for media_type in operation["requestBody"]["content"].keys() & set(TEXTS):
            operation["requestBody"]["content"][media_type].setdefault("example", REQUESTS[name])
    if name in ANSWERS:
        status = min(operation["responses"])
        content = operation["responses"][status]["content"]
        content[TEXTS[0]].setdefault("example", ANSWERS[name])
