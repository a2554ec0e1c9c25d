"""Listing a folder of very many files: linear, nothing asked of single files, a folder at a time."""

import os
from pathlib import Path

import pytest
from zeroconv.datasets.folder_listing import FolderListing, hint_names


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_survey_and_jobs_agree_about_what_is_there(tmp_path: Path) -> None:
    touch(*(tmp_path / "in" / f"{number // 5}" / f"{number}.jpg" for number in range(20)))
    touch(*(tmp_path / "out" / f"{number // 5}" / f"{number}.png" for number in range(0, 20, 3)))
    touch(tmp_path / "in" / "notes.txt")
    listing = FolderListing(tmp_path / "in", tmp_path / "out")
    survey = listing.survey()
    assert (survey.pictures, survey.there, survey.others) == (20, 7, {".txt": 1})
    jobs = list(listing.jobs())
    assert sorted(Path(source).stem for source, _ in jobs) == sorted(str(n) for n in range(20) if n % 3)
    assert all(
        target == source.replace(f"{tmp_path}/in", f"{tmp_path}/out").replace(".jpg", ".png") for source, target in jobs
    )
    assert len(list(listing.jobs(overwrite=True))) == 20


@pytest.mark.skipif(os.name == "nt", reason="asks Linux what is called")
def test_single_files_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many questions to the disk for a hundred files as for four: a million take seconds, also on a network."""

    def questions(count: int) -> int:
        source, target = tmp_path / f"in {count}", tmp_path / f"out {count}"
        touch(*(source / f"{number}.jpg" for number in range(count)), *(target / f"{n}.png" for n in range(count)))
        asked = []
        with monkeypatch.context() as counted:
            for name in ("stat", "lstat", "scandir"):
                real = getattr(os, name)
                counted.setattr(os, name, lambda *a, real=real, **k: (asked.append(a), real(*a, **k))[1])
            listing = FolderListing(source, target)
            assert listing.survey().there == count
            assert list(listing.jobs()) == []
        return len(asked)

    assert questions(100) == questions(4)


def test_folders_are_listed_only_when_their_turn_comes(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a" / "1.png", tmp_path / "in" / "b" / "1.png")
    jobs = FolderListing(tmp_path / "in", tmp_path / "out").jobs()
    assert Path(next(jobs)[0]).parent.name == "a"
    touch(tmp_path / "in" / "b" / "2.png")
    assert len(list(jobs)) == 2


def test_hints_whose_pictures_are_other_pictures_are_refused(tmp_path: Path) -> None:
    """--output is the folder above --input, which has a folder of its own name."""
    touch(tmp_path / "in" / "in" / "a.png", tmp_path / "in" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png would replace the image .*a\.png: choose another --output"):
        FolderListing(tmp_path / "in", tmp_path).survey()


def test_linked_folders_and_the_folder_of_the_hints_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.png", tmp_path / "in" / "hints" / "a.png", tmp_path / "other" / "b.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "other")
    assert FolderListing(tmp_path / "in", tmp_path / "in" / "hints").survey().pictures == 1


def test_names_in_one_folder_stay_apart_whatever_they_are() -> None:
    pictures = ["B.png", "a.jpg", "a.jpg.png", "a.png", "b.jpg", "c.webp"]
    names = hint_names(pictures, ".png")
    assert len({name.casefold() for name in names}) == len(pictures)
    assert names[-1] == "c.png"
