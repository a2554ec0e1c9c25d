"""Words that the house does not use, and docstrings that can be read alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("storage", "controlnet", "preprocessors", "datasets", "training", "host", "commands", "nodes", "comfy_client")

RETIRED = {
    "acting": "active_rows",
    "around_step": "step_wrapper",
    "cfg_sides": "cfg_weights",
    "colour": "color",
    "colours": "colors",
    "forecast_picture": "plan_plot",
    "given_out": "hint_index_per_item",
    "hosted": "comfy_controlnet",
    "influence": "strength_factors",
    "joint_runs": "hint_batching",
    "licence": "license",
    "one_pass": "joint_control",
    "optimiser": "optimizer",
    "own_part": "own_region",
    "pace": "run_interval",
    "partial_unet": "unet_parts",
    "pending": "lazy_residuals",
    "prompt_sides": "cfg_weights",
    "shaped": "control",
    "signal_shares": "alphas_cumprod",
    "through_vae": "vae_encode",
    "told": "the word for what is told",
    "wrapped": "comfy_controlnet",
}
"""Words that had a meaning in this house only, or another spelling, and what is said instead."""


def product_files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a file gives to something, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Docstrings, also those below a constant, with their lines."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value, statement.lineno


def retired_words(source: str) -> list[tuple[str, int]]:
    """Names with a retired word as a whole or as one of their parts, in either way to join words."""
    found = []
    for name, line in names(ast.parse(source)):
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")
        if any(f"_{word}_" in f"_{words}_" for word in RETIRED):
            found.append((name, line))
    return found


def unreadable_docstrings(source: str) -> list[tuple[str, int]]:
    """Docstrings that begin in the middle of a sentence: "Of the picture." needs the line above it."""
    return [(text, line) for text, line in texts(ast.parse(source)) if text.startswith("Of ")]


@pytest.mark.parametrize("path", product_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_of_the_field(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not retired_words(source)
    assert not unreadable_docstrings(source)


def test_a_retired_word_is_found() -> None:
    source = 'class PaceOfSteps:\n    """Of a step."""\n    def by(self, own_part):\n        self.is_told = space = 1\n'
    assert [name for name, _ in retired_words(source)] == ["PaceOfSteps", "own_part", "is_told"]
    assert unreadable_docstrings(source) == [("Of a step.", 2)]
