from pathlib import Path

import pytest

from experts.errors import ExportError
from experts.manifest import Backbone
from experts.registry import names
from experts.shelves import heads_on, making, take_away
from support import tiny_onnx


def test_an_expert_appears_under_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with making(tmp_path, "new") as folder:
        tiny_onnx.write(folder / "inner").rename(tmp_path / "made")
        (tmp_path / "made" / "manifest.json").rename(folder / "manifest.json")
        assert names(tmp_path) == ()
    assert names(tmp_path) == ("new",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "new"]


def test_of_an_expert_that_could_not_be_made_nothing_stays(tmp_path: Path) -> None:
    def half_way() -> None:
        with making(tmp_path, "new") as folder:
            (folder / "manifest.json").write_text("{}")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused_before_any_work(tmp_path: Path) -> None:
    tiny_onnx.write(tmp_path / "old")
    with (
        pytest.raises(ExportError, match=r"there is a 'old' .*--name.*aegis experts remove old"),
        making(tmp_path, "old"),
    ):
        pytest.fail("work began")


def test_a_name_that_was_taken_meanwhile_is_refused_and_the_other_stays(tmp_path: Path) -> None:
    def both_at_once() -> None:
        with making(tmp_path, "new") as folder:
            (folder / "mine").touch()
            tiny_onnx.write(tmp_path / "new")

    with pytest.raises(ExportError, match="there is a 'new'"):
        both_at_once()
    assert not (tmp_path / "new" / "mine").exists()
    assert names(tmp_path) == ("new",)


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a b"])
def test_a_name_that_is_no_plain_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="is no name for an expert"), making(tmp_path, name):
        pytest.fail("work began")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot be written"), making(tmp_path / "file", "new"):
        pytest.fail("work began")


def test_what_is_taken_away_is_gone_and_its_neighbours_stay(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tiny_onnx.write(tmp_path / name)
    take_away(tmp_path, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_a_backbone_knows_the_heads_on_it_even_beside_a_broken_folder(tmp_path: Path) -> None:
    for name in ("second", "first"):
        tiny_onnx.write(tmp_path / name, kind="head", backbone=Backbone("encoder", "0" * 64))
    tiny_onnx.write(tmp_path / "other", kind="head", backbone=Backbone("elsewhere", "0" * 64))
    (tiny_onnx.write(tmp_path / "broken") / "manifest.json").write_text("no JSON")
    assert heads_on(tmp_path, "encoder") == ["first", "second"]
    assert heads_on(tmp_path, "first") == []
