"""The findings of the checks on the page."""

from medplug.report.found import found


def finding(level, text="a sentence", names=(), details=None, check="x"):
    return {"check": check, "level": level, "text": text, "names": list(names), "details": details or {}}


def test_warnings_come_first_and_what_is_fine_is_folded():
    page = found(
        {
            "findings": [
                finding("ok", "fine"),
                finding("note", "noted"),
                finding("warning", "warned"),
                finding("error", "wrong"),
            ]
        }
    )
    order = [page.index(word) for word in ("wrong", "warned", "noted", "1\u00a0check found nothing wrong", "fine")]
    assert order == sorted(order)
    assert page.count("<details>") == 1


def test_many_names_are_folded_and_no_page_is_swamped():
    few = found({"findings": [finding("warning", names=["a.png"] * 5)]})
    assert "<details>" not in few
    many = found({"findings": [finding("warning", names=[f"<b>{i}</b>.png" for i in range(500)])]})
    assert "All 500\u00a0images by name" in many
    assert "&lt;b&gt;199&lt;/b&gt;.png" in many
    assert "&lt;b&gt;200&lt;/b&gt;.png" not in many
    assert "checks.json lists all" in many
    assert "<b>" not in many


def test_each_property_alone_has_a_row():
    alone = {"mode": {"value": 0.66, "low": 0.6, "high": 0.72}, "width": {"value": None, "low": None, "high": None}}
    page = found({"findings": [finding("warning", details={"alone": alone})]})
    assert "0.60 to 0.72" in page
    assert page.count("<tr>") == 3
    columns = {
        "dx_type": {"auc": 0.7, "low": 0.6, "high": 0.8, "leaks": True},
        "age": {"auc": 0.6, "low": 0.5, "high": 0.7, "leaks": False},
    }
    assert "dx_type" in found({"findings": [finding("warning", details=columns)]})
    assert "<table" not in found({"findings": [finding("warning", details={"alone": {"mode": alone["mode"]}})]})


def test_runs_of_before_have_findings_without_details():
    old = {"check": "x", "level": "note", "text": "a sentence"}
    assert "a sentence" in found({"findings": [old]})
    assert found({}) == ""
