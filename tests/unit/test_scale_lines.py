"""Lines of docs/scale.md are understood by the commands as they stand there."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest
from zeroconv.commands import COMMANDS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")


def lines() -> list[list[str]]:
    """Every line of the page that runs `zeroconv`, from the name of the command on; those of a script joined."""
    found = re.findall(r"^(?:    |  )(?:.*-m )?zeroconv (.*)$", TEXT, re.MULTILINE)
    return [shlex.split(line.rstrip("'")) for line in found]


def test_there_are_lines_of_every_kind() -> None:
    assert {line[0] for line in lines()} == {"preprocess", "train", "dataset"}
    assert len(lines()) >= 8


@pytest.mark.parametrize("line", lines(), ids=" ".join)
def test_a_line_is_understood(line: list[str]) -> None:
    assert line[0] in COMMANDS
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers(dest="command")
    importlib.import_module(f"zeroconv.commands.{line[0]}").add_parser(subparsers)
    assert parser.parse_args(line).command == line[0]


def test_lines_of_accelerate_are_understood_by_accelerate() -> None:
    """All its arguments are known; what it runs is the module."""
    launch = importlib.import_module("accelerate.commands.launch")
    found = re.findall(r"^    accelerate launch (.*)$", TEXT, re.MULTILINE)
    assert len(found) >= 3
    for line in found:
        args = launch.launch_command_parser().parse_args(shlex.split(line))
        assert (args.module, args.training_script) == (True, "zeroconv")
