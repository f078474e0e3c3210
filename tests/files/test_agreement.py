from __future__ import annotations

import pytest

import hepae
from hepae.errors import InputError
from hepae.files.agreement import differences, require_agreement
from hepae.files.joining import join_files


@pytest.mark.parametrize(
    ("codec", "options", "strict", "loose"),
    [
        (hepae.BoundedCodec({"pt": "1%"}), {}, ["bounds"], []),
        (hepae.BoundedCodec(edges={"pt": "30"}), {}, ["bounds"], []),
        (
            hepae.BoundedCodec(),
            {"drop": ["genWeight"]},
            ["branches", "branches that were left out"],
            ["branches"],
        ),
        (hepae.BoundedCodec(), {"collection": "GenJet"}, ["collections", "bounds"], ["collections"]),
        (hepae.BoundedCodec(), {"storage": "rntuple"}, ["storage"], ["storage"]),
    ],
)
def test_files_that_were_not_written_alike_are_refused(
    sample, parts, tmp_path, codec, options, strict, loose
):
    other = tmp_path / "other.root"
    hepae.compress_file(sample, other, codec, entry_stop=10, **options)
    with hepae.open(parts[0]) as one, hepae.open(other) as two:
        assert {*strict} <= {*differences(one.header, two.header, strict=True)}
        found = differences(one.header, two.header, strict=False)
        assert {*loose} <= {*found}
        assert "bounds" not in found
        assert differences(one.header, one.header, strict=True) == []
    with pytest.raises(InputError, match=rf"other\.root cannot be joined: their .*{strict[0]}.* differ"):
        join_files([parts[0], other], tmp_path / "joined.root")
    assert not (tmp_path / "joined.root").exists()


def test_parts_of_other_bounds_agree_and_those_of_other_branches_do_not(sample, parts, tmp_path):
    headers = []
    for number, (codec, drop) in enumerate(
        [(hepae.BoundedCodec({"pt": "1%"}), ()), (hepae.BoundedCodec(), ["genWeight"])]
    ):
        hepae.compress_file(sample, tmp_path / f"{number}x.root", codec, drop=drop, entry_stop=10)
        with hepae.open(tmp_path / f"{number}x.root") as file:
            headers.append(file.header)
    with hepae.open(parts[0]) as file:
        require_agreement(parts[0], [file.header, headers[0]])
        with pytest.raises(
            InputError, match="was made from files whose branches differ; decompress them one by one"
        ):
            require_agreement(parts[0], [file.header, headers[0], headers[1]])
