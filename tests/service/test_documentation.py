"""GET /docs and its assets."""

from __future__ import annotations

import re

import pytest

from tests.house import House
from tests.service.problems import refused


def test_page_loads_only_what_is_served_from_here(shared_house: House) -> None:
    page = shared_house.client.get("/docs")

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    own = [path for path in loaded if path != "data:,"]
    assert own
    for path in own:
        assert not re.match(r"[a-z]+:|//", path), path
        with shared_house.client.get(f"/{path}") as asset:
            assert asset.status_code == 200
            assert asset.mimetype in ("text/css", "text/javascript")
            assert asset.headers["X-Content-Type-Options"] == "nosniff"


def test_policy_lets_the_page_run_nothing_else(shared_house: House) -> None:
    page = shared_house.client.get("/docs")
    policy = dict(
        directive.split(" ", 1) for directive in page.headers["Content-Security-Policy"].split("; ")
    )

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert not re.search(r"<script>|<style>|\son\w+=|style=", page.text), "nothing inline"


def test_script_of_the_page_reads_the_document_from_here(shared_house: House) -> None:
    script = shared_house.client.get("/docs/page.js").text
    assert 'url: "/openapi.json"' in script
    assert "validatorUrl: null" in script
    assert "http" not in script


@pytest.mark.parametrize(
    "asset", ["..%2f..%2fapp.py", "index.html", "%00", "swagger-ui.css%00", "..", "x" * 300]
)
def test_other_files_are_not_served(shared_house: House, asset: str) -> None:
    refused(shared_house.client.get(f"/docs/{asset}"), 404, "not-found")


def test_range_beyond_an_asset_is_a_problem_as_well(shared_house: House) -> None:
    headers = {"Range": "bytes=99999999-"}
    response = shared_house.client.get("/docs/swagger-ui.css", headers=headers)
    refused(response, 416, "range-not-satisfiable")
