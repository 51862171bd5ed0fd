"""The Flask application: registration only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import flask
from flask import g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from auth.scope import Scope
from config import migrations
from config.logging import configure_logging
from config.settings import Settings
from config.telemetry import NO_DIALECT
from service import (
    bulk,
    conditional,
    faults,
    hardening,
    idempotency,
    limits,
    observing,
    recognition,
    security,
)
from service.addresses import Address
from service.bootstrap import Platform, assemble
from service.columnar.forms import is_columnar
from service.description.api import DescribedApi
from service.express.answering import Express
from service.intake_runner import IntakeRunner, TrainingRunner
from service.lanes import Caller, Pace
from service.monitoring import Monitor
from service.observing import Call, Outcome
from service.operations.guesses import counted_address
from service.protocols import columnar, mlflow, open_inference, predict, tensorflow_serving
from service.routes import (
    admin,
    aliases,
    auth,
    discovery,
    documentation,
    drift,
    gates,
    health,
    jobs,
    models,
    prediction_logs,
    routing,
    trainings,
    uploads,
    versions,
)
from service.spools import CONTINUE
from service.upkeep import Upkeep
from service.visits import NATIVE
from service.watching import watch_cache
from service.wording import Wordings
from service.wsgi import Kind, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BLUEPRINTS: Final = (
    auth.bp,
    predict.bp,
    columnar.bp,
    open_inference.bp,
    tensorflow_serving.bp,
    mlflow.bp,
    models.bp,
    versions.bp,
    aliases.bp,
    uploads.bp,
    jobs.bp,
    trainings.bp,
    trainings.reports,
    routing.bp,
    gates.bp,
    drift.bp,
    prediction_logs.bp,
    admin.bp,
    discovery.bp,
    health.bp,
    documentation.bp,
)
# Of each blueprint that takes predictions.
DIALECTS: Final = {
    "predict": NATIVE,
    "columnar": bulk.DIALECT,
    "open_inference": open_inference.DIALECT,
    "tensorflow_serving": tensorflow_serving.DIALECT,
    "mlflow": mlflow.DIALECT,
}
# Of each dialect whose clients expect words of their own.
WORDINGS: Final = Wordings([open_inference.WORDING, tensorflow_serving.WORDING, mlflow.WORDING])
# What hashes passwords; werkzeug takes any number of slashes in front for one.
HASHING_PATHS: Final = re.compile(
    r"/+(?:auth/(?:login|password|otp)|admin/users(?:/[^/]*/reset-password)?)"
)
# What opens a version first, wherever that runs, or has it judged.
WAITING_PATHS: Final = re.compile(
    r"/+models/[^/]+/(?:aliases/.+|route|drift(?:/report)?|versions/[^/]+/gate)"
    r"|/v2/repository/models/[^/]+/load"
)
INTAKE_SECONDS: Final = 5.0  # that a stopping worker gives an intake to stop as well
UPLOAD_PATHS: Final = re.compile(r"/+(?:models/[^/]+/versions|training/jobs)")
BULK_PATHS: Final = re.compile(r"/+models/[^/]+/predict")


@dataclass(frozen=True, slots=True)
class Served:
    """The application of one web worker, with its upkeep and intakes running until `close`."""

    app: flask.Flask
    platform: Platform
    upkeep: Upkeep
    intakes: IntakeRunner
    trainings: TrainingRunner
    express: Express

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self.app(environ, start_response)

    def sort(self, asked: Request) -> Caller:
        """What a call will do, and whose turn it uses: its tenant's if its credential is known.

        Only a verified credential says whose it is: a claimed tenant would let anybody take another
        tenant's turns.
        """
        scope = recognition.known_caller(self.platform, asked)
        pace = self._pace(asked.path, scope)
        if scope is not None:
            return Caller(pace, scope.tenant_id, is_known=True)
        return Caller(pace, counted_address(recognition.address_of(self.platform, asked)))

    def introduce(self, asked: Request) -> None:
        """Verify whose a request is, so that it is sorted as a known caller's; counts strangers."""
        recognition.introduce(self.platform, asked)

    def _pace(self, path: str, scope: Scope | None) -> Pace:
        if HASHING_PATHS.fullmatch(path):
            return "hashing"
        waits = scope is not None and self.platform.hosting.keeps_waiting(scope.tenant_id)
        return "waiting" if waits or WAITING_PATHS.fullmatch(path) else "quick"

    def monitor(self, program: str) -> Monitor:
        """What shows this process among those of the programs that answer calls."""
        return Monitor(self.platform.telemetry, program)

    @property
    def wordings(self) -> Wordings:
        """How what is refused before the application is asked is worded."""
        return WORDINGS

    def takes_upload(self, asked: Request) -> Kind | None:
        """Whether a request brings a file that memory should not hold, and of which kind."""
        if asked.method != "POST":
            return None
        if UPLOAD_PATHS.fullmatch(asked.path):
            return "upload"
        is_bulk = BULK_PATHS.fullmatch(asked.path) and is_columnar(asked.header("content-type"))
        return "bulk" if is_bulk else None

    def close(self) -> None:
        """End the upkeep, the intakes and the trainings after the last answer."""
        for runner in (self.intakes, self.trainings):
            runner.stop(seconds=INTAKE_SECONDS)
        self.platform.shadows.stop()
        self.platform.prediction_logs.waiting.stop()
        self.upkeep.stop()


def create_application(settings: Settings) -> Served:
    """The application of one web worker; raises if the installation is unfit to serve."""
    configure_logging(settings.log_level, settings.log_format)
    platform = assemble(settings, served=True)
    migrations.check(platform.database)
    platform.authority.describe()
    platform.signer()
    platform.tracing.open()
    upkeep = Upkeep(platform)
    upkeep.start()
    intakes, trainings = IntakeRunner(platform), TrainingRunner(platform)
    intakes.start()
    trainings.start()
    express = Express(platform)
    watch_cache(platform.telemetry, "passes", express.passes.known)
    return Served(create_app(settings, platform), platform, upkeep, intakes, trainings, express)


def create_app(settings: Settings, platform: Platform | None = None) -> flask.Flask:
    """The application over the given platform; registration only."""
    platform = platform or assemble(settings)
    app = flask.Flask("sallyport", static_folder=None)
    app.config.update(
        API_TITLE="Sallyport",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        PROPAGATE_EXCEPTIONS=False,
        PROVIDE_AUTOMATIC_OPTIONS=False,  # no page of another origin is served: 405
    )
    app.url_rule_class = Address
    app.url_map.merge_slashes = False  # its redirect would lead wherever Host says
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]
    security.register(app, platform)
    faults.register(app, WORDINGS)
    app.before_request(begin)
    app.before_request(security.recognise)
    limits.register(app, platform)
    app.before_request(limits.admit)
    app.before_request(idempotency.begin)
    app.teardown_request(idempotency.forget)
    for finish in (record, harden, limits.tell, idempotency.keep, conditional.tag):
        app.after_request(finish)
    api = DescribedApi(app, settings, WORDINGS)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    return app


def begin() -> None:
    """Give the request an identifier that the answer and every log line carry."""
    call = observing.begin(security.current_platform(), request.headers.get)
    g.call, g.stages, g.request_id = call, call.stages, call.request_id


def record(response: flask.Response) -> flask.Response:
    """Count and log the answer; who asked appears as an opaque identifier."""
    if response.status_code == CONTINUE:
        return response  # to the head of an upload: the answer is to what follows
    call: Call = g.call
    call.scope, call.visit, call.problem = g.get("scope"), g.get("visit"), g.get("problem")
    call.dialect = DIALECTS.get(request.blueprint or "", NO_DIALECT)
    outcome = Outcome(status=response.status_code)
    if request.endpoint and request.url_rule:
        outcome = Outcome(
            status=response.status_code,
            endpoint=request.endpoint,
            method=request.method,
            route=request.url_rule.rule,
        )
    response.headers.extend(observing.finish(call, outcome))
    return response


def harden(response: flask.Response) -> flask.Response:
    """Set the headers that every answer has (OWASP secure headers)."""
    headers = response.headers
    headers["X-Request-Id"] = g.request_id
    headers.update(hardening.ALWAYS)
    for name, value in hardening.UNLESS_SET:
        headers.setdefault(name, value)
    return response
