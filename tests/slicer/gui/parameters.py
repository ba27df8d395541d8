"""The parameter node wrapper: typed attributes kept as texts in a node, two-way bound to widgets.

Only the types that the module uses: bool, int, str, and MRML nodes. It does what a panel stumbles
over in Slicer 5.6 to 5.12: values are cached until the node's `ModifiedEvent`; `connectGui` takes
the widgets in the order of `slicer.util.findChildren` (the last one first), writes them while their
other signals are live, and returns nothing; a combo box is emptied and filled with the choices; a
spin box without `WithinRange` gets the whole range of 32 bits; an unknown choice raises.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import vtk
from PySide6.QtWidgets import QCheckBox, QComboBox, QSpinBox
from slicer.util import NodeModify

from .mrml_widgets import qMRMLNodeComboBox

PROPERTY = "SlicerParameterName"
_ALIVE: list[Any] = []
"""All wrappers. As in Slicer, the observers of a node keep its wrappers, which Python's garbage
collector does not see.
"""


class WithinRange:
    """Annotation; the wrapper refuses values outside, and a spin box gets this range."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def check(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} to {self.maximum}")


class Choice:
    """Annotation; the wrapper refuses other values and fills a combo box."""

    def __init__(self, choices: Any) -> None:
        self.choices = list(choices)

    def check(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class Parameter:
    """One attribute of a wrapped node: its type, checks and default."""

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.kind = getattr(annotation, "__origin__", annotation)
        self.checks = tuple(getattr(annotation, "__metadata__", ()))
        self.is_node = hasattr(self.kind, "GetNodeTagName")
        self.default = default if default is not None or self.is_node else self.kind()

    def annotation(self, kind: type) -> Any:
        """Return the annotation of a kind, None without one."""
        return next((each for each in self.checks if isinstance(each, kind)), None)

    def read(self, node: Any) -> Any:
        """Read without a check, as Slicer does."""
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        """Write after the checks."""
        if value is None and not self.is_node:
            raise ValueError(f"{self.name} cannot be None")
        if value is not None and not isinstance(value, self.kind):
            raise TypeError(f"{self.name} is no {self.kind.__name__}: {value!r}")
        for check in self.checks:
            check.check(value)
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(value))


class Cached:
    """The value of one parameter of one node, read again at each `ModifiedEvent`."""

    def __init__(self, parameter: Parameter, node: Any) -> None:
        self._parameter, self._node = parameter, node
        self._is_writing = False
        self.value = self._read()
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_modified)

    def _read(self) -> Any:
        """Read the value; one that is missing, as after a scene was closed, becomes the default."""
        if not self._node.HasParameter(self._parameter.name):
            self._parameter.write(self._node, self._parameter.default)
        return self._parameter.read(self._node)

    def _on_modified(self, *_: Any) -> None:
        if not self._is_writing:
            self.value = self._read()

    def write(self, value: Any) -> None:
        self._is_writing = True
        try:
            with NodeModify(self._node):
                self._parameter.write(self._node, value)
                self.value = self._read()
        finally:
            self._is_writing = False


def parameterNodeWrapper(wrapped: type) -> type:
    """Class decorator: annotated attributes become parameters."""
    hints = typing.get_type_hints(wrapped, include_extras=True)
    parameters = {
        name: Parameter(name, kind, getattr(wrapped, name, None)) for name, kind in hints.items()
    }

    def begin(self: Any, node: Any) -> None:
        self.parameterNode = node
        self._cached = {name: Cached(each, node) for name, each in parameters.items()}
        self._bound: dict[int, dict[str, Connector]] = {}
        self._next_tag = 0
        self._is_showing = False
        _ALIVE.append(self)

    for name in parameters:
        setattr(wrapped, name, _attribute(name))
    wrapped.allParameters = parameters  # type: ignore[attr-defined]
    wrapped.__init__ = begin  # type: ignore[misc]
    for function in (
        *(connectGui, connectParametersToGui, disconnectGui),
        *(AddObserver, RemoveObserver, StartModify, EndModify),
    ):
        setattr(wrapped, function.__name__, function)
    return wrapped


def _attribute(name: str) -> property:
    def write(self: Any, value: Any) -> None:
        self._cached[name].write(value)

    return property(lambda self: self._cached[name].value, write)


def AddObserver(self: Any, event: Any, callback: Any, priority: float = 0.0) -> int:
    return int(self.parameterNode.AddObserver(event, callback, priority))


def RemoveObserver(self: Any, tag: int) -> None:
    self.parameterNode.RemoveObserver(tag)


def StartModify(self: Any) -> int:
    return int(self.parameterNode.StartModify())


def EndModify(self: Any, was_modifying: int) -> None:
    self.parameterNode.EndModify(was_modifying)


def connectGui(self: Any, root: Any) -> None:
    """Bind the widgets of `slicer.util.childWidgetVariables`. Like Slicer's, it does not return the
    tag that `disconnectGui` asks for.
    """
    widgets = [each for each in vars(root).values() if each.property(PROPERTY)]
    self.connectParametersToGui({each.property(PROPERTY): each for each in widgets})


def connectParametersToGui(self: Any, mapping: dict[str, Any]) -> int:
    """Bind widgets to parameters, and return the tag for `disconnectGui`."""
    for name in mapping:
        if name not in self.allParameters:
            raise ValueError(f"the panel binds {name!r}, which is no parameter")
    bound = {name: Connector(each, self.allParameters[name]) for name, each in mapping.items()}
    tag, self._next_tag = self._next_tag, self._next_tag + 1
    self._bound[tag] = bound
    for name, connector in bound.items():
        connector.write(getattr(self, name))
        connector.connect(_writer(self, name, connector))
    self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: _show(self))
    return tag


def disconnectGui(self: Any, tag: int) -> None:
    """Disconnect what a tag names; another tag is passed over in silence."""
    for connector in self._bound.pop(tag, {}).values():
        connector.disconnect()


def _writer(self: Any, name: str, connector: Connector) -> Callable[..., None]:
    def write(*_: Any) -> None:
        with NodeModify(self):
            if not self._is_showing:
                setattr(self, name, connector.read())

    return write


def _show(self: Any) -> None:
    """Write all bound widgets; what they signal meanwhile does not come back to the node."""
    if self._is_showing:
        return
    self._is_showing = True
    try:
        with NodeModify(self):
            for bound in list(self._bound.values()):
                for name, connector in bound.items():
                    connector.write(getattr(self, name))
    finally:
        self._is_showing = False


class Connector:
    """Reading and writing of one widget. Making it sets the widget's range or choices."""

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        self._widget = widget
        self._slot: Callable[..., None] | None = None
        choice, within = parameter.annotation(Choice), parameter.annotation(WithinRange)
        self._choices = [] if choice is None else choice.choices
        if isinstance(widget, QComboBox) and not isinstance(widget, qMRMLNodeComboBox):
            if choice is None:
                raise RuntimeError(f"the combo box of {parameter.name} needs a Choice")
            widget.clear()
            widget.addItems([str(each) for each in self._choices])
        if isinstance(widget, QSpinBox):
            low, high = (-(2**31), 2**31 - 1) if within is None else vars(within).values()
            widget.setRange(int(low), int(high))
        if isinstance(widget, qMRMLNodeComboBox):
            widget.setProperty("nodeTypes", [parameter.kind.__name__])
        self._changed = self._signal()

    def _signal(self) -> Any:
        if isinstance(self._widget, qMRMLNodeComboBox):
            return self._widget.currentNodeChanged
        if isinstance(self._widget, QComboBox):
            return self._widget.currentIndexChanged
        if isinstance(self._widget, QSpinBox):
            return self._widget.valueChanged
        if isinstance(self._widget, QCheckBox):
            return self._widget.toggled
        raise RuntimeError(f"no parameter can be bound to a {type(self._widget).__name__}")

    def connect(self, slot: Callable[..., None]) -> None:
        self._slot = slot
        self._changed.connect(slot)

    def disconnect(self) -> None:
        self._changed.disconnect(self._slot)

    def read(self) -> Any:
        if isinstance(self._widget, qMRMLNodeComboBox):
            return self._widget.currentNode()
        if isinstance(self._widget, QComboBox):
            return self._choices[self._widget.currentIndex()]  # -1, none, reads the last one
        is_box = isinstance(self._widget, QCheckBox)
        return self._widget.isChecked() if is_box else self._widget.value()

    def write(self, value: Any) -> None:
        if isinstance(self._widget, qMRMLNodeComboBox):
            self._widget.setCurrentNode(value)
        elif isinstance(self._widget, QComboBox):
            if value not in self._choices:
                raise ValueError(f"Unable to find value {value} in choices {self._choices}")
            self._widget.setCurrentIndex(self._choices.index(value))
        elif isinstance(self._widget, QCheckBox):
            self._widget.setChecked(value)
        else:
            self._widget.setValue(value)
