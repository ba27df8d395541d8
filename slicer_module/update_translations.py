"""Updater of the translations of the module's texts, after a text was added or changed.

    python slicer_module/update_translations.py [LRELEASE]

Collects the texts of the sources as Slicer's own tool does (`Utilities/Scripts/
update_translations.py`, Qt's lupdate), with its names of contexts, and brings
`SEGSAM/Resources/Translations/*.ts` up to date: translations stay, new texts are marked unfinished,
texts that are gone are dropped. Then compiles them to the `.qm` files that the module loads, with
Qt's lrelease (PySide6's, if it is installed beside this Python). Standard library only.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MODULE = Path(__file__).resolve().parent / "SEGSAM"
FOLDER = MODULE / "Resources" / "Translations"
LANGUAGES = ("de-DE", "fr-FR", "zh-CN")
SLICERS_OWN = "qSlicerAbstractCoreModule"
"""Context of the names of module categories. Slicer translates them, so that a module does not make
a category of its own.
"""
Message = tuple[str, str]
"""Context and text."""
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n'


def messages() -> dict[Message, str]:
    """Return the file of each text, by context and text in the order of files and lines."""
    found: dict[Message, str] = {}
    for path in [MODULE / "SEGSAM.py", *sorted((MODULE / "SEGSAMLib").rglob("*.py"))]:
        for message in _in_python(path):
            found.setdefault(message, path.relative_to(MODULE).as_posix())
    for path in sorted((MODULE / "Resources" / "UI").glob("*.ui")):
        for message in _in_ui(path):
            found.setdefault(message, path.relative_to(MODULE).as_posix())
    return found


def translations(path: Path) -> dict[Message, str]:
    """Return the finished translations of a `.ts` file by context and text."""
    if not path.exists():
        return {}
    root = ElementTree.parse(path).getroot()  # noqa: S314 - a file of this project
    return {
        (context.findtext("name", ""), message.findtext("source", "")): translation.text or ""
        for context in root.iter("context")
        for message in context.iter("message")
        for translation in message.iter("translation")
        if translation.get("type") is None
    }


def update(path: Path, language: str) -> int:
    """Bring a `.ts` file up to date, and return how many of its texts are not translated. A text
    that is translated in another context is translated in the same way.
    """
    known = translations(path)
    same_text = {text: found for (_, text), found in known.items()}
    lines = [f'{_HEAD}<TS version="2.1" language="{language}" sourcelanguage="en">']
    missing, last = 0, ""
    for (context, text), file in sorted(messages().items(), key=lambda item: item[0][0]):
        if context != last:
            lines += [*(["</context>"] if last else []), "<context>", f"    <name>{context}</name>"]
            last = context
        found = "" if context == SLICERS_OWN else known.get((context, text)) or same_text.get(text)
        missing += not found and context != SLICERS_OWN
        kind = "" if found else ' type="unfinished"'
        lines += [
            "    <message>",
            f'        <location filename="../../{file}"/>',
            f"        <source>{escape(text)}</source>",
            f"        <translation{kind}>{escape(found or '')}</translation>",
            "    </message>",
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "</context>", "</TS>", ""]), encoding="utf-8", newline="\n")
    return missing


def context_of(path: Path) -> str:
    """Return Slicer's name of the context of a Python file: its name, after that of its package."""
    package = path.parent
    return f"{package.name}.{path.stem}" if (package / "__init__.py").is_file() else path.stem


def _in_python(path: Path) -> Iterator[Message]:
    """Yield the texts of `_("text")` and `translate("context", "text")`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
        if name == "_" and len(texts) == 1:
            yield context_of(path), texts[0]
        elif name == "translate" and len(texts) == 2:
            yield texts[0], texts[1]


def _in_ui(path: Path) -> Iterator[Message]:
    """Yield the texts of a form that are not marked with `notr`."""
    root = ElementTree.parse(path).getroot()  # noqa: S314 - a file of this project
    context = root.findtext("class", "")
    fixed = {id(text) for each in root.iter("stringlist") if each.get("notr") for text in each}
    for text in root.iter("string"):
        if text.text and text.get("notr") is None and id(text) not in fixed:
            yield context, text.text


def _lrelease(arguments: list[str]) -> str | None:
    beside = Path(sys.executable).parent / "pyside6-lrelease"
    named = arguments[0] if arguments else str(beside)
    return shutil.which(named) or shutil.which("lrelease")


def main(arguments: list[str]) -> int:
    """Update and compile all languages. Return exit status 0; 1 if a text is not translated; 2 if
    there is no lrelease.
    """
    missing = 0
    for language in LANGUAGES:
        count = update(FOLDER / f"SEGSAM_{language}.ts", language)
        sys.stdout.write(f"{language}: {count} of {len(messages())} texts are not translated\n")
        missing += count
    lrelease = _lrelease(arguments)
    if lrelease is None:
        sys.stdout.write("No lrelease was found: name it, or use Slicer's test environment.\n")
        return 2
    for language in LANGUAGES:
        file = FOLDER / f"SEGSAM_{language}.ts"
        subprocess.run([lrelease, "-silent", str(file)], check=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
