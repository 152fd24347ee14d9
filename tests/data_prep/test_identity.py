"""Pseudonyms: stable with the salt, telling nothing without it; and what must never be written is found."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from data_prep.errors import OutputError, UsageError
from data_prep.identity import Secrets, hashed, load_or_create_salt


def person(**tags):
    data = Dataset()
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    return data


def learned(keep_ids=False, **tags):
    secrets = Secrets()
    secrets.learn(person(**tags), keep_ids)
    return secrets


def test_the_salt_is_made_once_and_kept_for_its_owner(tmp_path):
    path = tmp_path / "deep" / "salt"
    salt = load_or_create_salt(path)
    assert load_or_create_salt(path) == salt and len(salt) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_salt(tmp_path / "other") != salt


def test_the_usual_salt_lies_in_the_configuration_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_or_create_salt() == (tmp_path / "lungseg" / "salt").read_bytes().strip()


def test_a_salt_that_is_none_is_refused(tmp_path):
    (tmp_path / "short").write_bytes(b"abc\n")
    with pytest.raises(UsageError, match="3 bytes"):
        load_or_create_salt(tmp_path / "short")
    with pytest.raises(OutputError, match="salt"):
        load_or_create_salt(tmp_path / "short" / "below-a-file")


@given(st.binary(min_size=16), st.binary(min_size=16), st.text(min_size=1), st.text(min_size=1))
def test_hashes_differ_with_salt_and_value(salt, other_salt, value, other_value):
    assert hashed(salt, value) == hashed(salt, value)
    assert (hashed(salt, value) == hashed(salt, other_value)) == (value == other_value)
    if salt.rstrip(b"\0") != other_salt.rstrip(b"\0"):  # HMAC pads its key with zeros
        assert hashed(salt, value) != hashed(other_salt, value)
    assert hashed(salt, "") is None


@pytest.mark.parametrize("name", ["Lung of Doe", "DOE", "GTV_Jane", "xdoe2", "Müller", "Mu\u0308ller"])
def test_parts_of_the_name_are_found(name):
    assert learned(PatientName="Doe^Jane", OtherPatientNames="Müller^J").in_name(name)


@pytest.mark.parametrize("name", ["Lung-Left", "Do", "Jan", "J", "", None])
def test_other_names_are_not(name):
    assert not learned(PatientName="Doe^Jane^J").in_name(name)


def test_short_names_count_as_whole_words_only():
    secrets = learned(PatientName="Li^Bo")
    assert secrets.in_name("GTV Li") and secrets.in_name("li_gtv") and not secrets.in_name("Liver")


def test_paths_and_errors_lose_what_identifies():
    secrets = learned(
        PatientName="Doe^Jane", PatientID="4711-A", PatientBirthDate="19530217", InstitutionName="Saint Elsewhere"
    )
    hidden = secrets.hide("in/DOE_JANE 4711-a/19530217/ct.dcm from saint elsewhere")
    assert hidden == "in/***_*** ***/***/ct.dcm from ***"


def test_data_without_identity_have_no_secrets_and_kept_ids_are_none():
    assert not learned(PatientName="Doe^Jane", PatientIdentityRemoved="YES").in_name("Doe")
    assert learned(keep_ids=True, PatientName="P17", PatientID="P17").hide("P17/ct") == "P17/ct"
    assert learned(keep_ids=False, PatientName="P17", PatientID="P17").hide("P17/ct") == "***/ct"
