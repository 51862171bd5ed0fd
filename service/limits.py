"""Charging over HTTP: who is counted, and what the caller is told about it.

Requests without a known token are counted by address, before routing, through flask-limiter; known
callers by tenant, user and model (service.charging). Both stand on the same counters.
"""

from __future__ import annotations

from dataclasses import replace

import flask
from flask import g, request
from flask_limiter import Limiter, RequestLimit

from auth.scope import Scope
from config.counters.limits_storage import SCHEME, charge_of
from service import charging
from service.bootstrap import Platform
from service.errors import Policy, RateLimited
from service.operations.guesses import counted_address
from service.security import View, authorise, current_platform


def register(app: flask.Flask, platform: Platform) -> None:
    """Count by address from here on; to be registered after what recognises known tokens."""
    limiter = Limiter(
        key_func=lambda: counted_address(client_address()),
        application_limits=[charging.address_limit(platform)],
        request_identifier=lambda: request.endpoint or "unrouted",  # 404 and 405 count too
        strategy="moving-window",
        storage_uri=f"{SCHEME}://",
        storage_options={"counters": platform.counters},  # type: ignore[dict-item]
        on_breach=_refuse_address,
        headers_enabled=False,
    )
    limiter.request_filter(lambda: g.scope is not None)
    limiter.init_app(app)


def charges_itself(view: View) -> View:
    """Mark a view that charges its rows and its request together, once it has read them."""
    view.charges_itself = True  # type: ignore[attr-defined]
    return view


def client_address() -> str:
    """The caller's address; behind trusted proxies werkzeug has put the real one here."""
    return request.remote_addr or "unknown"


def admit() -> None:
    """Authorise the request, and count it if its caller is known: one that is refused as well.

    Also where no view is or everybody may go, for the count by address leaves known callers out.
    A view that charges rows along with its requests does so itself.
    """
    try:
        authorise()
    except Exception:
        _charge_known()
        raise
    view = flask.current_app.view_functions.get(request.endpoint or "")  # noqa: TID251
    if not getattr(view, "charges_itself", False):
        _charge_known()


def _charge_known() -> None:
    if g.scope is not None:
        charge(g.scope, None, rows=0)


def charge(scope: Scope, model: str | None, *, rows: int) -> None:
    """Charge the current request, and keep what its caller is told of that."""
    g.policies = charging.charge(current_platform(), scope, model, rows=rows)


def tell(response: flask.Response) -> flask.Response:
    """Add the IETF RateLimit fields for the limits that the request was charged to."""
    policies: tuple[Policy, ...] = g.get("policies", ())
    if policies:
        response.headers.update(charging.fields_of(policies))
    return response


def _refuse_address(breached: RequestLimit) -> flask.Response:
    """Say exactly when the address is admitted again; flask-limiter itself rounds down."""
    limit = breached.limit
    charge = charge_of(breached.key, limit.amount, limit.get_expiry(), 1)
    verdict = current_platform().counters.peek([replace(charge, policy=charging.ADDRESS)])
    raise RateLimited(charging.ADDRESS, verdict.retry_after, charging.policies_of(verdict))
