"""The parameter node wrapper: typed attributes kept as texts in a node, two-way bound to widgets.

Only the types that the module uses: bool, int, float, str, enum, and MRML nodes.
"""

from __future__ import annotations

import enum
import typing
from typing import Any

import vtk

_BINDINGS = (
    ("nodeTypes", "currentNodeChanged"),
    ("currentText", "currentTextChanged"),
    ("checked", "toggled"),
    ("value", "valueChanged"),
    ("text", "textChanged"),
)


class WithinRange:
    """Annotation; Slicer's wrapper refuses values outside."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def check(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} to {self.maximum}")


class Choice:
    """Annotation; Slicer's wrapper refuses other values and fills a combo box."""

    def __init__(self, choices: Any) -> None:
        self.choices = list(choices)

    def check(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class Parameter:
    """One attribute of a wrapped node."""

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.kind = annotation
        self.checks: tuple[Any, ...] = ()
        if hasattr(annotation, "__metadata__"):
            self.kind = annotation.__origin__
            self.checks = tuple(c for c in annotation.__metadata__ if hasattr(c, "check"))
        self.default = default if default is not None else self._empty()

    @property
    def is_node(self) -> bool:
        return isinstance(self.kind, type) and hasattr(self.kind, "GetNodeTagName")

    def _empty(self) -> Any:
        if self.is_node:
            return None
        return next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        node = owner.parameterNode
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if not text:
            return self.default
        if self.kind is bool:
            return text == "True"
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)

    def __set__(self, owner: Any, value: Any) -> None:
        node = owner.parameterNode
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        for check in self.checks:
            check.check(value)
        node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))


def parameterNodeWrapper(wrapped: type) -> type:
    """Class decorator: annotated attributes become parameters."""
    hints = typing.get_type_hints(wrapped, include_extras=True)
    names = {name: kind for name, kind in hints.items() if name != "parameterNode"}
    defaults = {name: getattr(wrapped, name, None) for name in names}
    for name, kind in names.items():
        setattr(wrapped, name, Parameter(name, kind, defaults[name]))

    def begin(self: Any, node: Any) -> None:
        self.parameterNode = node
        self.bindings: dict[str, list[Any]] = {}

    wrapped.__init__ = begin  # type: ignore[misc]
    for function in (connectGui, disconnectGui, AddObserver, RemoveObserver):
        setattr(wrapped, function.__name__, function)
    return wrapped


def AddObserver(self: Any, event: Any, callback: Any) -> int:
    return int(self.parameterNode.AddObserver(event, callback))


def RemoveObserver(self: Any, tag: int) -> None:
    self.parameterNode.RemoveObserver(tag)


def connectGui(self: Any, root: Any) -> str:
    """Bind every widget of `slicer.util.childWidgetVariables` whose dynamic property
    `SlicerParameterName` names a parameter.
    """
    pairs = []
    for widget in vars(root).values():
        name = widget.property("SlicerParameterName")
        if name:
            if not isinstance(getattr(type(self), "__dict__", {}).get(name), Parameter):
                raise ValueError(f"the panel binds {name!r}, which is no parameter")
            pairs.append((widget, name))
    slots = []
    for widget, name in pairs:
        attribute, signal = _binding(widget)
        write = _writer(self, widget, name, attribute)
        getattr(widget, signal).connect(write)
        slots.append((getattr(widget, signal), write))

    def show(*_: Any) -> None:
        for widget, name in pairs:
            _show(widget, getattr(self, name), type(self).__dict__[name])

    show()
    tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, show)
    self.bindings[str(tag)] = slots
    return str(tag)


def disconnectGui(self: Any, tag: str) -> None:
    self.parameterNode.RemoveObserver(int(tag))
    for signal, slot in self.bindings.pop(tag):
        signal.disconnect(slot)


def _binding(widget: Any) -> tuple[str, str]:
    meta = widget.metaObject()
    for attribute, signal in _BINDINGS:
        if meta.indexOfProperty(attribute) >= 0:
            return attribute, signal
    raise ValueError(f"no parameter can be bound to a {meta.className()}")


def _writer(self: Any, widget: Any, name: str, attribute: str) -> Any:
    def write(*_: Any) -> None:
        if attribute == "nodeTypes":
            setattr(self, name, widget.currentNode())
            return
        value = widget.property(attribute)
        parameter = type(self).__dict__[name]
        if issubclass(parameter.kind, enum.Enum):
            value = parameter.kind(value) if _by_value(parameter.kind) else parameter.kind[value]
        setattr(self, name, value)

    return write


def _by_value(kind: Any) -> bool:
    return all(isinstance(member.value, str) for member in kind)


def _show(widget: Any, value: Any, parameter: Parameter) -> None:
    attribute, _ = _binding(widget)
    if attribute == "nodeTypes":
        widget.setCurrentNode(value)
        return
    shown = value.value if isinstance(value, enum.Enum) else value
    if attribute == "currentText" and widget.findText(str(shown)) < 0:
        for choice in next((c.choices for c in parameter.checks if hasattr(c, "choices")), []):
            if widget.findText(choice) < 0:
                widget.addItem(choice)
    if widget.property(attribute) != shown:
        widget.setProperty(attribute, shown)
