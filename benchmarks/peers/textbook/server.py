"""The textbook: Flask with flask-jwt-extended, flask-limiter and marshmallow, by their manuals.

Its one user logs in with a password; the limit is one that nobody reaches.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from flask import Flask, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from marshmallow import Schema, ValidationError, fields
from werkzeug.security import check_password_hash, generate_password_hash

MODELS = {
    path.stem: joblib.load(path) for path in Path(os.environ["BENCH_MODELS"]).glob("*.joblib")
}
USERS = {"ada": generate_password_hash(os.environ["BENCH_PASSWORD"])}

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = os.environ["BENCH_SECRET"]
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = timedelta(hours=1)
app.config["RATELIMIT_HEADERS_ENABLED"] = True
JWTManager(app)
limiter = Limiter(get_jwt_identity, app=app, storage_uri="memory://")


class Login(Schema):
    """Who logs in."""

    username = fields.String(required=True)
    password = fields.String(required=True)


class Rows(Schema):
    """What is asked."""

    features = fields.List(fields.List(fields.Float()), required=True)


@app.errorhandler(ValidationError)
def refuse(error: ValidationError) -> Any:
    """Say what is wrong with a body."""
    return jsonify(errors=error.messages), 400


@app.post("/login")
@limiter.limit("1000000 per minute", key_func=get_remote_address)
def login() -> Any:
    """Answer a name and password with a token."""
    found = Login().load(request.get_json())
    known = USERS.get(found["username"])
    if known is None or not check_password_hash(known, found["password"]):
        return jsonify(error="wrong credentials"), 401
    return jsonify(access_token=create_access_token(identity=found["username"]))


@app.post("/predict/<model>")
@jwt_required()
@limiter.limit("1000000000 per minute")
def predict(model: str) -> Any:
    """Answer rows in JSON."""
    rows = Rows().load(request.get_json())
    answers = MODELS[model].predict(np.asarray(rows["features"]))
    return jsonify(prediction=answers.tolist())
