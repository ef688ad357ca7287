"""Nothing that tells who a patient is leaves the reader: not by a name, a column, a message, a warning or a log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medplug.plugins import DataError, ImageError, Index
from medplug_dicom.names import Identifiers, date_texts, id_texts, normalised, person_texts, safe_name
from medplug_dicom.reader import Dicom
from medplug_dicom.salt import DIGITS, Hasher, user_hasher

Write = Callable[..., Path]
HASHER = Hasher(bytes(32))
PERSON = {
    "PatientID": "MRN-0048213",
    "PatientName": "Müller^Eva Maria",
    "PatientBirthDate": "19610203",
    "AccessionNumber": "ACC77123",
    "StudyDate": "20240131",
    "SpecificCharacterSet": "ISO_IR 192",
    "StudyID": "ST4711",
    "OtherPatientIDs": "OLD-9911",
}
SECRETS = (
    "0048213",
    "müller",
    "muller",
    "eva",
    "maria",
    "19610203",
    "acc77123",
    "20240131",
    "st4711",
    "9911",
    "1.2.826",
)


def everything(index: Index) -> str:
    """All that an index shows to others: all but the uris."""
    shown = {
        "samples": index.samples, "classes": index.classes, "notes": index.notes, "site": index.site,
        "groups": {k: v.tolist() for k, v in index.groups.items()},
        "metadata": {k: v.tolist() for k, v in index.metadata.items()},
        "skipped": [asdict(s) for s in index.skipped], "about": asdict(index.about),
    }  # fmt: skip
    return str(shown).lower()


PATHS = [
    "MRN-0048213.dcm",
    "mrn0048213_01.dcm",
    "scan_0048213.dcm",
    "Müller_Eva-Maria/1.dcm",
    "eva maria müller.dcm",
    "MUELLER/Müller.dcm",
    "1961-02-03/1.dcm",
    "03.02.1961 scan.dcm",
    "2024/01/31/1.dcm",
    "240131.dcm",
    "acc-77123.dcm",
    "st 4711/1.dcm",
    "old.9911/1",
    "1.2.826.0.1.3680043.8.498.9.1.dcm",
    "1_2_826_0_1_3680043_8/1.dcm",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_secret_in_a_name(path: str, write: Write, tmp_path: Path) -> None:
    write(f"a/{path}", **PERSON)
    write("b/plain.dcm", PatientID="OTHER-1")
    index = Dicom().index(str(tmp_path))
    shown = everything(index)
    for secret in SECRETS:
        assert secret not in shown
    assert index.samples[1] == "b/plain.dcm"
    assert index.samples[0].startswith("a/")
    assert index.samples[0] != f"a/{path}"
    assert any("hashes in the names of samples" in note for note in index.notes)
    assert Dicom().unlabelled(str(tmp_path)).samples == index.samples


def test_names_without_secrets_stay(write: Write, tmp_path: Path) -> None:
    for name in ("a/IM-0001.dcm", "b/series 3/slice_12.dcm"):
        write(name, **PERSON)
    assert Dicom().index(str(tmp_path)).samples == ("a/IM-0001.dcm", "b/series 3/slice_12.dcm")


def test_a_folder_named_by_a_patient_is_hashed_for_files_with_blank_headers_too(write: Write, tmp_path: Path) -> None:
    write("a/Mueller_Anna/1.dcm", PatientName="Mueller^Anna", PatientID="77")
    write("a/Mueller_Anna/series/capture.dcm", PatientName="", PatientID="")
    write("a/Mueller_Anna/anna-mueller.dcm", PatientName="", PatientID="")
    write("b/2.dcm", PatientName="Other^One", PatientID="78")
    samples = Dicom().index(str(tmp_path)).samples
    assert len(samples) == 4
    assert not [name for name in samples if "mueller" in name.lower() or "anna" in name.lower()]
    assert samples[-1] == "b/2.dcm"


def test_short_numbers_are_words_of_their_own(write: Write, tmp_path: Path) -> None:
    write("a/patient_007/x1.dcm", PatientID="7")
    write("b/x17.dcm", PatientID="7")
    first, second = Dicom().index(str(tmp_path)).samples
    assert "007" not in first
    assert first.endswith("/x1.dcm")
    assert second == "b/x17.dcm"


def test_files_without_a_header_are_named_safely_by_what_others_tell(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        write(name, **PERSON)
    (tmp_path / "a" / "Müller report.pdf").write_bytes(b"%PDF")
    (tmp_path / "a" / "mrn0048213.dcm").write_bytes(b"damaged")
    (tmp_path / "a" / "1.2.826.0.1.77.88.dcm").write_bytes(b"damaged")
    index = Dicom().index(str(tmp_path))
    assert len(index.skipped) == 3
    for secret in SECRETS:
        assert secret not in everything(index)


def test_groups_are_hashes_that_join_what_belongs_together(write: Write, tmp_path: Path) -> None:
    for number in range(6):
        write(
            f"{'ab'[number % 2]}/{number}.dcm", PatientID=f"PAT{number // 3}", StudyInstanceUID=f"1.2.3.{number // 2}",
        )  # fmt: skip
    index = Dicom().index(str(tmp_path))
    order = [int(name[2]) for name in index.samples]
    patient = dict(zip(order, index.groups["patient"].tolist(), strict=True))
    assert len({*patient.values()}) == 2
    assert patient[0] == patient[1] == patient[2] != patient[3] == patient[4] == patient[5]
    # A study UID that two patients share (2 and 3) is no study, and joins nobody.
    study = dict(zip(order, index.groups["study"].tolist(), strict=True))
    assert (study[2], study[3]) == ("", "")
    assert study[0] == study[1] != study[4] == study[5]
    assert all(len(value) == DIGITS and int(value, 16) >= 0 for value in patient.values())


def test_placeholders_are_no_patients(write: Write, tmp_path: Path) -> None:
    for number, patient in enumerate(("Anonymous", "ANONYMIZED", "000", "", "real-1")):
        write(f"{'ab'[number % 2]}/{number}.dcm", PatientID=patient)
    index = Dicom().index(str(tmp_path))
    assert sum(value != "" for value in index.groups["patient"]) == 1
    assert "4 of 5 images name no patient; their study is all that keeps them together" in index.notes


def test_one_number_for_all_is_a_placeholder(write: Write, tmp_path: Path) -> None:
    for number in range(4):
        write(f"{'ab'[number % 2]}/{number}.dcm", PatientID="DEID")
    index = Dicom().index(str(tmp_path))
    assert "patient" not in index.groups
    assert len(set(index.groups["study"].tolist())) == 4
    assert any("taken for a placeholder" in note for note in index.notes)


def test_frames_stay_together_without_any_uid(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        write(name, np.zeros((2, 4, 4), np.uint8), StudyInstanceUID=None, SeriesInstanceUID=None)
    study = Dicom().index(str(tmp_path)).groups["study"]
    assert study[0] == study[1] != study[2] == study[3]


def test_burnt_in_text_is_told(write: Write, tmp_path: Path) -> None:
    write("a/1.dcm", BurnedInAnnotation="YES")
    write("b/1.dcm", BurnedInAnnotation="NO")
    assert any(
        note.startswith("1 file with text burnt into the picture") for note in Dicom().index(str(tmp_path)).notes
    )


def _message(path: Path) -> str:
    try:
        Dicom().load(str(path))
    except ImageError as error:
        return str(error)
    return ""


def test_library_messages_do_not_reach_logs_or_screen(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """pydicom warns with paths and values; damaged files make it talk."""
    path = write("a/mrn0048213.dcm", **PERSON)
    write("b/1.dcm")
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"20240131", b"2024\xff\xff31").replace(b"1.2.826", b"x.2.826"))
    (tmp_path / "a" / "cut.dcm").write_bytes(raw[:-9])
    (tmp_path / "a" / "cut2.dcm").write_bytes(raw[:400])
    logging.getLogger("pydicom").setLevel(logging.DEBUG)
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        index = Dicom().index(str(tmp_path))
        for name in ("mrn0048213", "cut", "cut2"):
            told.append(_message(tmp_path / "a" / f"{name}.dcm"))
    assert any(told)
    assert not any(secret in message.lower() for message in told for secret in ("mrn", *SECRETS))
    assert [str(w.message) for w in caught] == []
    assert [r.getMessage() for r in caplog.records if r.name.startswith("pydicom")] == []
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    for secret in SECRETS[:-1]:
        assert secret not in everything(index)


# ---------------------------------------------------------------- names, as functions

words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@given(st.lists(words, min_size=4, max_size=4), st.integers(0, 3), st.sampled_from(["", "_", " ", "-", "."]))
def test_an_identifier_is_found_wherever_it_stands(parts: list[str], place: int, joint: str) -> None:
    """Whatever is around it, and however it is spaced and cased."""
    secret = "Rq7Zk2Vx9"
    spaced = joint.join(secret).swapcase()
    path = "/".join(f"{part}{spaced}{part}" if i == place else part for i, part in enumerate(parts))
    safe = safe_name(path, Identifiers([secret]), HASHER)
    assert normalised(secret) not in normalised(safe)
    assert safe.count("/") == 3
    kept = [one for i, one in enumerate(safe.split("/")) if i != place]
    assert kept == [one for i, one in enumerate(parts) if i != place]


@given(st.lists(words, min_size=1, max_size=4))
def test_names_without_identifiers_are_not_touched(parts: list[str]) -> None:
    path = "/".join(parts)
    assert safe_name(path, Identifiers(["rq7zk2vx9wq", "1.2.840.99.1234567890.5"]), HASHER) == path


def test_different_names_stay_different_and_keep_their_extension() -> None:
    made = {safe_name(f"a/ID12345-{n}.dcm", Identifiers(["ID12345"]), HASHER) for n in range(500)}
    assert len(made) == 500
    assert all(name.startswith("a/") and name.endswith(".dcm") and len(name) == 2 + DIGITS + 4 for name in made)


def test_the_ways_of_writing() -> None:
    assert {"smithjohn", "johnsmith", "Smith", "John"} <= {*map(normalised, person_texts("Smith^John"))} | {
        "Smith",
        "John",
    }
    assert "Smith" not in person_texts("Smith^John", words=False)
    assert id_texts("PAT-00123") == ["PAT-00123", "00123"]
    assert date_texts("2024.01.31") == ["20240131", "31012024", "01312024", "240131", "310124"]
    assert date_texts("unknown") == []


# ---------------------------------------------------------------- the salt


def test_a_hash_is_hmac_sha256_cut() -> None:
    """Test case 2 of RFC 4231 has key "Jefe" and ends in 3843; here the purpose stands before the value."""
    import hashlib
    import hmac

    expected = hmac.new(b"Jefe", b"patient\x00P1", hashlib.sha256).hexdigest()[:DIGITS]
    assert Hasher(b"Jefe")("patient", "P1") == expected
    assert Hasher(b"Jefe")("study", "P1") != expected
    assert Hasher(b"jefe")("patient", "P1") != expected
    assert Hasher(b"Jefe")("patient", "") == ""


def test_the_salt_is_made_once_and_for_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "salt"
    monkeypatch.setenv("MEDPLUG_SALT_FILE", str(path))
    first = user_hasher()("patient", "1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().strip()) == 64
    assert user_hasher()("patient", "1") == first
    path.unlink()
    assert user_hasher()("patient", "1") != first
    assert [p.name for p in path.parent.iterdir()] == ["salt"]


def test_by_default_the_salt_lies_in_the_users_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDPLUG_SALT_FILE")
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / name))
    user_hasher()
    assert (tmp_path / "medplug" / "salt").is_file()


@pytest.mark.parametrize("content", ["", "short", "zz" * 32, "00" * 31])
def test_a_damaged_salt_is_told(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing another one in silence would change all names."""
    path = tmp_path / "salt"
    path.write_text(content)
    monkeypatch.setenv("MEDPLUG_SALT_FILE", str(path))
    with pytest.raises(DataError, match="holds no salt"):
        user_hasher()
    assert path.read_text() == content


def test_a_salt_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDPLUG_SALT_FILE", str(tmp_path / "file" / "salt"))
    with pytest.raises(DataError, match="MEDPLUG_SALT_FILE"):
        user_hasher()


def test_threads_that_come_at_once_agree_on_one_salt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for turn in range(20):
        monkeypatch.setenv("MEDPLUG_SALT_FILE", str(tmp_path / str(turn) / "salt"))
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: user_hasher()("patient", "1"), range(8)))
        assert len(found) == 1


def test_processes_that_come_at_once_agree_on_one_salt(tmp_path: Path) -> None:
    code = "from medplug_dicom.salt import user_hasher; input(); print(user_hasher()('patient', '1'))"
    environment = {**os.environ, "MEDPLUG_SALT_FILE": str(tmp_path / "salt")}
    waiting = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        for _ in range(4)
    ]
    for process in waiting:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert len({process.communicate(timeout=60)[0] for process in waiting}) == 1


def test_the_list_of_names(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from medplug_dicom.__main__ import main

    path = write("a/MRN-0048213.dcm", **PERSON)
    write("b/1.dcm", np.zeros((2, 4, 4), np.uint8))
    assert main([str(tmp_path), "frames=first"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == [str(path), f"{tmp_path / 'b' / '1.dcm'}#1"]
    assert lines[0][0] == Dicom().index(str(tmp_path)).samples[0]
    assert main([]) == main([str(tmp_path), "frames=none"]) == main([str(tmp_path / "no")]) == 2
