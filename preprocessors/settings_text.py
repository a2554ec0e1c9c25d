"""Settings written as text: `low_threshold=50, high_threshold=150`."""

from __future__ import annotations

from .description import Preprocessor, Value

YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse_settings(preprocessor: Preprocessor, text: str) -> dict[str, Value]:
    """Values by name, in the type of each parameter; commas, semicolons and new lines part them.

    Raises ValueError for a part that is not `name=value`, an unknown name or a value of another kind.
    """
    defaults = {parameter.name: parameter.default for parameter in preprocessor.parameters}
    settings: dict[str, Value] = {}
    for part in text.replace(";", "\n").replace(",", "\n").splitlines():
        if not part.strip():
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(
                f"'{part.strip()}' is not a setting; write name=value, for example {_example(preprocessor)}."
            )
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise ValueError(f"{preprocessor.label} has no setting '{name}'. Its settings: {known}.")
        settings[name] = _value(name, value, defaults[name])
    return settings


def _value(name: str, text: str, like: Value) -> Value:
    if isinstance(like, bool):
        if text.lower() not in YES + NO:
            raise ValueError(f"{name} is '{text}'; write yes or no.")
        return text.lower() in YES
    if isinstance(like, str):
        return text
    try:
        return type(like)(text)
    except ValueError as error:
        kind = "a whole number" if isinstance(like, int) else "a number"
        raise ValueError(f"{name} is '{text}'; write {kind}.") from error


def _example(preprocessor: Preprocessor) -> str:
    first = preprocessor.parameters[:1]
    return f"{first[0].name}={first[0].default}" if first else "nothing, since this method has no settings"
