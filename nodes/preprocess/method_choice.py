"""Lists of methods on nodes: people read labels; programs and workflows of other versions give ids and aliases."""

from typing import Any

from comfy_api.latest import io

from ...preprocessors.catalogue import preprocessor_of, preprocessors


class MethodChoice(io.Combo.Input):
    """An input that offers all methods by their labels, after other choices."""

    def __init__(self, id: str, tooltip: str, first: tuple[str, ...] = ()) -> None:
        labels = [preprocessor.label for preprocessor in preprocessors().values()]
        super().__init__(id, options=[*first, *labels], tooltip=tooltip)

    def meant(self, value: Any) -> Any:
        """The choice of the list that a value stands for; the value itself where there is none."""
        try:
            return value if value in (self.options or ()) else preprocessor_of(str(value)).label
        except ValueError:
            return value

    def accepts(self, value: str | None) -> bool | str:
        """True, or why a value is refused: for `validate_inputs`, in place of the host's look at the list alone.

        None: it comes by a wire and is not known yet.
        """
        if value is None or self.meant(value) in (self.options or ()):
            return True
        return f"No method is called {value!r}; choose one from the list of {self.id}."
