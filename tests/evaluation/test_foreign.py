"""Files of other tools: read as they come, matched by sample, and refused with a sentence that says where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

from medplug.errors import DataError, UsageError
from medplug.evaluation.aucmedi import aucmedi_layout, write_aucmedi
from medplug.evaluation.foreign import LabelTable, match, read_labels, read_predictions
from medplug.evaluation.scores import score
from medplug.evaluation.tables import PredictionTable, write_predictions
from medplug.values import Predictions

PREDICTIONS = "sample,cat,dog\na.png,0.75,0.25\nb.png,0.5,0.5\nc.png,0.125,0.875\n"
LABELS = "sample,label\nc.png,dog\na.png,cat\nb.png,dog\n"


@pytest.fixture
def matched(tmp_path: Path) -> Any:
    """Match two texts, written as files ``p.csv`` and ``l.csv``."""

    def run(predictions: str | bytes = PREDICTIONS, labels: str | bytes = LABELS, **options: Any) -> Any:
        for name, text in (("p.csv", predictions), ("l.csv", labels)):
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return match(read_predictions(tmp_path / "p.csv"), read_labels(tmp_path / "l.csv"), **options)

    return run


def test_samples_are_matched_by_name_in_the_order_of_the_predictions(matched: Any) -> None:
    found, metadata, notes = matched()
    assert found.samples == ("a.png", "b.png", "c.png")
    assert found.classes == ("cat", "dog")
    assert found.task == "multiclass"
    np.testing.assert_array_equal(found.targets, [[1, 0], [0, 1], [0, 1]])
    np.testing.assert_array_equal(found.probabilities, [[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
    assert (found.groups, metadata, notes) == (None, {}, [])


SAME = {
    "capitals, as AUCMEDI writes": (PREDICTIONS.replace("sample", "SAMPLE"), LABELS.replace("sample,label", "SAMPLE,CLASS")),
    "semicolons and decimal commas": (PREDICTIONS.replace(",", ";").replace(".125", ",125").replace("0.", "0,"), LABELS.replace(",", ";")),
    "semicolons and decimal points": (PREDICTIONS.replace(",", ";"), LABELS),
    "tabs": (PREDICTIONS.replace(",", "\t"), LABELS.replace(",", "\t")),
    "UTF-8 with a mark, CR LF": (b"\xef\xbb\xbf" + PREDICTIONS.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + LABELS.encode()),
    "UTF-16, as spreadsheets say Unicode text": (PREDICTIONS.replace(",", "\t").encode("utf-16"), LABELS),
    "blanks, empty lines and columns": (PREDICTIONS.replace(",", " , ").replace("\n", ",,\n\n"), "\n" + LABELS + ",,\n"),
    "quotes": ('"sample","cat","dog"\n"a.png","0.75","0.25"\n"b.png",.5,5e-1\n"c.png",0.125,0.875', LABELS),
    "one-hot columns in another order": (PREDICTIONS, "dog,sample,cat\n1,c.png,0\n0.0,a.png,1.0\nTrue,b.png,False\n"),
    "reserved columns": (PREDICTIONS.replace("dog\n", "dog,medplug:decision,medplug:calibrated:cat\n").replace("5\n", "5,cat,0.1\n"), LABELS),
    "the sample is not the first column": ("cat,sample,dog\n0.75,a.png,0.25\n0.5,b.png,0.5\n0.125,c.png,0.875\n", LABELS),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_files_that_look_otherwise_and_say_the_same(matched: Any, case: str) -> None:
    found, metadata, notes = matched(*SAME[case])
    expected = matched()[0]
    assert (found.samples, found.classes, found.task) == (expected.samples, expected.classes, expected.task)
    np.testing.assert_array_equal(found.targets, expected.targets)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert (metadata, notes) == ({}, [])


def test_latin_1_is_read_and_said(matched: Any, tmp_path: Path) -> None:
    texts = [t.replace("cat", "Häm").encode("latin-1") for t in (PREDICTIONS, LABELS)]
    found, _, notes = matched(*texts)
    assert found.classes == ("Häm", "dog")
    assert notes == [f"{tmp_path / n} is not UTF-8; it was read as Latin-1" for n in ("p.csv", "l.csv")]


def test_class_numbers_match_only_classes_that_are_numbers(matched: Any) -> None:
    found = matched("sample,0,1\na,0.75,0.25\nb,0.5,0.5\n", "sample,label\na,0.0\nb,1\n")[0]  # 0.0: what pandas writes
    np.testing.assert_array_equal(found.targets, [[1, 0], [0, 1]])
    with pytest.raises(DataError, match="line 2, column 'label': which class the number 0 means is not known"):
        matched(labels="sample,label\na.png,0\nb.png,1\nc.png,1\n")


def test_a_class_called_none_is_a_class(matched: Any) -> None:
    found = matched("sample,none,some\na,0.75,0.25\nb,0.5,0.5\n", "sample,label\na,none\nb,some\n")[0]
    np.testing.assert_array_equal(found.targets, [[1, 0], [0, 1]])


MULTILABEL = "sample,cat,dog\na.png,0.9,0.8\nb.png,0.1,0.7\nc.png,0.2,0.1\n"


def test_several_labels_none_or_unknown_ones_make_a_multi_label_task(matched: Any, tmp_path: Path) -> None:
    found, _, notes = matched(MULTILABEL, "sample,cat,dog\na.png,1,0\nb.png,,1\nc.png,0,1\n")
    assert found.task == "multilabel"
    np.testing.assert_array_equal(found.targets, [[1, 0], [np.nan, 1], [0, 1]])
    assert notes == [f"a multi-label task, because the label 'cat' is unknown in {tmp_path / 'l.csv'}, line 3"]
    assert "there are 2 labels" in matched(MULTILABEL, "sample,cat,dog\na.png,1,1\nb.png,0,1\nc.png,0,1\n")[2][0]
    assert "there are 0 labels" in matched(MULTILABEL, "sample,cat,dog\na.png,1,0\nb.png,0,0\nc.png,0,1\n")[2][0]


def test_the_task_can_be_stated(matched: Any) -> None:
    found = matched(MULTILABEL, "sample,cat,dog\na.png,1,0\nb.png,1,0\nc.png,0,1\n", task="multilabel")[0]
    assert found.task == "multilabel"
    assert matched(MULTILABEL, LABELS, task="multilabel")[0].task == "multilabel"
    one = matched("sample,cat\na,0.3\nb,0.6\n", "sample,cat\na,0\nb,1\n", task="multilabel")[0]
    np.testing.assert_array_equal(one.targets, [[0], [1]])
    with pytest.raises(UsageError, match="not 'binary'"):
        matched(task="binary")


def test_groups_and_metadata(matched: Any) -> None:
    labels = (
        "sample,patient,label,age,site,lesion,weight\n"
        "a.png,P1,cat,71,north,L1,70\nb.png,P1,dog,,south,NA,\nc.png,,dog,48.5,3,L2,x\n"
    )
    found, metadata, notes = matched(labels=labels, groups=["patient"])
    assert found.groups.tolist() == ["P1", "P1", ""]
    assert list(metadata) == ["age", "site", "lesion", "weight"]
    np.testing.assert_array_equal(metadata["age"], [71, np.nan, 48.5])
    assert metadata["site"].tolist() == ["north", "south", "3"]
    assert metadata["weight"].tolist() == ["70", "", "x"]
    assert notes == []
    assert matched(labels=labels, groups="lesion")[0].groups.tolist() == ["L1", "", "L2"]
    with pytest.raises(UsageError, match="no column 'pateint' for the groups; did you mean 'patient'"):
        matched(labels=labels, groups=["pateint"])


def test_groups_of_several_columns_are_chained(matched: Any) -> None:
    predictions = "sample,x,y\n" + "".join(f"{s},0.5,0.5\n" for s in "abcde")
    labels = "sample,label,patient,site\na,x,1,\nb,x,1,n\nc,y,2,n\nd,y,3,\ne,x,,\n"
    groups = matched(predictions, labels, groups=["patient", "site"])[0].groups.tolist()
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3


def test_decimal_commas_in_metadata(matched: Any) -> None:
    metadata = matched(labels="sample;label;age\na.png;cat;1,5\nb.png;cat;2\nc.png;dog;\n")[1]
    np.testing.assert_array_equal(metadata["age"], [1.5, 2, np.nan])


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (("a", "b", "c"), "without extension"),
        (("a.jpg", "b.tiff", "c"), "without extension"),
        (("x/a.png", "x\\y\\b.png", "c.png"), "without folders"),
        (("x/a", "y/b.jpg", "c.nii.gz"), "without folders and extension"),
    ],
)
def test_names_that_differ_by_extension_or_folder_are_matched_and_said(
    matched: Any, tmp_path: Path, names: tuple[str, ...], how: str
) -> None:
    labels = "sample,label\n" + "".join(f"{n},{c}\n" for n, c in zip(names, ("cat", "dog", "dog"), strict=True))
    found, _, notes = matched(labels=labels)
    np.testing.assert_array_equal(found.targets, matched()[0].targets)
    assert notes == [f"the names in {tmp_path / 'p.csv'} and {tmp_path / 'l.csv'} differ: they were matched {how}"]


def test_numbers_behind_a_point_are_no_extension(matched: Any) -> None:
    with pytest.raises(DataError, match="no sample in common: 'p.1', 'q.1' here, 'p.2', 'q.2' there"):
        matched("sample,x,y\np.1,1,0\nq.1,1,0\n", "sample,label\np.2,x\nq.2,x\n")


def test_names_are_not_matched_where_that_is_ambiguous(matched: Any) -> None:
    with pytest.raises(DataError, match=r"compared without extension names are ambiguous \('a.png' and 'a.jpg'\)"):
        matched("sample,x,y\na.png,1,0\na.jpg,1,0\n", "sample,label\na.png,x\na,x\n")


TOO_MANY = "sample,label\n" + "".join(f"{i}.png,cat\n" for i in range(7)) + LABELS.partition("\n")[2]


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (PREDICTIONS, LABELS + "d.png,cat\n", r"1 of 4 samples in \S+l.csv are not in \S+p.csv: 'd.png': both files must"),
        (PREDICTIONS, TOO_MANY, "7 of 10 samples in .*: '0.png', '1.png', '2.png', '3.png', '4.png' and 2 more"),
        (PREDICTIONS + "d.png,0.5,0.5\n", LABELS, r"1 of 4 samples in \S+p.csv are not in \S+l.csv: 'd.png'"),
        (PREDICTIONS, "sample,label\na,cat\nb,dog\n", r"not in \S+l.csv: 'c.png' \(names compared without extension\)"),
        (PREDICTIONS + "a.png,0.5,0.5\n", LABELS, r"p.csv, line 5: the sample 'a.png' is there already \(line 2\)"),
        (PREDICTIONS, LABELS + "c.png,dog\n", r"l.csv, line 5: the sample 'c.png' is there already \(line 2\)"),
        (PREDICTIONS.replace("0.75", "75"), LABELS, "p.csv, line 2, column 'cat': 75 is no probability.*percentages"),
        (PREDICTIONS.replace("0.875", "-0.1"), LABELS, "p.csv, line 4, column 'dog': -0.1 is no probability"),
        (PREDICTIONS.replace("0.875", "inf"), LABELS, "p.csv, line 4, column 'dog': inf is no probability"),
        (PREDICTIONS.replace("0.875", ""), LABELS, r"p.csv, line 4, column 'dog': no number there: every sample"),
        (PREDICTIONS.replace("0.875", "high"), LABELS, "line 4, column 'dog': 'high' is not a number; .*remove others"),
        (PREDICTIONS.replace("0.875", "0_1"), LABELS, "'0_1' is not a number"),
        (PREDICTIONS.replace("0.875", "0.88"), LABELS, r"line 4: the probabilities of 'c.png' sum to 1.005.*multilabel.*softmax"),
        ("sample,cat\na,0.5\n", "sample,label\na,cat\n", "'cat' is the only class.*two or more.*--task multilabel"),
        (PREDICTIONS, LABELS.replace("b.png,dog", "b.png,wolf"), r"l.csv, line 4, column 'label': 'wolf' is no class: .*'cat', 'dog'"),
        (PREDICTIONS, LABELS.replace("b.png,dog", "b.png,Dog"), "did you mean 'dog'"),
        (PREDICTIONS, LABELS.replace("b.png,dog", "b.png,cat|dog"), "'cat\\|dog' are several labels, which need one column per class"),
        (PREDICTIONS, LABELS.replace("b.png,dog", "b.png,"), "line 4, column 'label': the label is empty; remove the sample"),
        (PREDICTIONS, "sample,cat,dig\na.png,1,0\nb.png,1,0\nc.png,1,0\n", "neither a column 'label' nor .*: 'dog' is missing; did you mean 'dig'"),
        (PREDICTIONS, "sample,truth\na.png,1\nb.png,1\nc.png,0\n", "'cat', 'dog' are missing; it has 'truth'"),
        (PREDICTIONS, "sample,cat,dog\na.png,1,0\nb.png,0,-1\nc.png,0,1\n", "line 3, column 'dog': '-1' must be 1 .* 0 .* or empty"),
        (PREDICTIONS, "sample,cat,dog\na.png,1,0\nb.png,0,0\nc.png,0,1\n", "line 3: there are 0 labels, but the probabilities .* sum to 1.*lack the column"),
        ("", LABELS, "p.csv: the file is empty"),
        ("image,cat\na,1\n", LABELS, "no column is called 'sample' in the first line, which has 'image', 'cat'"),
        ("sample,cat,dog\n", LABELS, "a header and no rows"),
        ("sample\na\n", LABELS, "no probabilities beside the sample"),
        ("sample,medplug:decision\na,cat\n", LABELS, "no probabilities beside the sample"),
        (PREDICTIONS + "d.png,0.5\n", LABELS, "p.csv, line 5: 2 cells, but the header has 3"),
        (PREDICTIONS + "d.png,0.5,0.5,0.5\n", LABELS, "p.csv, line 5: 4 cells, but the header has 3"),
        (PREDICTIONS + ",0.5,0.5\n", LABELS, "p.csv, line 5, column 'sample': the name of the sample is empty"),
        (PREDICTIONS.replace("sample,cat", "sample,dog"), LABELS, "two columns are called 'dog'"),
        ("sample,SAMPLE,a\na,b,1\n", LABELS, "two columns are called 'sample'"),
        (",sample,a\n0,b,1\n", LABELS, "column 1 has no name in the first line"),
        (b"\xff\xfes", LABELS, "not the UTF-16 text that it says it is"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_file_line_and_column(
    matched: Any, predictions: str, labels: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        matched(predictions, labels)


def test_a_stated_multi_class_task_needs_one_label_each(matched: Any) -> None:
    with pytest.raises(
        DataError, match="line 3: there are 2 labels, but in a multi-class task each sample has exactly"
    ):
        matched(labels="sample,cat,dog\na.png,1,0\nb.png,1,1\nc.png,0,1\n", task="multiclass")


def test_a_line_is_counted_as_an_editor_counts(matched: Any) -> None:
    """A text over two lines and an empty line come before the wrong one."""
    text = PREDICTIONS.replace("a.png", '"a\n.png"').replace("b.png", "\nb.png").replace("0.875", "2")
    with pytest.raises(DataError, match="line 6, column 'dog'"):
        matched(text)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.csv: cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_sums_may_miss_1_by_rounding_only(matched: Any) -> None:
    """0.33 three times is what two digits can do; 0.330 and 0.3301 in one file show that there were more."""
    rounded = "sample,x,y,z\na,0.33,0.33,0.33\nb,0.34,0.33,0.33\n"
    labels = "sample,label\na,x\nb,z\n"
    found, _, notes = matched(rounded, labels)
    assert found.probabilities[0].tolist() == [0.33, 0.33, 0.33]  # as they are, not scaled
    assert "sum to 1 only within 0.01" in notes[0]
    with pytest.raises(DataError, match="sum to 0.99"):
        matched(rounded.replace("0.34,0.33,0.33", "0.3401,0.3299,0.33"), labels)
    with pytest.raises(DataError, match="sum to 0.96"):
        matched(rounded.replace("0.33,0.33,0.33", "0.32,0.32,0.32", 1), labels)
    assert matched("sample,x,y\na,0.5004,0.5\nb,0.12345,0.876\n", "sample,label\na,x\nb,y\n")[2] == []


def test_a_label_column_wins_over_columns_of_the_classes_and_says_so(matched: Any, tmp_path: Path) -> None:
    _, metadata, notes = matched(labels="sample,label,cat\na.png,cat,x\nb.png,dog,y\nc.png,dog,z\n")
    assert metadata == {}
    assert notes == [f"{tmp_path / 'l.csv'}: labels come from the column 'label', not from one per class"]


def test_tables_made_in_python_need_no_file() -> None:
    table = PredictionTable(("a", "b"), ("x", "y"), np.array([[0.25, 0.75], [1.0, 0.0]]))
    found, metadata, _ = match(table, LabelTable(("b", "a"), {"label": ["x", "y"], "age": np.array([4.0, np.nan])}))
    np.testing.assert_array_equal(found.targets, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(metadata["age"], [np.nan, 4])
    hot = match(table, LabelTable(("a", "b"), {"x": [None, 1], "y": [True, 0]}), task="multilabel")[0]
    np.testing.assert_array_equal(hot.targets, [[np.nan, 1], [1, 0]])
    with pytest.raises(DataError, match="labels, row 2: the sample 'a' is there already \\(row 1\\)"):
        match(table, LabelTable(("a", "a"), {"label": ["x", "y"]}))
    with pytest.raises(DataError, match="column 'label' has 1 cells for 2 samples"):
        match(table, LabelTable(("a", "b"), {"label": ["x"]}))
    with pytest.raises(DataError, match=r"probabilities must be \[2, 3\]"):
        match(PredictionTable(("a", "b"), ("x", "y", "z"), table.probabilities), LabelTable(()))
    with pytest.raises(DataError, match="there is no sample"):
        match(PredictionTable((), ("x", "y"), np.empty((0, 2))), LabelTable(()))


def test_what_predict_writes_can_be_evaluated(tmp_path: Path, make: Any) -> None:
    run = make(40)
    columns = {"medplug:decision": ["class 0"] * 40, "medplug:energy": ["-1.5"] * 40}
    write_predictions(
        tmp_path / "p.csv", Predictions(run.samples, run.probabilities, None, run.classes, run.task, None, columns)
    )
    labels = "sample,label\n" + "".join(
        f"{s},class {t.argmax()}\n" for s, t in zip(run.samples, run.targets, strict=True)
    )
    (tmp_path / "l.csv").write_text(labels)
    found = match(read_predictions(tmp_path / "p.csv"), read_labels(tmp_path / "l.csv"))[0]
    np.testing.assert_array_equal(found.probabilities, run.probabilities)
    np.testing.assert_array_equal(found.targets, run.targets)


def test_figures_of_shuffled_files_agree_with_scikit_learn(matched: Any, make: Any, metrics: Any) -> None:
    run = make(90, 4, seed=3)
    names = [f"{i}.png" for i in range(90)]
    head = ";".join(["SAMPLE", *run.classes])
    rows = [
        ";".join([n, *(repr(p).replace(".", ",") for p in r)])
        for n, r in zip(names, run.probabilities.tolist(), strict=True)
    ]
    truth = run.targets.argmax(1)
    labels = [f"{n}\tclass {t}" for n, t in zip(names, truth, strict=True)]
    order = np.random.default_rng(1).permutation(90)
    found = matched("\n".join([head, *rows]), "\n".join(["sample\tlabel", *(labels[i] for i in order)]))[0]
    macro = score(found, metrics)["macro"]
    assert macro["hits"]["value"] == pytest.approx(accuracy_score(truth, run.probabilities.argmax(1)))
    assert macro["recall"]["value"] == pytest.approx(recall_score(truth, run.probabilities.argmax(1), average="macro"))
    expected = roc_auc_score(truth, run.probabilities, multi_class="ovr")
    assert macro["ranking"]["value"] == pytest.approx(expected)


def _layout(found: Predictions) -> dict[tuple[str, str], float | None]:
    return {(metric, name): value for metric, value, name in aucmedi_layout(found)}


def test_the_layout_of_aucmedi_agrees_with_scikit_learn(make: Any) -> None:
    run = make(90, 4, seed=3)
    layout, best = _layout(run), run.probabilities.argmax(1)
    assert [m for m, n in layout if n == "class 0"] == [
        "TP", "TN", "FP", "FN", "Sensitivity", "Specificity", "Precision", "FPR", "FNR", "FDR", "Accuracy", "F1", "AUC",
    ]  # fmt: skip
    for c, name in enumerate(run.classes):
        truth, present = run.targets[:, c] == 1, best == c
        tn, fp, fn, tp = confusion_matrix(truth, present).ravel()
        expected = {
            "TP": tp, "TN": tn, "FP": fp, "FN": fn, "Sensitivity": recall_score(truth, present),
            "Specificity": recall_score(~truth, ~present), "Precision": precision_score(truth, present),
            "FPR": 1 - recall_score(~truth, ~present), "FNR": 1 - recall_score(truth, present),
            "FDR": 1 - precision_score(truth, present), "Accuracy": accuracy_score(truth, present),
            "F1": f1_score(truth, present), "AUC": roc_auc_score(truth, run.probabilities[:, c]),
        }  # fmt: skip
        assert {m: layout[m, name] for m in expected} == pytest.approx(expected)


def test_the_layout_of_aucmedi_in_multi_label_tasks(tmp_path: Path) -> None:
    """By hand: ties count half in the AUC, unknown labels do not count, and 0 / 0 is an empty cell."""
    targets = np.array([[1, 0], [0, 0], [np.nan, 0], [1, 0]], np.float32)
    found = Predictions(
        ("a", "b", "c", "d"),
        np.array([[0.5, 0.1], [0.5, 0.2], [0.9, 0.3], [0.2, 0.1]]),
        targets,
        ("x", "=y"),
        "multilabel",
    )
    layout = _layout(found)
    assert [layout[m, "x"] for m in ("TP", "TN", "FP", "FN", "AUC")] == [1, 0, 1, 1, 0.25]
    assert [layout[m, "=y"] for m in ("Sensitivity", "Precision", "F1", "AUC")] == [None] * 4
    lines = write_aucmedi(tmp_path / "m.csv", found).read_text().splitlines()
    assert lines[:2] == ['"metric","score","class"', '"TP",1,"x"']
    assert lines[-1] == '"AUC","","\'=y"'
    with pytest.raises(DataError, match="no labels"):
        aucmedi_layout(Predictions(("a",), np.ones((1, 1)), None, ("x",), "multilabel"))
